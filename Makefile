# make book | test | serve | lint | clean: see `make help`.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
PROFILE ?= quick
# as many jobs at once as there are cores, each with 2 GB of memory
CORES ?= $(shell $(PYTHON) -c 'import os; memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"); print(max(1, min(os.cpu_count(), memory >> 31)))')
PORT ?= 8000
# what else the chapters take, for instance CONFIG="acceleration=5 seed=3"
CONFIG ?=

export SFTKD_HOME ?= $(CURDIR)/_build/home
# the book takes the networks that come with it in results/, unless one says RETRAIN=yes; what is
# not among them, or was trained by other code than this, is trained here
RETRAIN ?= no
ifeq ($(filter yes no,$(RETRAIN)),)
$(error RETRAIN is "$(RETRAIN)"; say yes or no)
endif
ifeq ($(RETRAIN),yes)
export SFTKD_SHIPPED := no
else
export SFTKD_SHIPPED ?= yes
endif
export SFTKD_STALE ?= redo
export PATH := $(abspath $(VENV))/bin:$(PATH)
SNAKEMAKE = snakemake -s workflow/Snakefile --cores $(CORES) --rerun-triggers mtime params input \
	--rerun-incomplete --keep-going --config profile=$(PROFILE) $(CONFIG)

.PHONY: help book table test serve lint clean constraints tidy

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20
	@echo "  settings: PROFILE=smoke|quick|paper  RETRAIN=yes|no  CORES=n  CONFIG='acceleration=5 seed=3 data=cardiac'"

book: $(VENV)/ready ## run every chapter and build the site; RETRAIN=yes trains all networks first
	@$(SNAKEMAKE) --quiet host progress
	@python workflow/report.py _build/$(PROFILE)

table: $(VENV)/ready ## networks of Table 1: CONFIG='seeds="0 1 2" accelerations="4 5" methods="at sp"'
	@$(SNAKEMAKE) -- table

test: PROFILE = smoke
test: $(VENV)/ready ## every test; the chapters run at PROFILE=smoke
	@$(SNAKEMAKE) --quiet host progress -- chapters
	@python -m pytest -n $(CORES) --dist loadgroup -q $(ARGS)

serve: ## show the built site at http://localhost:8000
	@test -f _build/$(PROFILE)/site/index.html || { echo "no site yet: run make book"; exit 1; }
	@echo "http://localhost:$(PORT)  (Ctrl-C ends it)"
	@$(PYTHON) -m http.server $(PORT) --bind 127.0.0.1 --directory _build/$(PROFILE)/site

lint: $(VENV)/ready ## style, spelling, types and layers of code and chapters
	@ruff check . && ruff format --check . && codespell && python workflow/setup_cell.py --check
	@mypy && lint-imports --no-logo
	@if command -v actionlint > /dev/null; then actionlint; else echo "actionlint: not installed, skipped"; fi

tidy: $(VENV)/ready ## bring code and chapters into their stored form
	@ruff check --fix . && ruff format . && python workflow/setup_cell.py

clean: ## remove built pages and runs; trained networks stay (rm -r _build removes them too)
	rm -rf _build/smoke _build/quick _build/paper dist .snakemake

constraints: $(VENV)/ready ## write constraints.txt from the versions installed now
	@python workflow/constraints.py

$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11 ...")'
	@# what was there before is never removed: it may be somebody's environment
	@test -x $(VENV)/bin/pip || if test -e $(VENV); then $(PYTHON) -m venv $(VENV); \
		else $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }; fi
	@echo "installing into $(VENV) (once, some minutes)"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[book,test]'
	@$(VENV)/bin/python -m pip check
	@touch $@
