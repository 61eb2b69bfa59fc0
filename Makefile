# make book | test | serve | lint | clean: see `make help`.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
PROFILE ?= quick
# as many jobs at once as there are cores, each with 2 GB of memory
CORES ?= $(shell $(PYTHON) -c 'import os; memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"); print(max(1, min(os.cpu_count(), memory >> 31)))')
# of this machine, for trainings and chapters at PROFILE=paper
GPUS ?= 1
PORT ?= 8000
# the build of torch: auto takes that for processors on Linux without an NVIDIA device; pypi, cpu, cu126 ...
TORCH ?= auto
# what else the chapters take, for instance CONFIG="acceleration=5 seed=3"
CONFIG ?=
# where a chapter runs alone, see workflow/versions.py; offline is Colab's versions without a server
ENV ?= colab
BESIDE = $(if $(filter offline,$(ENV)),colab,$(ENV))
ENVS = _build/env
# tests of the library alone: no chapter, no site, and no digits of our own versions (golden)
LIBRARY = architectures batch coils consistency data distillation head masks metrics models \
	objectives sampling sft_loss shapes significance storage tasks training transfer
# yes: make test runs although these very files have passed
AGAIN ?= no
# which runs `make rerun` wants, see the file
MATRIX ?= workflow/rerun.yaml

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
# a look at what may start each half minute and at each end of a job, not many times a second, which
# took a quarter of a core
HOW = --cores $(CORES) --resources gpu=$(GPUS) --rerun-triggers mtime params input --rerun-incomplete \
	--keep-going --max-jobs-per-timespan 1000/30s
SNAKEMAKE = snakemake -s workflow/Snakefile $(HOW) --config profile=$(PROFILE) $(CONFIG)

.PHONY: help book pdf neurolibre table rerun test test-cluster serve links lint clean constraints tidy \
	test-lowest test-newest test-alone

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20
	@echo "  settings: PROFILE=smoke|quick|paper  RETRAIN=yes|no  TORCH=auto|pypi|cpu|cu126  CORES=n  CONFIG='acceleration=5 seed=3 data=cardiac'"

book: $(VENV)/ready ## run every chapter and build the site; RETRAIN=yes trains all networks first
	@$(SNAKEMAKE) --quiet host progress
	@python workflow/report.py _build/$(PROFILE)

table: $(VENV)/ready ## networks of Table 1: CONFIG='seeds="0 1 2" accelerations="4 5" methods="at sp"'
	@$(SNAKEMAKE) -- table

rerun: $(VENV)/ready ## chapters x data x acceleration x seed of MATRIX=workflow/rerun.yaml, with an index
	@snakemake -s workflow/rerun.smk $(HOW) --quiet host progress --config profile=$(PROFILE) matrix=$(MATRIX) $(CONFIG)

test: PROFILE = smoke
test: $(VENV)/ready ## every test; the chapters run at PROFILE=smoke; nothing where nothing has changed
	@$(if $(ARGS)$(CONFIG)$(filter yes,$(AGAIN)),,python workflow/tested.py && exit 0;) \
		key=$$(python workflow/tested.py --key); \
		$(SNAKEMAKE) --quiet host progress -- chapters; \
		python -m pytest -n $(CORES) --dist worksteal -q $(ARGS); \
		$(if $(ARGS)$(CONFIG),,python workflow/tested.py --passed "$$key")

test-cluster: $(VENV)/ready ## a matrix on two SLURM nodes of this machine, one killed; root, on Debian
	@bash tests/cluster/run.sh

pdf: $(VENV)/ready ## the built book as one file, _build/<profile>/book.pdf; needs Chromium
	@test -f _build/$(PROFILE)/site/index.html || { echo "no site yet: run make book"; exit 1; }
	@python workflow/pdf.py _build/$(PROFILE)/site _build/$(PROFILE)/book.pdf

neurolibre: $(VENV)/ready ## the book as NeuroLibre takes a preprint, in _build/neurolibre
	@python workflow/neurolibre.py _build/neurolibre

test-lowest test-newest: test-%: $(ENVS)/%/ready ## the library's tests on the oldest, or newest, versions that are allowed
	@PATH=$(abspath $(ENVS)/$*/bin):$$PATH python -m pytest -q $(LIBRARY:%=tests/test_%.py) $(ARGS)

test-alone: $(VENV)/ready $(ENVS)/$(BESIDE)/ready ## each chapter in an empty folder; ENV=colab|lowest|newest|offline
	@python workflow/alone.py $(ENVS)/$(BESIDE) $(if $(filter offline,$(ENV)),--offline --profile smoke) $(ARGS)

serve: ## show the built site at http://localhost:8000
	@test -f _build/$(PROFILE)/site/index.html || { echo "no site yet: run make book"; exit 1; }
	@echo "http://localhost:$(PORT)  (Ctrl-C ends it)"
	@$(PYTHON) -m http.server $(PORT) --bind 127.0.0.1 --directory _build/$(PROFILE)/site

links: $(VENV)/ready ## ask every outside link of the book; needs the network
	@python workflow/links.py

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
	@index=$$($(VENV)/bin/python workflow/torch_index.py '$(TORCH)') && \
		$(VENV)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check $$index \
		--constraint constraints.txt --editable '.[book,test]'
	@$(VENV)/bin/python -m pip check
	@touch $@

$(ENVS)/%/ready: pyproject.toml workflow/versions.py workflow/colab_has.txt
	@$(PYTHON) -m venv $(ENVS)/$* && $(ENVS)/$*/bin/python -m pip install --quiet uv
	@$(ENVS)/$*/bin/python workflow/versions.py $* > $(ENVS)/$*.txt
	@index=$$($(ENVS)/$*/bin/python workflow/torch_index.py '$(TORCH)') && \
		$(ENVS)/$*/bin/python -m pip install --quiet $$index --requirement $(ENVS)/$*.txt
	@$(ENVS)/$*/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@
