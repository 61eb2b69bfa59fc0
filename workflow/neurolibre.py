"""Lay the book out as NeuroLibre takes a preprint: binder/, content/, paper.md and paper.bib.

    python workflow/neurolibre.py _build/neurolibre

Chapters come without outputs and are executed there, with the networks of this edition. The names
of the authors and their places are those of CITATION.cff: a preprint needs more of them by hand.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import setup_cell
import yaml

ROOT = setup_cell.ROOT
LIBRARY = ("sftkd_core", "results", "pyproject.toml", "README.md", "LICENSE", "LICENSE-text")
LIBRARY += ("workflow", "constraints.txt")
POST_BUILD = """#!/usr/bin/env bash
set -euo pipefail
pip install --no-cache-dir --constraint constraints.txt \\
  --extra-index-url https://download.pytorch.org/whl/cpu '.[book]'
"""


def lay_out(target: Path) -> None:
    """Fill ``target`` afresh."""
    shutil.rmtree(target, ignore_errors=True)
    (target / "binder").mkdir(parents=True)
    (target / "binder" / "runtime.txt").write_text("python-3.11\n")
    script = target / "binder" / "postBuild"
    script.write_text(POST_BUILD)
    script.chmod(0o755)
    # nothing to download: images are synthetic, and networks come with the library
    (target / "binder" / "data_requirement.json").write_text(json.dumps({}) + "\n")
    junk = shutil.ignore_patterns("__pycache__", "*.pyc", ".ipynb_checkpoints")
    for name in LIBRARY:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, target / name, **({"ignore": junk} if copy is shutil.copytree else {}))
    shutil.copytree(ROOT / "book", target / "content" / "book", ignore=junk)
    shutil.copy(ROOT / "_toc.yml", target / "content")
    config = configuration()
    (target / "content" / "_config.yml").write_text(yaml.safe_dump(config, sort_keys=False))
    for page in ("intro.md", "status.md"):
        without_markers(target / "content" / "book" / page)
    (target / "paper.md").write_text(paper(), encoding="utf-8")
    shutil.copy(ROOT / "book" / "references.bib", target / "paper.bib")


def configuration() -> dict:
    """``_config.yml`` with every chapter executed where it is built."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    config["execute"] = {"execute_notebooks": "force", "timeout": 1800}
    if not config["repository"]["url"]:
        for section in ("repository", "launch_buttons"):
            config.pop(section)
    return config


def without_markers(page: Path) -> None:
    """Tables that only our own runs can fill are not in the preprint."""
    kept = [line for line in page.read_text().splitlines() if not line.startswith("<!-- ")]
    page.write_text("\n".join(kept) + "\n")


def paper() -> str:
    """A summary with the head that a preprint has, from CITATION.cff and the front page."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    head = {
        "title": citation["title"],
        "tags": ["Jupyter Book", "MRI", "image reconstruction", "knowledge distillation"],
        "authors": [{"name": a["name"], "affiliation": 1} for a in citation["authors"]],
        "affiliations": [{"name": "to be filled in by the authors", "index": 1}],
        "bibliography": "paper.bib",
    }
    front = (ROOT / "book" / "intro.md").read_text(encoding="utf-8")
    opening = next(p for p in front.split("\n\n")[1:] if p[0].isalpha())
    summary = opening.replace("{cite:t}`", "@").replace("{cite:p}`", "@").replace("`", "")
    written = yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
    return f"---\n{written}---\n\n# Summary\n\n{summary}\n\n# References\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path)
    target = parser.parse_args().target
    lay_out(target)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    print(f"{target}: {size / 1e6:.0f} MB, for a repository of its own")
    return 0


if __name__ == "__main__":
    sys.exit(main())
