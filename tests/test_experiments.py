"""Experiments: equal ones have equal keys, each is trained once, damage and change are noticed."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from test_training import SHORT, TINY, experiment, same, weights_of

from sftkd_core import experiments, sft, store
from sftkd_core.errors import InputError
from sftkd_core.experiments import Sampling
from sftkd_core.settings import PLAN, PROFILES, Setting


def entry(home, wanted):
    return home / "store" / wanted.name


def test_keys_tell_everything_apart_and_are_the_same_everywhere():
    one = experiment()
    variants = [
        one,
        experiment(model="D3C5"),
        experiment(seed=1),
        experiment(sampling=Sampling(5)),
        experiment(schedule=replace(SHORT, epochs=4)),
        experiment(data=replace(TINY, seed=3)),
        experiment(initial=one),
        experiment(precision="bfloat16"),
    ]
    assert len({e.key for e in variants}) == len(variants)
    assert experiment().key == one.key
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_training import experiment\nprint(experiment().key)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, Path(__file__).parent],
        capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert run.stdout.strip() == one.key


@pytest.mark.parametrize(("changes", "message"), [
    ({"objective": "learn"}, "unknown objective"),
    ({"model": "D9C9"}, "D9C9"),
    ({"objective": "sft"}, "needs student"),
    ({"student": "D2C5"}, "takes no student"),
    ({"objective": "distil", "method": "at"}, "needs teacher"),
    ({"objective": "distil", "teacher": 0, "method": "magic"}, "magic"),
])  # fmt: skip
def test_contradictions_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        experiment(**changes)


def test_a_result_is_remembered_with_its_provenance(home):
    first = experiments.run(experiment(), quiet=True)
    written = (entry(home, experiment()) / "weights.safetensors").stat().st_mtime_ns
    again = experiments.run(experiment(), quiet=True)
    assert (entry(home, experiment()) / "weights.safetensors").stat().st_mtime_ns == written
    assert same(weights_of(first), weights_of(again))
    assert again.history.equals(first.history)
    for name in ("seed", "data", "commit", "hardware", "precision", "versions", "seconds"):
        assert name in again.provenance or name in again.provenance["experiment"], name
    assert "synthetic" in again.provenance["data"]
    left = {path.name for path in entry(home, experiment()).iterdir()}
    assert left == {"weights.safetensors", "result.json", "log.jsonl"}


def test_initial_weights_are_those_of_the_branches():
    teacher = experiment(objective="sft", model="D3C5", student="D2C5")
    # a learning rate too small to move a float32 weight shows where training began
    still = replace(SHORT, epochs=1, rate=1e-30)
    started = experiments.run(experiment(initial=teacher, schedule=still), quiet=True)
    joint = experiments.run(teacher, quiet=True)
    assert isinstance(joint.network, sft.StudentFriendlyTeacher)
    assert same(weights_of(started), dict(joint.student.state_dict()))
    assert joint.model is joint.network.teacher


def test_two_processes_train_an_experiment_once(home, environment):
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from test_training import experiment, Schedule
from sftkd_core import experiments
wanted = experiment(schedule=Schedule(epochs=60, decay="cosine"))
print(experiments.run(wanted).provenance["started"])
"""
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env=environment, **pipes) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert outputs[0][0] == outputs[1][0] != ""
    assert sum("training" in errors for _, errors in outputs) == 1


@pytest.mark.parametrize("name", ["weights.safetensors", "result.json"])
def test_a_damaged_entry_is_set_aside_and_trained_again(name, home):
    wanted = experiment()
    before = weights_of(experiments.run(wanted, quiet=True))
    path = entry(home, wanted) / name
    payload = bytearray(path.read_bytes())
    payload[len(payload) // 2] ^= 0xFF
    path.write_bytes(payload)
    with pytest.warns(UserWarning, match="set aside"):
        after = experiments.run(wanted, quiet=True)
    assert same(before, weights_of(after))
    assert entry(home, wanted).with_name(wanted.name + ".damaged-1").is_dir()


def test_an_entry_without_its_record_is_not_one(home):
    wanted = experiment()
    experiments.run(wanted, quiet=True)
    (entry(home, wanted) / "result.json").unlink()
    assert experiments.find(wanted) is None


def test_a_full_disk_is_named_and_leaves_no_entry(home, environment):
    code = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from test_training import experiment
from sftkd_core import experiments, storage
experiment().data.load("train"), experiment().data.load("validation")
resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))
try:
    experiments.run(experiment(), quiet=True)
except storage.StorageError as error:
    print(error)
"""
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert "no room to write" in run.stdout, run
    assert "checkpoint.safetensors" in run.stdout
    assert experiments.find(experiment()) is None
    parts = [p for p in home.rglob("*") if p.name.endswith((".part", ".safetensors"))]
    assert parts == []


def test_stale_results_are_used_with_a_warning_or_made_again(home, monkeypatch):
    wanted = experiment()
    experiments.run(wanted, quiet=True)
    record_path = entry(home, wanted) / "result.json"
    record = json.loads(record_path.read_text())
    record_path.write_text(json.dumps({**record, "code": "of another day"}))
    store._warn_stale.cache_clear()
    with pytest.warns(UserWarning, match="SFTKD_STALE=redo"):
        assert experiments.find(wanted) is not None
    monkeypatch.setenv("SFTKD_STALE", "redo")
    assert experiments.find(wanted) is None
    experiments.run(wanted, quiet=True)
    assert json.loads(record_path.read_text())["code"] == store.code_fingerprint()


def test_a_checkpoint_of_other_code_is_not_resumed(home):
    wanted = experiment()
    place = entry(home, wanted)
    place.mkdir(parents=True)
    (place / "checkpoint.safetensors").write_bytes(b"of another day")
    (place / "code.txt").write_text("of another day")
    assert len(experiments.run(wanted, quiet=True).history) == 3  # and no warning


def test_shipped_results_serve_where_nothing_was_run(home, monkeypatch, tmp_path):
    wanted = experiment()
    before = weights_of(experiments.run(wanted, quiet=True))
    monkeypatch.setattr(store, "PACKAGE", tmp_path / "package")
    (tmp_path / "package").mkdir()
    entry(home, wanted).rename(tmp_path / "package" / "moved")
    (tmp_path / "package" / "shipped").mkdir()
    (tmp_path / "package" / "moved").rename(tmp_path / "package" / "shipped" / wanted.name)
    assert experiments.find(wanted) is None  # SFTKD_SHIPPED=no in tests
    monkeypatch.setenv("SFTKD_SHIPPED", "yes")
    assert same(weights_of(experiments.find(wanted)), before)


def test_the_fingerprint_ignores_comments_and_docstrings():
    plain = "def f(x):\n    return x + 1\n"
    dressed = '"""Why."""\n\n\ndef f(x):\n    """What."""\n    return x + 1  # how\n'
    assert store._skeleton(plain) == store._skeleton(dressed)
    assert store._skeleton(plain) != store._skeleton(plain.replace("1", "2"))


# The settings that chapters share.


def test_the_plan_names_fair_controls():
    setting = Setting("smoke")
    plan = {name: setting.experiment(name) for name in PLAN}
    assert len({e.key for e in plan.values()}) == len(PLAN)
    assert plan["student-long"].schedule.epochs == (
        plan["sft-teacher"].schedule.epochs + plan["sft-kd"].schedule.epochs
    )
    assert plan["sft-finetuned"].initial == plan["sft-kd"].initial == plan["sft-teacher"]
    assert plan["sft-finetuned"].schedule == plan["sft-kd"].schedule
    assert plan["kd"].teacher == plan["teacher"]
    assert plan["sft-kd-random"].initial is None
    assert setting.experiment("D5C5") == plan["teacher"]


@pytest.mark.parametrize(("changes", "message"), [
    ({"profile": "fast"}, "smoke, quick, paper"),
    ({"acceleration": 0.5}, ">= 1"),
    ({"acceleration": "4"}, "number >= 1"),
    ({"acceleration": True}, "number >= 1"),
    ({"acceleration": float("nan")}, ">= 1"),
    ({"acceleration": float("inf")}, ">= 1"),
    ({"acceleration": 1000}, "leaves 0"),
    ({"seed": -1}, "whole number"),
    ({"seed": 1.5}, "whole number"),
    ({"data": "brian"}, "brian"),
    ({"data": ""}, "path"),
    ({"device": "abacus"}, "abacus"),
])  # fmt: skip
def test_wrong_parameters_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        Setting(**{"profile": "smoke", **changes})


def test_four_and_four_point_zero_are_one_experiment():
    keys = {Setting("smoke", acceleration=a).experiment("student").key for a in (4, 4.0)}
    assert len(keys) == 1


def test_a_setting_end_to_end():
    setting = Setting("smoke")
    assert setting.synthetic
    table = setting.evaluate("student")
    assert len(table) == PROFILES["smoke"].test * PROFILES["smoke"].slices
    assert table["subject"].nunique() == PROFILES["smoke"].test
    zero_filled = setting.evaluate("zero-filled")
    assert (table["psnr"] > zero_filled["psnr"]).all()
    with pytest.raises(InputError, match="unknown experiment"):
        setting.run("nonsense")


def test_training_never_sees_test_subjects():
    setting = Setting("smoke")
    splits = {name: set(setting.dataset.load(name).subjects) for name in ("train", "validation")}
    test = set(setting.test_set.subjects)
    assert not test & (splits["train"] | splits["validation"])
    assert not splits["train"] & splits["validation"]


def test_experiments_are_hashable_and_frozen():
    wanted = experiment()
    assert hash(wanted) == hash(experiment())
    with pytest.raises(AttributeError):
        wanted.seed = 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_killed_at_any_write_the_next_run_ends_with_the_same_bits(home, monkeypatch):
    """SIGKILL at the n-th rename, for every n: phantoms, checkpoints, logs, the store's entry."""
    wanted = experiment(schedule=replace(SHORT, epochs=2))
    whole = weights_of(experiments.run(wanted, quiet=True))
    for kill_at in range(100):
        monkeypatch.setenv("SFTKD_HOME", str(home / f"killed-{kill_at}"))
        child = os.fork()
        if child == 0:  # dies with its n-th file written beside its place, but not yet in it
            _kill_at_rename(kill_at)
            experiments.run(wanted, quiet=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert same(weights_of(experiments.run(wanted, quiet=True)), whole), kill_at
    assert kill_at > 10


def _kill_at_rename(number: int) -> None:
    rename, calls = os.replace, []

    def replace_or_die(*arguments):
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        calls.append(arguments)
        rename(*arguments)

    os.replace = replace_or_die
