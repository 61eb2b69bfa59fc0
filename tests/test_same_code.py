"""Every shipped network is of a clean commit, or of code that is a clean commit's by its seal."""

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

import same_code

ROOT = same_code.ROOT
RECORDS = {
    path.parent.name: json.loads(path.read_text())["provenance"]
    for path in sorted((ROOT / "results").glob("*/result.json"))
}
NOTED = {name: given["same_code"] for name, given in RECORDS.items() if "same_code" in given}


def has_history(commit: str) -> bool:
    command = ["git", "-C", str(ROOT), "cat-file", "-e", f"{commit}^{{tree}}"]
    return subprocess.run(command, capture_output=True).returncode == 0


def test_every_network_is_of_the_code_of_a_commit():
    unclean = {n for n, given in RECORDS.items() if given["commit"].endswith(same_code.DIRTY)}
    assert unclean == set(NOTED)
    for name, commit in NOTED.items():
        assert RECORDS[name]["commit"] == commit + same_code.DIRTY


# one commit of the fourteen, for time; all of them: python workflow/same_code.py
@pytest.mark.skipif(not has_history("7f9e9007d3f7"), reason="a shallow clone has no history")
def test_seals_say_so():
    names = [name for name, commit in NOTED.items() if commit == "7f9e9007d3f7"]
    assert len(names) == 8
    assert same_code.agree(names) == dict.fromkeys(names, True)


def test_other_code_is_noticed(monkeypatch):
    monkeypatch.setattr(same_code, "first_shipped", lambda name: {
        "provenance": {"commit": "7f9e9007d3f7-dirty", "experiment": {}}, "code": "a" * 16,
    })  # fmt: skip
    monkeypatch.setattr(same_code, "tree_at", nullcontext)
    monkeypatch.setattr(same_code, "seals", lambda tree, described: dict.fromkeys(described, "b"))
    assert same_code.agree(["one"]) == {"one": False}
