"""``benchmarks/gpu.py``: its part that needs no GPU, and what it says of the rest."""

import sys

import torch
from chapters import ROOT, stage

sys.path.insert(0, str(ROOT / "benchmarks"))

import gpu  # isort: skip

CPU = torch.device("cpu")


def test_a_stopped_training_goes_on_bit_for_bit_and_disturbs_nobody(tmp_path, monkeypatch):
    # Python's own generator is drawn from by what checks annotations in the tests
    monkeypatch.setattr(gpu.random, "getstate", lambda: (3, ()))
    assert gpu.resumption("reconstruct", CPU, tmp_path).says == "bit-equal"
    assert gpu.generators(CPU, tmp_path).value == 0


def test_without_a_device_the_rest_is_said_to_be_unrun():
    rows = gpu.steps(CPU, 16, 0)
    assert len(rows) == len(gpu.STEPS)
    assert [row.value is None for row in rows] == ["compile" in how for how in gpu.STEPS.values()]
    assert all("unrun" in row.says for row in rows if row.value is None)


def test_the_table_stands_on_the_status_page_where_there_is_one(tmp_path):
    assert "has not been run" in stage.gpu_table(tmp_path / "gpu.json")
    record = {"device": "a GPU", "cuda": True, "torch": "2.13.0", "when": "2026-11-28T22:00:00"}
    record["rows"] = [{"what": "a step", "value": 1.25, "unit": "ms", "says": "the first"}]
    record["rows"].append({"what": "another", "value": None, "unit": "ms", "says": "unrun"})
    (tmp_path / "gpu.json").write_text(gpu.json.dumps(record))
    table = stage.gpu_table(tmp_path / "gpu.json")
    assert "| a step | 1.25 ms | the first |" in table
    assert "| another |  | unrun |" in table
    assert "a GPU, torch 2.13.0" in table
