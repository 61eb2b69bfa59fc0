"""Chapters with networks in half precision, as those that come with the book are stored.

What tests train is kept in float32, so that only these runs see what rounding does to a chapter.
"""

import json
import os
import re
import subprocess
import sys

import pytest
from chapters import CHAPTERS, ROOT, a_tenth, name, smoke_home
from safetensors.torch import load

from sftkd_core.data import PHANTOMS
from sftkd_core.experiments import Experiment, objectives

sys.path.insert(0, str(ROOT / "workflow"))

import ship

# those that look at weights themselves, some in each commit; all chapters with SFTKD_TESTS=all
LOOKS = re.compile(r"torch\.equal|\.half\(\)|moved(\(| = )")
ALL = os.environ.get("SFTKD_TESTS") == "all"
ASKED = a_tenth(path for path in CHAPTERS if ALL or LOOKS.search(path.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A store with every network of the smoke run, each rounded whatever PSNR says to it."""
    place = tmp_path_factory.mktemp("halves")
    for record in (smoke_home() / "store").glob("*/result.json"):
        described = json.loads(record.read_text())
        if described["provenance"]["experiment"]["data"]["train"] > 2:
            continue  # of another profile
        weights = load((record.parent / "weights.safetensors").read_bytes())
        made = described["provenance"]["experiment"]
        if made["data"]["name"] not in PHANTOMS:
            continue  # of a folder that a chapter made for itself
        target = place / "store" / record.parent.name
        target.mkdir(parents=True)
        seed = objectives.network(Experiment.from_record(made)).state_dict()
        ship.write(target, ship.halved(weights, seed), described)
    return place


@pytest.mark.parametrize("path", ASKED, ids=name)
def test_a_chapter_holds_with_networks_of_half_precision(path, home, tmp_path):
    before = len(list((home / "store").glob("*/result.json")))
    assert before > 50, f"{before} networks in {smoke_home()}: run make test, which trains them"
    command = [sys.executable, ROOT / "workflow" / "run_chapter.py", path, tmp_path / "out.ipynb"]
    environment = {**os.environ, "SFTKD_HOME": str(home), "SFTKD_SHIPPED": "no"}
    run = subprocess.run(
        [*map(str, command), "-p", "profile", "smoke"],
        env=environment | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
