"""Experiments: equal ones have equal keys, each is trained once, damage and change are noticed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from math import nan
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from test_training import SHORT, TINY, experiment, interrupt, same, weights_of

from sftkd_core import data, experiments, sft, system
from sftkd_core.book import comparisons
from sftkd_core.book.plan import PHASE
from sftkd_core.book.setting import METHOD_NAMES, PLAN, PROFILES, Setting, numbers
from sftkd_core.distillation import METHODS, SHARE
from sftkd_core.experiments import Sampling, Schedule, objectives, running, store
from sftkd_core.experiments import experiment as values
from sftkd_core.system import InputError


def entry(home, wanted):
    return home / "store" / wanted.name


TEACHER = experiment(model="D3C5")
AT = experiment(objective="distil", teacher=TEACHER, method="at")
DISTILLED = {
    "plain": AT,
    "method": replace(AT, method="sp"),
    "variant": replace(AT, variant="released"),
    "taps": replace(AT, taps="images"),
    "share": replace(AT, share=0.2),
    "weight": replace(AT, weight=0.2),
    "joint": replace(AT, joint=False),
    "initial": replace(AT, initial=experiment()),
    "paraphrase": replace(AT, objective="paraphrase", method="ft"),
}


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
        *DISTILLED.values(),
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
    ({"share": 0.2}, "takes no share"),
    ({"variant": "released"}, "takes no variant"),
    ({"taps": "image"}, "takes no taps"),
    ({"released": True}, "takes no released"),
    ({"sft_weights": (1.0, 1.0, 0.0)}, "takes no sft_weights"),
    ({"objective": "sft", "student": "D2C5", "sft_weights": (1.0, 1.0)}, "three numbers"),
    ({"objective": "sft", "student": "D2C5", "sft_weights": (1.0, nan, 1.0)}, "three numbers"),
    ({"joint": False}, "takes no joint"),
    ({"weight": 0.2}, "takes no weight"),
    ({"branches": (1,)}, "takes no branches"),
    ({"norm": "huber"}, "unknown norm 'huber'; choose one of l1, mse"),
    ({"objective": "imitate"}, "needs teacher"),
    ({"objective": "imitate", "teacher": 0, "joint": False}, "takes no joint"),
    ({"objective": "imitate", "teacher": 0, "norm": "mse"}, "takes no norm"),
    ({"objective": "adversarial", "model": "DAGAN-narrow", "teacher": 0}, "takes no teacher"),
    ({"objective": "paraphrase", "teacher": 0}, "needs method"),
    ({"method": "at"}, "takes no method"),
    ({"objective": "distil", "teacher": 0, "method": "ft", "variant": "released"}, "no variant"),
    ({"objective": "distil", "teacher": 0, "method": "at", "taps": "flow"}, "'flow' do not fit"),
    ({"objective": "distil", "teacher": 0, "method": "sp", "schedule": Schedule(1, batch=1)},
     "batches of 1 slices: 'sp' compares.*at least 2"),
    ({"objective": "distil", "teacher": 0, "method": "pkt", "schedule": Schedule(1, batch=2)},
     "batches of 2 slices: 'pkt' compares.*at least 3"),
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
import textwrap
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
from sftkd_core import experiments, system
experiment().data.load("train"), experiment().data.load("validation")
resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))
try:
    experiments.run(experiment(), quiet=True)
except system.StorageError as error:
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
    assert json.loads(record_path.read_text())["code"] == wanted.code


def test_a_result_of_this_code_goes_before_a_stale_one_of_your_own(home, monkeypatch, tmp_path):
    wanted = experiment()
    experiments.run(wanted, quiet=True)
    monkeypatch.setattr(store, "PACKAGE", tmp_path / "package")
    shutil.copytree(entry(home, wanted), tmp_path / "package" / "shipped" / wanted.name)
    record_path = entry(home, wanted) / "result.json"
    stale = {**json.loads(record_path.read_text()), "code": "of another day"}
    record_path.write_text(json.dumps(stale))
    monkeypatch.setenv("SFTKD_SHIPPED", "yes")
    assert store.find(wanted.name, wanted.code)[1]["code"] == wanted.code  # and no warning
    store._warn_stale.cache_clear()
    with pytest.warns(UserWarning, match="another version"):
        assert store.find(wanted.name, "newer still")[1]["code"] == "of another day"


def test_an_evaluation_is_remembered_for_its_weights_images_and_code(home):
    asked = []

    def compute():
        asked.append(1)
        return pd.DataFrame({"subject": ["a"], "psnr": [30.0]})

    for code, times in (("one", 1), ("one", 1), ("two", 2)):
        found = store.remembered({}, compute, code)
        assert found["psnr"].tolist() == [30.0]
        assert len(asked) == times
    next((home / "evaluations").glob("*.csv")).write_bytes(b"damaged")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for code in ("one", "two"):
            store.remembered({}, compute, code)
    assert len(asked) == 3
    assert "computed again" in str(said[0].message)
    zero, one = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    cases = [{"w": zero}, {"w": one}, {"v": one}, {"w": zero, "images": one}]
    for count, case in enumerate(cases, 4):
        for _ in range(2):
            store.remembered(case, compute, "three")
            assert len(asked) == count


def test_weights_that_no_longer_fit_are_taken_for_absent(home):
    wanted, other = experiment(), experiment(model="D3C5")
    network = objectives.network(other)
    record = {"name": wanted.name, "provenance": {}, "history": []}
    store.put(wanted.name, network.state_dict(), record, wanted.code)
    with pytest.warns(UserWarning, match="other weights"):
        assert experiments.find(wanted) is None


def test_partners_that_do_not_fit_are_an_error_before_anything_is_trained(home):
    teacher = experiment(model="D5C5")
    wrong = experiment(objective="distil", method="at", model="VDSR-4", teacher=teacher)
    with pytest.raises(InputError, match="taps 3 places of VDSR-4 and 5 of D5C5"):
        experiments.run(wrong, quiet=True)
    assert not entry(home, teacher).exists()
    start = experiment()
    with pytest.raises(InputError, match="do not fit"):
        experiments.run(experiment(model="D3C5", initial=start), quiet=True)
    assert not entry(home, start).exists()
    with pytest.raises(InputError, match="trains a DAGAN, not a Cascade"):
        experiments.run(experiment(objective="adversarial"), quiet=True)


def test_a_student_of_a_stale_teacher_is_stale_too(home, monkeypatch):
    student = replace(AT, schedule=replace(SHORT, epochs=1))
    experiments.run(TEACHER, quiet=True)
    place = entry(home, TEACHER) / "result.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "code": "of another day"}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        experiments.run(student, quiet=True)
        assert experiments.exists(student)
    monkeypatch.setenv("SFTKD_STALE", "redo")
    assert not experiments.exists(student)
    experiments.run(student, quiet=True)  # and its teacher before it
    assert experiments.exists(student)


def test_a_stale_result_that_no_longer_fits_does_not_exist(home):
    wanted = experiment()
    record = {"name": wanted.name, "provenance": {}, "history": []}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for model, there in (("D3C5", False), ("D2C5", True)):
            network = objectives.network(experiment(model=model))
            store.put(wanted.name, network.state_dict(), record, "of another day")
            assert experiments.exists(wanted) == there


def test_an_entry_that_is_just_written_or_cannot_be_read_is_not_set_aside(home, monkeypatch):
    wanted = experiment()
    experiments.run(wanted, quiet=True)
    place = entry(home, wanted)
    read_bytes = Path.read_bytes

    def meanwhile(path):
        """Another process writes the entry anew, between reading its record and its weights."""
        if path.name == "weights.safetensors":
            (place / "result.json").unlink(missing_ok=True)
            return b"new weights"
        return read_bytes(path)

    record = read_bytes(place / "result.json")
    monkeypatch.setattr(Path, "read_bytes", meanwhile)
    assert experiments.find(wanted) is None
    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    (place / "result.json").write_bytes(record)

    def denied(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(system.StorageError, match="see to its permissions"):
        experiments.find(wanted)
    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert experiments.find(wanted) is not None
    assert not list(home.rglob("*.damaged-*"))


def test_a_resumed_training_keeps_the_precision_it_began_with(home, monkeypatch):
    wanted = experiment(precision="auto")
    interrupt(monkeypatch, saves=1)
    monkeypatch.setattr(system, "has_bfloat16", lambda device: True)
    with pytest.raises(KeyboardInterrupt):
        experiments.run(wanted, quiet=True)
    monkeypatch.setattr(system, "has_bfloat16", lambda device: False)  # on another machine
    assert experiments.run(wanted, quiet=True).provenance["precision"] == "bfloat16"


@pytest.mark.parametrize(("one", "other"), [
    ({"sft_weights": (1, 1, 4)}, {"sft_weights": [1.0, 1.0, 4.0]}),
    ({"sampling": Sampling(8)}, {"sampling": Sampling(8.0)}),
    ({"sampling": Sampling(4, phase=1)}, {"sampling": Sampling(4, phase=1.0)}),
    ({"schedule": Schedule(3, rate=1)}, {"schedule": Schedule(3, rate=1.0)}),
])  # fmt: skip
def test_equal_experiments_have_equal_keys(one, other):
    joint = {"objective": "sft", "student": "D2C5"}
    assert experiment(**joint, **one).key == experiment(**joint, **other).key


@pytest.mark.parametrize(("change", "message"), [
    ({"precision": "float16"}, "unknown precision 'float16'"),
    ({"sampling": Sampling("four")}, "acceleration is 'four'"),
    ({"joint": False, "weight": 5.0}, "no use for weight 5.0"),
    ({"joint": False, "norm": "mse"}, "no use for norm 'mse'"),
])  # fmt: skip
def test_what_would_be_ignored_or_fail_late_is_refused_at_once(change, message):
    with pytest.raises(InputError, match=message):
        replace(AT, **change)


def test_a_subject_may_be_called_na(home):
    table = pd.DataFrame({"subject": ["NA", "b"], "slice": [0, 0], "psnr": [30.0, float("inf")]})
    for _ in range(2):
        found = store.remembered({}, lambda: table, "code")
        assert found["subject"].tolist() == ["NA", "b"]
        assert found["psnr"].tolist() == [30.0, float("inf")]


def test_a_seed_that_torch_cannot_take_is_named():
    with pytest.raises(InputError, match="20240131123059"):
        Setting("smoke", seed=20240131123059)


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


def test_a_share_or_weight_has_one_key_however_it_is_written():
    for name in ("share", "weight"):
        assert replace(AT, **{name: 3}).key == replace(AT, **{name: 3.0}).key


def test_a_field_at_its_default_changes_no_key():
    """Keys as they were before any of these fields existed: of the fields that differ alone."""
    for wanted in (experiment(), AT):
        said = values.changed(wanted)
        assert not {"variant", "taps", "share", "weight", "joint", "released"} & set(said)
    spelt = replace(AT, variant="cited", taps=None, share=None, weight=None, joint=True)
    assert spelt.key == AT.key
    method_own = replace(AT, taps=AT.row.taps, share=AT.row.share)
    assert (
        method_own.key != AT.key
    )  # said, though the same: another experiment, should a default move


# Distillation from end to end.


def spy_on_teachers(monkeypatch):
    """The teachers and the paraphrasers that were asked what they know."""
    seen = []
    real = objectives.remember

    def remember(teacher, measurement, method, parts=(), *more):
        seen.append((teacher, list(parts)))
        return real(teacher, measurement, method, parts, *more)

    monkeypatch.setattr(objectives, "remember", remember)
    return seen


def test_factor_transfer_trains_its_paraphraser_once_and_leaves_it(home, monkeypatch):
    trained, seen = [], spy_on_teachers(monkeypatch)
    real = running._train
    monkeypatch.setattr(running, "_train", lambda e, *a: trained.append(e) or real(e, *a))
    ft = replace(AT, method="ft")
    first = experiments.run(ft, quiet=True)
    assert trained == [TEACHER, ft.paraphraser, ft]
    assert ft.paraphraser.schedule.epochs == 1  # a quarter of three, at least one
    fresh = objectives.network(ft.paraphraser).state_dict()
    learnt = experiments.find(ft.paraphraser).network.state_dict()
    assert not any(
        torch.equal(learnt[k], v) for k, v in fresh.items() if v.ndim == 4
    )  # every convolution moved
    for teacher, parts in seen:
        assert same(parts[0].state_dict(), {k[2:]: v for k, v in learnt.items()})
        assert not parts[0].training
        assert all(p.grad is None for p in [*teacher.parameters(), *parts[0].parameters()])
    assert first.network.parts
    assert not any("parts" in k for k in first.model.state_dict())
    others = [replace(ft, share=0.3), replace(ft, initial=experiment())]
    for other in others:
        assert other.paraphraser == ft.paraphraser
    experiments.run(others[0], quiet=True)
    assert trained == [TEACHER, ft.paraphraser, ft, others[0]]
    assert replace(ft, teacher=experiment(model="D5C5")).paraphraser != ft.paraphraser
    assert replace(ft, taps="hidden").paraphraser != ft.paraphraser
    assert AT.paraphraser is None


def test_the_store_is_asked_and_the_network_built_once(home, monkeypatch):
    experiments.run(TEACHER, quiet=True)
    asked, built = [], []
    find, network = store.find, objectives.network
    monkeypatch.setattr(store, "find", lambda name, code: asked.append(name) or find(name, code))
    monkeypatch.setattr(objectives, "network", lambda e: built.append(e.name) or network(e))
    experiments.run(AT, quiet=True)
    assert sorted(asked) == sorted(built) == sorted([TEACHER.name, AT.name])


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_and_leaves_its_teacher_alone(name, monkeypatch):
    seen = spy_on_teachers(monkeypatch)
    wanted = replace(AT, method=name, schedule=replace(SHORT, epochs=1))
    before = weights_of(experiments.run(TEACHER, quiet=True))
    result = experiments.run(wanted, quiet=True)
    assert same(weights_of(experiments.find(TEACHER)), before)
    assert len(seen) == 1
    for teacher, _ in seen:
        assert same(dict(teacher.state_dict()), before)
        assert not any(p.requires_grad for p in teacher.parameters())
    assert result.provenance["kd_weight"] > 0
    assert type(result.model).__name__ == "Cascade"
    moved = objectives.network(wanted).student.state_dict()
    assert all(not torch.equal(v, moved[k]) for k, v in result.model.state_dict().items())


def test_a_weight_that_is_given_is_the_weight():
    assert replace(AT, share=SHARE) == AT  # one experiment, one key
    given = experiments.run(replace(AT, weight=0.125), quiet=True)
    assert given.provenance["kd_weight"] == 0.125
    shares = [experiments.run(replace(AT, share=s), quiet=True) for s in (SHARE, 2 * SHARE)]
    weights = [r.provenance["kd_weight"] for r in shares]
    assert weights[1] == pytest.approx(2 * weights[0])
    default = experiments.run(AT, quiet=True)
    assert default.provenance["kd_weight"] == weights[0]
    assert same(weights_of(default), weights_of(shares[0]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": 0.0}, "weight is 0.0"),
        ({"share": -1.0}, "share is -1.0"),
        ({"share": float("nan")}, "share is nan"),
        ({"share": 0.5, "weight": 0.5}, "not both"),
    ],
)
def test_weights_that_mean_nothing_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        replace(AT, **changes)


@pytest.mark.parametrize(("name", "last"), [("at", (4, 0)), ("fitnets", (2, 0))])
def test_two_phases_train_features_and_then_the_image(name, last):
    """After the last tapped layer nothing moves, until the second phase moves all."""
    features = replace(AT, method=name, joint=False)
    first = experiments.run(features, quiet=True)
    assert first.provenance["kd_weight"] is None
    start = objectives.network(features).student
    moved = {
        (s, c)
        for s in range(5)
        for c in range(2)
        if not torch.equal(
            start.stages[s].convolutions[c].weight, first.model.stages[s].convolutions[c].weight
        )
    }
    assert moved == {(s, c) for s in range(5) for c in range(2) if (s, c) <= last}
    second = experiments.run(experiment(initial=features), quiet=True)
    for (name, weight), before in zip(
        second.model.named_parameters(), first.model.parameters(), strict=True
    ):
        assert not torch.equal(weight, before), name
    losses = first.history["validation_loss"]
    assert losses.iloc[-1] < losses.iloc[0]


def test_the_second_phase_starts_where_the_first_ended():
    features = replace(AT, joint=False)
    still = experiment(initial=features, schedule=replace(SHORT, epochs=1, rate=1e-30))
    first, second = (experiments.run(e, quiet=True) for e in (features, still))
    assert same(dict(first.model.state_dict()), dict(second.model.state_dict()))


def test_a_student_starts_from_its_branches_and_its_parts_from_the_seed():
    friendly = experiment(objective="sft", model="D3C5", student="D2C5")
    still = replace(SHORT, epochs=1, rate=1e-30)
    wanted = replace(AT, teacher=friendly, initial=friendly, method="fitnets", schedule=still)
    result = experiments.run(wanted, quiet=True)
    joint = experiments.find(friendly)
    assert same(dict(result.model.state_dict()), dict(joint.student.state_dict()))
    fresh = objectives.network(wanted).parts.state_dict()
    assert same(dict(result.network.parts.state_dict()), dict(fresh))


# The settings that chapters share.


def test_the_plan_names_every_method_from_both_teachers():
    setting = Setting("smoke")
    assert set(setting.names) <= set(PLAN)
    assert set(METHOD_NAMES) == set(METHODS)
    plain, friendly = setting.experiment("teacher"), setting.experiment("sft-teacher")
    for name, rows in METHODS.items():
        kd, sft_kd = setting.experiment(f"kd-{name}"), setting.experiment(f"sft-kd-{name}")
        for e, teacher in ((kd, plain), (sft_kd, friendly)):
            assert (e.objective, e.model, e.method) == ("distil", "D3C5", name)
            assert (e.variant, e.joint, e.teacher) == ("cited", True, teacher)
            assert (e.taps, e.weight, e.share) == (None, None, None)
        assert (kd.initial, sft_kd.initial) == (None, friendly)
        if "released" in rows:
            assert setting.experiment(f"kd-{name}-released") == replace(kd, variant="released")
        else:
            with pytest.raises(InputError, match="unknown experiment"):
                setting.experiment(f"kd-{name}-released")
    assert setting.experiment("kd-at") == setting.experiment("kd")
    random = setting.experiment("sft-kd-random")
    assert random == replace(setting.experiment("sft-kd"), initial=None)


def test_the_plan_shares_data_schedule_and_seed():
    setting = Setting("smoke", seed=3)
    for name in PLAN:
        e = setting.experiment(name)
        elsewhere = setting.elsewhere if name == "sft-teacher-elsewhere" else setting.dataset
        assert (e.data, e.seed) == (elsewhere, 3)
        sampling = setting.sampling
        if name.startswith("phase-"):
            sampling = replace(sampling, phase=PHASE)
        if name.startswith("sr-"):
            sampling = replace(sampling, pattern="centre")
        assert e.sampling == sampling
        if "-long" not in name:
            assert e.schedule == PROFILES["smoke"].schedule
        for earlier in e.earlier:
            assert (earlier.data == e.data) != (name == "sft-teacher-pretrained")
            assert earlier.sampling == e.sampling


def test_families_differ_in_the_networks_only():
    setting = Setting("smoke")
    spine = {name: setting.experiment(name) for name in ("kd", "sft-kd")}
    for suffix, teacher, student in (
        ("-D4C5", "D5C5", "D4C5"), ("-unet", "DC-UNet-tiny", "D3C5"), ("-released", "D5C5", "D3C5"),
    ):  # fmt: skip
        friendly = setting.experiment(f"sft-kd{suffix}")
        joint = setting.experiment(f"sft-teacher{suffix}")
        assert friendly.teacher == friendly.initial == joint
        assert (joint.model, joint.student, friendly.model) == (teacher, student, student)
        assert replace(friendly, model="D3C5", teacher=joint, initial=joint) == replace(
            spine["sft-kd"], teacher=joint, initial=joint
        )
    assert setting.experiment("kd-unet").teacher == setting.experiment("teacher-unet")
    assert setting.experiment("sft-kd-residual").initial is None  # as the original
    assert {setting.experiment(f"{n}-residual").norm for n in ("teacher", "kd", "sft-kd")} == {
        "mse"
    }
    assert setting.experiment("D4C5") == setting.experiment("student-D4C5")


def test_the_paper_profile_takes_the_networks_of_the_paper():
    setting = Setting("paper")
    networks = {n: setting.experiment(n).model for n in ("teacher-unet", "DAGAN", "sr-teacher")}
    assert networks == {"teacher-unet": "DC-UNet", "DAGAN": "DAGAN", "sr-teacher": "VDSR-12"}
    assert setting.experiment("sr-sft-teacher").student == "VDSR-4"


@pytest.mark.parametrize("data", ["brain", "cardiac"])
def test_elsewhere_is_the_other_anatomy_of_the_same_size(data):
    setting = Setting("smoke", data)
    assert {setting.dataset.name, setting.elsewhere.name} == {"brain", "cardiac"}
    assert setting.elsewhere.size == setting.dataset.size


def test_two_phases_of_the_plan():
    setting = Setting("smoke")
    second = setting.experiment("kd-two-phase")
    assert (second.objective, second.model) == ("reconstruct", "D3C5")
    assert second.initial == replace(setting.experiment("kd"), joint=False)
    friendly = setting.distil("ft", "sft-teacher", sft_start=True, share=0.3, seed=9)
    assert (friendly.share, friendly.seed, friendly.method) == (0.3, 9, "ft")
    assert friendly.initial == friendly.teacher == setting.experiment("sft-teacher")


def test_a_longer_experiment_builds_on_longer_ones():
    short = Setting("quick").experiment("sft-kd-ft")
    long, epochs = short.lengthened(3), short.schedule.epochs
    assert [e.schedule.epochs for e in (long, *long.earlier)] == [3 * epochs] * 3 + [15]
    assert long.paraphraser.teacher == long.initial == short.initial.lengthened(3)
    assert replace(long.initial, schedule=short.schedule) == short.initial
    assert short.lengthened(1) == short


@pytest.mark.parametrize("factor", [0, -1, 1.5, "2"])
def test_a_factor_that_is_no_whole_number_is_refused(factor):
    with pytest.raises(InputError, match=r"factor is .*; pass a whole number"):
        experiment().lengthened(factor)


def test_the_plan_names_fair_controls():
    setting = Setting("smoke")
    plan = {name: setting.experiment(name) for name in PLAN}
    assert len({e.key for e in plan.values()}) == len(PLAN)
    assert plan["student-long"].schedule.epochs == (
        plan["sft-teacher"].schedule.epochs + plan["sft-kd"].schedule.epochs
    )
    assert plan["student-twice"] == replace(plan["student"], initial=plan["student"])
    assert plan["sft-finetuned"].initial == plan["sft-kd"].initial == plan["sft-teacher"]
    assert plan["sft-finetuned"].schedule == plan["sft-kd"].schedule
    assert plan["kd"].teacher == plan["teacher"]
    assert plan["sft-kd-random"].initial is None
    random, long = plan["sft-kd-random"], plan["sft-kd-random-long"]
    assert long == replace(random, schedule=plan["student-long"].schedule)
    assert plan["kd-long"] == replace(plan["kd"], schedule=plan["student-long"].schedule)
    assert setting.experiment("D5C5") == plan["teacher"]


@pytest.mark.parametrize(("changes", "message"), [
    ({"profile": "fast"}, "smoke, quick, study, paper"),
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
    ({"data": "~nobody-of-this-name/x"}, "~nobody-of-this-name/x.*whole path"),
    ({"device": "abacus"}, "abacus"),
    ({"device": None}, 'device is None; pass "auto"'),
])  # fmt: skip
def test_wrong_parameters_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        Setting(**{"profile": "smoke", **changes})


@pytest.mark.parametrize("given", ["brain/", "./brain", "cardiac/", "./acdc", "acdc//"])
def test_a_path_is_no_name_of_a_data_set(given, tmp_path, monkeypatch):
    """Only the very word is: a folder that is called so stays a folder."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="neither"):
        Setting("smoke", given)
    Path(given).mkdir()
    setting = Setting("smoke", given)
    assert not setting.dataset.synthetic
    assert Path(setting.data) == Path(given)
    assert Setting("smoke", setting.data) == setting
    with pytest.raises(InputError, match="holds 0 NIfTI volumes"):
        setting.dataset.load("test")


def test_a_parameter_holds_numbers_or_one():
    assert numbers("0 1 2") == [0, 1, 2]
    assert numbers("0.1 3") == [0.1, 3]
    assert numbers(3) == numbers("3") == [3]
    assert numbers("") == []
    assert type(numbers("3.0")[0]) is int  # a seed by the name of 3.0


@pytest.mark.parametrize("given", ["one", "0, 1", "nan", "1 inf", None])
def test_a_parameter_without_numbers_is_named(given):
    with pytest.raises(InputError, match="is no list of numbers; write it as in"):
        numbers(given)


def test_a_path_has_one_spelling(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "scans").mkdir()
    spellings = ("~/scans", f"{tmp_path}/scans/", f"{tmp_path}//./scans")
    assert {Setting("smoke", s).data for s in spellings} == {str(tmp_path / "scans")}
    assert Setting("smoke", "cardiac").data == "cardiac"


def test_subjects_are_those_of_the_test_set_however_an_evaluation_is_remembered(tmp_path):
    values = data.brain_phantom(70, 48, 4).slices.transpose(2, 1, 0)
    tables = {}
    for name in ("one", "other"):  # the same images
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / f"{name}.nii")
        tables[name] = Setting("smoke", str(tmp_path / f"{name}.nii")).evaluate("zero-filled")
        assert set(tables[name]["subject"]) == {name}
    one, other = (table.drop(columns="subject") for table in tables.values())
    assert one.equals(other)


def test_a_grid_of_which_nothing_was_run_has_no_rows():
    settings = [Setting("smoke"), Setting("smoke", seed=1)]
    nothing = comparisons.evaluate(settings, ["student", "teacher"])
    assert nothing.empty
    some = comparisons.evaluate(settings, ["student", "zero-filled"])
    assert list(nothing.columns) == list(some.columns)
    assert nothing.groupby("name")["psnr"].mean().empty


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
