"""What the tests of the chapters share."""

import os
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

import run_chapter  # noqa: E402, F401 - for the tests that import this module
import setup_cell  # noqa: E402

CHAPTERS = setup_cell.chapters()
SHARED = ("profile", "data", "acceleration", "seed", "device")


def name(path: Path) -> str:
    return path.stem


def source(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def smoke_home() -> Path:
    """A store that the chapters' runs share, so that each network is trained once."""
    return Path(os.environ.get("SFTKD_SMOKE_HOME", ROOT / "_build" / "home"))
