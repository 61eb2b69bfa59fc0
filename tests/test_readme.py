"""The README's results are those of the shipped networks, computed again."""

import json
import os
import subprocess
import sys
from pathlib import Path

from sftkd_core import batch
from sftkd_core.settings import PLAN, Setting

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

import readme  # noqa: E402


def test_results_in_the_readme_are_those_of_the_shipped_networks(home):
    environment = {**os.environ, "SFTKD_HOME": str(home), "SFTKD_SHIPPED": "yes"}
    run = subprocess.run(
        [sys.executable, ROOT / "workflow" / "readme.py", "--check"],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


def test_shipped_networks_are_of_this_code():
    """Each entry is an experiment of the plan, at one of the README's seeds, and not stale."""
    known = {}
    for seed in readme.SEEDS:
        setting = Setting("quick", seed=seed)
        for name in PLAN:
            for one in batch.with_earlier([setting.experiment(name)]):
                known[one.name] = one.code
    entries = [path for path in (ROOT / "results").iterdir() if path.is_dir()]
    assert len(entries) >= len(readme.SEEDS) * 8
    for entry in entries:
        code = json.loads((entry / "result.json").read_text())["code"]
        assert code == known[entry.name], f"{entry.name}: see CONTRIBUTING.md"


def test_pictures_of_the_readme_exist():
    import re

    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / path).stat().st_size < 300_000, path
