"""What is shipped: networks in half the bytes, records in a line; tables without the network."""

import json
import sys

import pytest
import torch
from chapters import ROOT

from sftkd_core import experiments
from sftkd_core.book import Setting, setting
from sftkd_core.experiments import Experiment, objectives, store

sys.path.insert(0, str(ROOT / "workflow"))

import ship
import study

RECORDS = sorted((ROOT / "results").glob("*/result.json"))
STUDENT = Setting("smoke").experiment("student")


def first_of_each_kind():
    """One shipped experiment of each objective that ends in images."""
    found = {}
    for record in RECORDS:
        made = json.loads(record.read_text())["provenance"]["experiment"]
        if made["objective"] != "paraphrase" and (record.parent / "weights.safetensors").exists():
            found.setdefault(made["objective"], made)
    return [pytest.param(Experiment.from_record(made), id=kind) for kind, made in found.items()]


@pytest.mark.parametrize("experiment", first_of_each_kind())
def test_a_table_is_filed_under_the_weights_of_the_network(experiment, monkeypatch):
    """They are read from the file, without building the network: each as it would have it."""
    monkeypatch.setenv("SFTKD_SHIPPED", "yes")
    network = experiments.find(experiment, "cpu").model
    assert setting._digest(experiment, "cpu") == store.digest(network.state_dict())


def stage_of(name):
    return int(ship.stage_of(name).split(".")[1])


def trained():
    """The student's initial weights, and others in all its tensors but one."""
    seed = objectives.network(STUDENT).state_dict()
    return seed, {
        name: value if name == "stages.4.convolutions.0.weight" else value + 0.1
        for name, value in seed.items()
    }


def test_what_did_not_learn_is_not_rounded():
    seed, weights = trained()
    (still,) = (name for name, value in weights.items() if torch.equal(value, seed[name]))
    half = ship.halved(weights, seed)
    assert {name for name, value in half.items() if value.dtype == torch.float32} == {still}
    assert torch.equal(half[still], seed[still])


@pytest.mark.parametrize("noticed", [(), (2,), (0, 3)])
def test_stages_that_the_images_would_notice_are_not_rounded(noticed, monkeypatch):
    seed, weights = trained()

    def psnr(experiment, given):
        changed = {n for n, v in given.items() if not torch.equal(v.float(), weights[n])}
        costs = [2 * ship.TOLERANCE * (n in noticed) for n in range(5)]
        return 30 - sum(
            costs[int(stage.split(".")[1])] for stage in set(map(ship.stage_of, changed))
        )

    monkeypatch.setattr(ship, "psnr", psnr)
    stored = ship.smaller(STUDENT, weights)
    assert abs(psnr(STUDENT, stored) - 30) <= ship.TOLERANCE
    whole = {name for name, value in stored.items() if value.dtype == torch.float32}
    expected = {
        n for n in weights if int(n.split(".")[1]) in noticed or torch.equal(weights[n], seed[n])
    }
    assert whole == expected
    for name in whole:
        assert torch.equal(stored[name], weights[name])


def test_a_record_is_a_line_that_says_the_same():
    record = {
        "history": [{"epoch": 1, "train_loss": 0.123456789, "psnr": 30.0}],
        "code": "a",
        "x": [0.1],
    }
    payload = ship.compact(record)
    assert payload.count(b"\n") == 1
    assert payload.endswith(b"\n")
    read = json.loads(payload)
    assert read["history"] == [{"epoch": 1, "train_loss": 0.1234568, "psnr": 30.0}]
    assert isinstance(read["history"][0]["epoch"], int)
    assert {k: v for k, v in read.items() if k != "history"} == {"code": "a", "x": [0.1]}


def test_what_is_compared_alone_keeps_no_weights_and_nothing_else_loses_its_own():
    alone = ship.compared_alone()
    assert not any(ship.reconstructs(e) for e in study.wanted("cascades"))
    # (the spine on brains has not been run; its long student is one of "longer")
    others = study.STAGES.keys() - {*study.RECORDS_ALONE, "brain"}
    assert not alone & {e.key for stage in others for e in study.wanted(stage)}
