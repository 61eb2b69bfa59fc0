"""One process finds what is trained, and tries what is shipped."""

import json
import sys
from pathlib import Path

import pytest

from sftkd_core.book import Setting

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

import evaluations  # noqa: E402
import look_up  # noqa: E402

WANTED = {
    "_build/quick/experiments/brain-4x-seed0/student.json": ["student", "brain", 4, 0],
    "_build/quick/experiments/brain-4x-seed77/student.json": ["student", "brain", 4, 77],
}
STUDENT = Setting("quick"), Setting("quick").experiment("student")


@pytest.fixture(autouse=True)
def with_shipped_results(monkeypatch):
    monkeypatch.setenv("SFTKD_SHIPPED", "yes")


def test_what_is_there_has_a_receipt_and_what_is_not_has_none(tmp_path):
    assert look_up.look_up(WANTED, tmp_path, "quick", "auto") == [STUDENT]
    (receipt,) = tmp_path.rglob("*.json")
    assert receipt == tmp_path / "brain-4x-seed0" / "student.json"
    said = json.loads(receipt.read_text())
    assert said["name"] == "student"
    assert said["entry"] == STUDENT[1].name
    assert said["found"] is True
    assert 25 < said["best_validation_psnr"] < 40


def test_a_shipped_table_that_its_network_does_not_give_is_an_error(monkeypatch):
    assert look_up.try_some([STUDENT]) == [STUDENT[1].name]
    right = evaluations.again(*STUDENT)
    monkeypatch.setattr(evaluations, "again", lambda *which: right.assign(psnr=right["psnr"] + 0.1))
    with pytest.raises(SystemExit, match=f"{STUDENT[1].name} does not give the table"):
        look_up.try_some([STUDENT])


def test_what_was_trained_here_is_not_tried(home, monkeypatch):
    monkeypatch.setattr(look_up.store, "is_there", lambda name: True)
    assert look_up.try_some([STUDENT]) == []
