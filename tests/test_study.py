"""The trainings of profile "study": stages, equal effort in tuning, the order they run in."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sftkd_core.book import Setting
from sftkd_core.distillation import METHODS
from sftkd_core.experiments.running import with_earlier

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

import study


@pytest.mark.parametrize("stage", study.STAGES)
def test_a_stage_holds_each_network_once_and_none_of_the_tuning(stage):
    wanted = study.wanted(stage)
    keys = [experiment.key for experiment in wanted]
    assert len(set(keys)) == len(keys) > 0
    assert study.TUNING not in {e.data.seed for e in with_earlier(wanted)}


def test_every_method_is_tuned_with_equal_effort():
    for method in METHODS:
        tried = study.wanted(f"tune:{method}")
        assert sorted(e.share or e.row.share for e in tried) == [0.1, 0.3, 1.0]
        assert {(e.method, e.seed, e.data.seed) for e in tried} == {(method, study.TUNING, 99)}
        assert len({e.teacher.key for e in tried}) == 1
    assert study.wanted("tune:at,sp") == [*study.tuned("at"), *study.tuned("sp")]


@pytest.mark.parametrize("workers", [1, 3])
def test_nothing_is_trained_before_what_it_builds_on(workers, monkeypatch, capsys):
    setting, done = Setting("study"), []

    def train(experiment):
        assert all(earlier.key in done for earlier in experiment.earlier)
        done.append(experiment.key)
        return experiment.name

    monkeypatch.setattr(study, "ProcessPoolExecutor", ThreadPoolExecutor)
    monkeypatch.setattr(study, "train", train)
    monkeypatch.setattr(study.experiments, "exists", lambda experiment: experiment.key in done)
    every = with_earlier(map(setting.experiment, ("sft-kd", "kd-output", "kd-ft")))
    study.run(list(reversed(every)), workers)
    assert sorted(done) == sorted(experiment.key for experiment in every)
    assert ": 0 left" in capsys.readouterr().out


def test_a_stage_can_be_asked_for_some_of_its_seeds(monkeypatch, capsys):
    """Of a teacher, whose weights have a seed of their own, that of its data."""
    monkeypatch.setattr(study.experiments, "history", lambda experiment: None)
    monkeypatch.setattr(study.experiments, "exists", lambda experiment: False)
    monkeypatch.setattr(sys, "argv", ["study.py", "cascades", "--seeds", "1", "3", "--list"])
    study.main()
    assert capsys.readouterr().out == "cascades: 8 of 8 are missing\n"
