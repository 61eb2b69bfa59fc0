"""The README's results are those of the shipped networks, computed again."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sftkd_core.book.setting import CAST, Setting
from sftkd_core.data import Dataset
from sftkd_core.experiments import Experiment

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

import evaluations  # noqa: E402
import readme  # noqa: E402
import setup_cell  # noqa: E402


def test_results_in_the_readme_are_those_of_the_shipped_networks(home):
    environment = {**os.environ, "SFTKD_HOME": str(home), "SFTKD_SHIPPED": "yes"}
    run = subprocess.run(
        [sys.executable, ROOT / "workflow" / "readme.py", "--check"],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(("pattern", "new"), [
    (r"\(-(0\.0\d\d) dB", r"(+\1 dB"),
    (r"is behind", "is ahead of"),
    (r"Tested on \d+", "Tested on 9"),
    (r"\+0\.16", "+0.18"),
])  # fmt: skip
def test_a_readme_that_says_something_else_is_noticed(pattern, new, monkeypatch, capsys):
    changed = re.sub(pattern, new, readme.said(), count=1)
    assert changed != readme.said()
    here = readme.README, readme.START, readme.END
    monkeypatch.setattr(readme, "blocks", lambda: [(*here, readme.said())])
    assert readme.compare() == 0
    monkeypatch.setattr(readme, "blocks", lambda: [(*here, changed)])
    assert readme.compare() == 1
    assert "but the results are" in capsys.readouterr().err


def test_shipped_networks_are_of_this_code():
    """Each entry is under the name and the fingerprint that its experiment has now."""
    entries = [path.parent for path in (ROOT / "results").glob("*/result.json")]
    assert len(entries) >= len(readme.SEEDS) * len(CAST)
    for entry in entries:
        record = json.loads((entry / "result.json").read_text())
        experiment = Experiment.from_record(record["provenance"]["experiment"])
        assert experiment.name == entry.name
        assert experiment.code == record["code"], f"{entry.name}: see CONTRIBUTING.md"


def a_few_of_each(every, wanted, most=4):
    """That many at random, of as few settings as have at most four each."""
    groups: dict = {}
    for one in random.sample(every, len(every)):
        groups.setdefault(one[0], []).append(one)
    return [one for group in groups.values() for one in group[:most]][:wanted]


def test_shipped_evaluations_are_what_the_networks_give(monkeypatch):
    """Some of them, others in each run, computed again; a tenth with SFTKD_TESTS=all.

    A few of one test set each: what takes the time is to make the phantoms.
    """
    monkeypatch.setenv("SFTKD_SHIPPED", "yes")
    computed = []
    reconstruct = Setting.reconstruct

    def spy(setting, name, *more):
        computed.append(name)
        return reconstruct(setting, name, *more)

    monkeypatch.setattr(Setting, "reconstruct", spy)
    every = evaluations.shipped(records_alone=False)
    wanted = len(every) // (10 if os.environ.get("SFTKD_TESTS") == "all" else 40)
    for setting, experiment in a_few_of_each(every, wanted):
        known = setting.evaluate(experiment)
        assert computed == [], f"{experiment.name}: python workflow/evaluations.py"
        assert evaluations.same(known, evaluations.again(setting, experiment)), experiment.name


def test_a_shipped_table_is_found_whatever_the_processor_makes_of_phantoms(monkeypatch):
    """Their last bits differ from one to another: nothing of them may be in a table's name."""
    monkeypatch.setenv("SFTKD_SHIPPED", "yes")
    monkeypatch.setattr(Dataset, "load", None)  # neither made nor looked at
    for setting, experiment in evaluations.shipped(records_alone=False)[::40]:
        for name in ("zero-filled", experiment):
            assert not setting.evaluate(name, experiment.sampling).empty


def test_every_chapter_finds_its_networks_shipped():
    """A chapter at its defaults, alone on a laptop, trains nothing that the plan names."""
    there = {path.parent.name for path in (ROOT / "results").glob("*/weights.safetensors")}
    for chapter in setup_cell.chapters():
        meta = json.loads(chapter.read_text())["metadata"]["sftkd"]
        setting = Setting("quick", meta.get("data", "brain"))
        for name in meta["experiments"]:
            assert setting.experiment(name).name in there, f"{chapter.stem}: {name}"


def test_pictures_of_the_readme_exist():
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / path).stat().st_size < 300_000, path
