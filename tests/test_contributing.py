"""CONTRIBUTING.md's example of a new method works as it is printed."""

import re
import types
from pathlib import Path

import pytest
import torch
from test_training import experiment

from sftkd_core import distillation, experiments
from sftkd_core.distillation.method import Method

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_printed_method_can_be_trained_with(monkeypatch):
    functions, row = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    means = types.ModuleType("means")
    exec(functions, means.__dict__)
    names = {"means": means, "Method": Method, "SHARE": distillation.SHARE}
    added = eval("{" + row.split("\n", 1)[1] + "}", names)
    monkeypatch.setitem(distillation.METHODS, "means", added["means"])
    student, teacher = torch.rand(3, 4, 6, 5), torch.rand(3, 4, 6, 5)
    expected = (student.mean((2, 3)) - teacher.mean((2, 3))).square().mean()
    assert distillation.loss("means", student, teacher).item() == pytest.approx(expected.item())
    wanted = experiment(
        objective="distil", method="means", model="D2C5", teacher=experiment(model="D3C5")
    )
    result = experiments.run(wanted, quiet=True)
    assert result.provenance["kd_weight"] > 0
