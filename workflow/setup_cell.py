"""The generated first code cell of every chapter, and the tidy form of a chapter's source.

python workflow/setup_cell.py            write the cell into every chapter, drop outputs
python workflow/setup_cell.py --check    only say which chapters that would change
"""

import argparse
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlparse

import nbformat
import yaml

ROOT = Path(__file__).resolve().parents[1]
TAGS = ["setup", "remove-cell"]

CELL = """\
# Setup (generated): installs the book's library where it is missing, as in Colab.
# The torch and numpy that are installed stay as they are.
import importlib.metadata
import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("sftkd_core") is None:
    repository, edition = "{url}", "{commit}"
    results = "{results}"  # where it finds this edition's networks
    if not repository:
        raise SystemExit("sftkd_core is missing: clone the book; pip install -e .")
    installed = [n for n in ("torch", "numpy") if importlib.util.find_spec(n)]
    keep = [f"{{name}}=={{importlib.metadata.version(name)}}" for name in installed]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", *keep]
    print("installing the book's library, for a minute", flush=True)
    told = os.environ | {{"SFTKD_RESULTS_URL": results}}
    library = f"sftkd-core @ git+{{repository}}@{{edition}}"
    subprocess.run([*pip, library], check=True, env=told)
    importlib.invalidate_caches()"""


def repository_url() -> str:
    """Where the book lives; empty until it is set, in ``_config.yml`` and nowhere else."""
    return yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]


def setup_source(url: str | None = None, commit: str = "") -> str:
    """The source of the setup cell for a repository, and for one edition of it: a commit."""
    url, commit = repository_url() if url is None else url, commit or "HEAD"
    return CELL.format(url=url, commit=commit, results=results_url(url, commit))


def results_url(url: str, commit: str) -> str:
    """Where the files of ``results/`` can be read one by one; empty where it is not known."""
    where = urlparse(url)
    if where.hostname != "github.com":
        return ""
    return f"https://raw.githubusercontent.com{where.path.removesuffix('.git')}/{commit}/results"


def edition() -> str:
    """The commit of this edition; empty outside of a clone."""
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def tidy(notebook: nbformat.NotebookNode, url: str | None = None) -> nbformat.NotebookNode:
    """Put the setup cell in place, drop outputs and whatever an editor left; in place."""
    code = next((i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"), 1)
    if "setup" in notebook.cells[code].metadata.get("tags", []):
        notebook.cells.pop(code)
    cell = nbformat.v4.new_code_cell(setup_source(url), metadata={"tags": TAGS})
    notebook.cells.insert(code, cell)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            kept = {k: v for k, v in cell.metadata.items() if k in ("tags", "mystnb")}
            cell.metadata = nbformat.NotebookNode(kept)
    notebook.metadata = nbformat.NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
        sftkd=notebook.metadata.get("sftkd", {}),
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def chapters() -> list[Path]:
    """The chapters that are notebooks, in the order of ``_toc.yml``."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [path for path in (ROOT / f"{file}.ipynb" for file in files) if path.exists()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    changed = []
    for path in chapters():
        before = path.read_text(encoding="utf-8")
        notebook = tidy(nbformat.reads(before, as_version=4))
        nbformat.validate(notebook)
        after = nbformat.writes(notebook) + "\n"
        if after != before:
            changed.append(path.relative_to(ROOT))
            if not check:
                path.write_text(after, encoding="utf-8")
    for path in changed:
        print(f"{path}: {'not tidy' if check else 'tidied'}")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
