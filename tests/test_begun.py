"""Trainings that are begun: kept beside the results, taken up elsewhere, shown as they are."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from sftkd_core import experiments
from sftkd_core.book import Setting
from sftkd_core.data import Dataset
from sftkd_core.experiments import Experiment, Schedule, store
from sftkd_core.experiments.running import with_earlier

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

import begun
import study
from wheel_index import index_of

RESULTS = begun.ROOT / "results"

SHORT = Experiment("reconstruct", "D2C5", Dataset("brain", 32, 2, 2, 1, 1), schedule=Schedule(4))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A repository without results, and two homes."""
    monkeypatch.setattr(begun, "ROOT", tmp_path / "clone")
    monkeypatch.setattr(store, "PACKAGE", tmp_path / "clone" / "sftkd_core")
    monkeypatch.setattr(study, "wanted", lambda stage: [SHORT])
    monkeypatch.setenv("SFTKD_SHIPPED", "yes")
    return tmp_path / "one", tmp_path / "other"


def stop_after(count: int, monkeypatch) -> None:
    """Train SHORT, and be stopped when so many epochs are written."""
    written = experiments.training._save

    def save(path, network, optimiser, best, history):
        if len(history) > count:
            raise KeyboardInterrupt
        written(path, network, optimiser, best, history)

    with monkeypatch.context() as patch:
        patch.setattr(experiments.training, "_save", save)
        with pytest.raises(KeyboardInterrupt):
            experiments.run(SHORT, "cpu", quiet=True)


def call(way: str, home: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["begun.py", way, str(home)])
    begun.main()


def logged(place: Path) -> list[dict]:
    return [json.loads(line) for line in (place / store.LOG).read_text().splitlines()]


def test_another_machine_goes_on_to_the_same_bits(elsewhere, monkeypatch, capsys):
    one, other = elsewhere
    monkeypatch.setenv("SFTKD_HOME", str(one))
    stop_after(2, monkeypatch)
    call("keep", one, monkeypatch)
    assert capsys.readouterr().out == f"{SHORT.name}: 2 of 4 epochs\n"
    call("keep", one, monkeypatch)
    assert capsys.readouterr().out == ""  # there already
    monkeypatch.setenv("SFTKD_HOME", str(other))
    assert len(experiments.progress(SHORT)) == 2  # as far as it has come, from the results
    assert experiments.history(SHORT) is None
    call("take", other, monkeypatch)
    resumed = experiments.run(SHORT, "cpu", quiet=True)
    call("take", other, monkeypatch)  # nothing to take, and nothing of the clone's is touched
    assert begun.epochs(begun.ROOT / "results" / store.BEGUN / SHORT.name) == 2
    call("keep", other, monkeypatch)
    assert not list((begun.ROOT / "results" / store.BEGUN).iterdir())  # finished: not begun
    assert len(experiments.progress(SHORT)) == 4
    kept = logged(one / "store" / SHORT.name)
    assert kept == resumed.history[:2].to_dict("records")
    monkeypatch.setenv("SFTKD_HOME", str(one))
    there = experiments.run(SHORT, "cpu", quiet=True).network.state_dict()
    for name, value in resumed.network.state_dict().items():
        assert torch.equal(value, there[name])


def test_an_earlier_state_never_replaces_a_later_one(elsewhere, monkeypatch):
    one, other = elsewhere
    for home, count in ((one, 1), (other, 3)):
        monkeypatch.setenv("SFTKD_HOME", str(home))
        stop_after(count, monkeypatch)
    call("keep", one, monkeypatch)
    call("take", other, monkeypatch)
    assert begun.epochs(other / "store" / SHORT.name) == 3
    call("keep", other, monkeypatch)
    assert begun.epochs(begun.ROOT / "results" / store.BEGUN / SHORT.name) == 3


def test_a_training_that_nobody_began_has_no_progress(elsewhere, monkeypatch):
    monkeypatch.setenv("SFTKD_HOME", str(elsewhere[0]))
    assert experiments.progress(SHORT) is None


def test_what_is_begun_here_can_go_on_with_todays_code():
    wanted = {e.name: e for e in with_earlier(study.wanted("paper's size"))}
    for place in sorted((RESULTS / store.BEGUN).glob("*")):
        experiment = wanted[place.name]
        code, precision = (place / "code.txt").read_text().split()
        assert (code, precision) == (experiment.code, "bfloat16")
        with safe_open(place / "checkpoint.safetensors", framework="pt") as file:
            history = json.loads(file.metadata()["history"])
        assert history == logged(place)
        assert 0 < len(history) < experiment.schedule.epochs


def test_a_wheel_knows_the_logs_and_leaves_the_checkpoints():
    known = {name for name in index_of(RESULTS)["files"] if name.startswith(store.BEGUN)}
    places = (RESULTS / store.BEGUN).glob("*")
    assert known == {f"{store.BEGUN}/{place.name}/{store.LOG}" for place in places}


def test_teacher_and_student_of_the_papers_size_come_first():
    order = [e.name for e in with_earlier(study.wanted("paper's size"))]
    full = Setting("paper", "brain", 4, 0)
    assert order[:2] == [full.experiment(n).name for n in ("teacher", "student")]
