"""Of slow cases a part in each commit, and all of them once a week."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def a_part(cases: Iterable, parts: int) -> list:
    """One in so many of slow cases, others from commit to commit; all with SFTKD_TESTS=all.

    The weekly workflow takes all, and so does a copy without git.
    """
    asked = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    every = list(cases)
    if os.environ.get("SFTKD_TESTS") == "all" or not commit:
        return every
    return every[int(commit[:8], 16) % min(parts, len(every)) :: parts]  # of fewer, one


def a_tenth(cases: Iterable) -> list:
    """Of chapters, each of which takes a minute."""
    return a_part(cases, 10)


def a_third(cases: Iterable) -> list:
    """Of blocks of files, each of which takes some seconds."""
    return a_part(cases, 3)
