"""CONTRIBUTING.md: its example works as printed, its map has every room, its paths are there."""

import re
import types
from pathlib import Path

import pytest
import torch
from test_training import experiment

from sftkd_core import distillation, experiments

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_printed_method_can_be_trained_with(monkeypatch):
    file, word = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    means = types.ModuleType("means")
    exec(file, means.__dict__)
    added = eval("{" + word.split("\n", 1)[1] + "}", {"means": means})
    monkeypatch.setitem(distillation.METHODS, "means", added["means"])
    student, teacher = torch.rand(3, 4, 6, 5), torch.rand(3, 4, 6, 5)
    expected = (student.mean((2, 3)) - teacher.mean((2, 3))).square().mean()
    assert distillation.loss("means", student, teacher).item() == pytest.approx(expected.item())
    wanted = experiment(
        objective="distil", method="means", model="D2C5", teacher=experiment(model="D3C5")
    )
    result = experiments.run(wanted, quiet=True)
    assert result.provenance["kd_weight"] > 0


def test_the_map_has_every_room():
    rooms = re.findall(r"^\| (`.*?) \|", TEXT, re.M)
    named = {name.strip("/`") for row in rooms for name in re.findall(r"`[\w./]+`", row)}
    there = {path.name for path in (ROOT / "sftkd_core").iterdir()}
    assert named == there - {"__init__.py", "__main__.py", "__pycache__"}


def test_paths_lead_somewhere():
    paths = set(re.findall(r"`((?:sftkd_core|book|tests|workflow|results)/[\w./]+)`", TEXT))
    assert len(paths) > 10
    assert not [path for path in paths if not (ROOT / path).exists()]
