"""The README's results are those of the shipped networks, computed again."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_results_in_the_readme_are_those_of_the_shipped_networks(home):
    environment = {**os.environ, "SFTKD_HOME": str(home), "SFTKD_SHIPPED": "yes"}
    run = subprocess.run(
        [sys.executable, ROOT / "workflow" / "readme.py", "--check"],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


def test_shipped_networks_are_of_this_code():
    from sftkd_core import store

    entries = [p for p in (ROOT / "results").iterdir() if p.is_dir()]
    assert len(entries) >= 8
    for entry in entries:
        record = store._read(entry, shipped=True)[1]
        assert record["code"] == store.code_fingerprint(), f"{entry.name}: see CONTRIBUTING.md"


def test_pictures_of_the_readme_exist():
    import re

    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / path).stat().st_size < 300_000, path
