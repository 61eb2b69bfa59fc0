"""What the tests of the chapters share."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

import run_chapter  # noqa: E402, F401 - for the tests that import this module
import setup_cell  # noqa: E402
import stage  # noqa: E402, F401

CHAPTERS = setup_cell.chapters()
SHARED = ("profile", "data", "acceleration", "seed", "device")


def name(path: Path) -> str:
    return path.stem


def source(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def smoke_home(name: str = "home") -> Path:
    """A store that runs of chapters share, so that each network is trained once.

    Runs at other seeds have one of another name: what they train would make several seeds of the
    chapters' one, when these run again.
    """
    return Path(os.environ.get("SFTKD_SMOKE_HOME", ROOT / "_build")) / name


def a_tenth(cases: Iterable) -> list:
    """A tenth of slow cases, another one from commit to commit; all with SFTKD_TESTS=all.

    The weekly workflow takes all, and so does a copy without git.
    """
    asked = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    if os.environ.get("SFTKD_TESTS") == "all" or not commit:
        return list(cases)
    every = list(cases)  # of fewer than ten, one
    return every[int(commit[:8], 16) % min(10, len(every)) :: 10]
