"""The loop: schedules, bit-equal resume after a kill, and what is kept."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from sftkd_core import data, experiments, masks, models, system
from sftkd_core.consistency import measure
from sftkd_core.data import Dataset
from sftkd_core.experiments import Experiment, Sampling, losses, training
from sftkd_core.experiments.experiment import Schedule
from sftkd_core.system import InputError

TINY = Dataset("brain", 32, 3, 2, 1, 1)
SHORT = Schedule(epochs=3, decay="cosine")


def experiment(**changes) -> Experiment:
    common = {"data": TINY, "schedule": SHORT, "precision": "float32"}
    return Experiment(**{"objective": "reconstruct", "model": "D2C5", **common, **changes})


def weights_of(result) -> dict:
    return {name: value.clone() for name, value in result.network.state_dict().items()}


def same(one: dict, two: dict) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def interrupt(monkeypatch, saves: int) -> None:
    """Break training off behind that checkpoint, once."""
    save, calls = training._save, []

    def stop(*arguments):
        save(*arguments)
        calls.append(1)
        if len(calls) == saves:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "_save", stop)


def test_schedules():
    step = Schedule(epochs=150)
    assert [step.rate_at(e) for e in (0, 39)] == [1e-3, 1e-3]
    assert step.rate_at(40) == pytest.approx(1e-4)
    assert step.rate_at(149) == pytest.approx(1e-6)
    cosine = Schedule(epochs=10, decay="cosine", rate=0.5)
    assert cosine.rate_at(0) == 0.5
    assert cosine.rate_at(5) == pytest.approx(0.25)
    assert 0 < cosine.rate_at(9) < 0.02


@pytest.mark.parametrize("arguments", [
    {"epochs": 0}, {"epochs": 1, "batch": 0}, {"epochs": 1, "rate": 0},
    {"epochs": 1, "rate": float("nan")}, {"epochs": 1, "decay": "linear"},
])  # fmt: skip
def test_impossible_schedules_are_refused(arguments):
    with pytest.raises(InputError):
        Schedule(**arguments)


def plain_adam(images, mask, epochs, seed):
    """The recipe written out: Adam, L1, the same batches; the network of the best epoch."""
    train, held = images
    network = models.build("D2C5", seed)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    best = (np.inf, None)
    for epoch in range(epochs):
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * 0.5 * (1 + np.cos(np.pi * epoch / epochs))
        for batch in training._batches(len(train), 4, seed, epoch):
            optimiser.zero_grad()
            image = network(measure(train[batch], mask))
            (image - train[batch]).abs().mean().backward()
            optimiser.step()
        with torch.no_grad():
            loss = (network(measure(held, mask)) - held).abs().mean().item()
        if loss < best[0]:
            best = (loss, {k: v.clone() for k, v in network.state_dict().items()})
    return best


def test_the_loop_is_the_recipe_written_out():
    wanted = experiment()
    images = TINY.load("train").images, TINY.load("validation").images
    loss, weights = plain_adam(images, wanted.sampling.mask(32), 3, 0)
    result = experiments.run(wanted, quiet=True)
    for name, value in result.network.state_dict().items():
        assert torch.allclose(value, weights[name], atol=2e-4), name  # a step moves by 1e-3
    assert result.history["validation_loss"].min() == pytest.approx(loss, rel=1e-3)


def test_every_slice_is_seen_once_an_epoch_in_an_order_of_its_own():
    orders = [torch.cat(training._batches(10, 4, 0, epoch)) for epoch in range(3)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(10))
    assert not torch.equal(orders[0], orders[1])
    assert torch.equal(orders[2], torch.cat(training._batches(10, 4, 0, 2)))


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 8])
def test_no_slice_is_left_over_alone(batch):
    for examples in range(1, 30):
        batches = training._batches(examples, batch, 0, 0)
        assert sorted(torch.cat(batches).tolist()) == list(range(examples))
        sizes = [len(b) for b in batches]
        assert set(sizes[:-1]) <= {batch}
        if examples > 1 and batch > 1:
            assert min(sizes) >= 2
        assert max(sizes) <= batch + (examples % batch == 1 and batch > 1)


def test_a_loss_that_is_not_finite_is_an_error_that_names_the_rate(tmp_path):
    def broken(network, indices):
        return next(network.parameters()).sum() * float("nan")

    with pytest.raises(InputError, match=r"learning rate below 0\.001"):
        training.fit(
            models.build("D2C5"), broken, lambda network: {"loss": 1.0}, 4, SHORT, tmp_path
        )


def test_best_epoch_is_kept_not_the_last(tmp_path):
    network = models.build("D2C5", 0)
    start = next(network.parameters()).detach().clone()
    seen, values = [], iter([3.0, 1.0, 2.0])

    def validate(net):
        assert not net.training  # a batch norm must not learn from validation slices
        assert not torch.is_grad_enabled()
        seen.append(next(net.parameters()).detach().clone())
        return {"loss": next(values), "psnr": 0.0}

    def move(net, indices):
        assert net.training
        return next(net.parameters()).sum()

    history = training.fit(network, move, validate, 4, SHORT, tmp_path)
    assert torch.equal(next(network.parameters()), seen[1])
    assert not torch.equal(seen[1], start)
    assert not network.training
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert logged == history
    assert [row["epoch"] for row in logged] == [1, 2, 3]


def test_the_best_epoch_survives_an_interruption(tmp_path, monkeypatch):
    seen = []

    def judge(*values):
        left = iter(values)

        def validate(net):
            seen.append(next(net.parameters()).detach().clone())
            return {"loss": next(left), "psnr": 0.0}

        return validate

    def move(net, indices):
        return next(net.parameters()).sum()

    interrupt(monkeypatch, saves=2)
    with pytest.raises(KeyboardInterrupt):
        training.fit(models.build("D2C5", 0), move, judge(1.0, 3.0), 4, SHORT, tmp_path)
    network = models.build("D2C5", 1)  # whatever is right in it must come from the checkpoint
    training.fit(network, move, judge(2.0), 4, SHORT, tmp_path)
    assert len(seen) == 3
    assert torch.equal(next(network.parameters()), seen[0])


@pytest.mark.parametrize("objective", ["reconstruct", "sft", "distil"])
def test_interrupted_training_ends_with_the_same_bits(objective, monkeypatch, tmp_path):
    joint = experiment(objective="sft", model="D3C5", student="D3C5")
    distil = {"objective": "distil", "model": "D3C5", "method": "at", "teacher": joint}
    wanted = {"reconstruct": experiment(), "sft": joint, "distil": experiment(**distil)}[objective]
    whole = weights_of(experiments.run(wanted, quiet=True))

    monkeypatch.setenv("SFTKD_HOME", str(tmp_path / "second"))
    real = training._save
    calls = []

    def stop_in_the_middle(*arguments):
        real(*arguments)
        calls.append(len(arguments[-1]))
        if len(calls) == 2:
            raise KeyboardInterrupt

    if wanted.teacher is not None:
        experiments.run(wanted.teacher, quiet=True)
    monkeypatch.setattr(training, "_save", stop_in_the_middle)
    with pytest.raises(KeyboardInterrupt):
        experiments.run(wanted, quiet=True)
    assert experiments.find(wanted) is None
    result = experiments.run(wanted, quiet=True)
    assert calls == [1, 2, 3]  # epochs 1 and 2 were not repeated
    assert same(weights_of(result), whole)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize(("method", "objective", "saves"), [
    ("ft", "distil", 2), ("ft", "distil", 3), ("ft", "paraphrase", 1),
    ("fitnets", "distil", 2), ("sp", "distil", 2), ("sp", "two-phase", 1),
])  # fmt: skip
def test_killed_distillation_ends_with_the_same_bits(method, objective, saves, home, monkeypatch):
    """SIGKILL right after the n-th epoch; the rest happens in another process."""
    teacher = experiment(objective="sft", model="D3C5", student="D2C5")
    distil = {"objective": "distil", "method": method, "teacher": teacher, "initial": teacher}
    wanted = experiment(**distil, joint=objective != "two-phase")
    victim = wanted.paraphraser if objective == "paraphrase" else wanted
    whole = experiments.run(wanted, quiet=True)

    monkeypatch.setenv("SFTKD_HOME", str(home / "second"))
    child = os.fork()
    if child == 0:
        _kill_after_save(saves, victim.name)
        experiments.run(wanted, quiet=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
    place = system.home() / "store" / victim.name
    assert (place / "checkpoint.safetensors").exists()
    assert experiments.find(victim) is None

    lengths = []
    real = training._save
    monkeypatch.setattr(
        training, "_save", lambda *a: (lengths.append((a[0].parent.name, len(a[-1]))), real(*a))
    )
    torch.rand(3)  # nothing depends on the state of torch's generator
    resumed = experiments.run(wanted, quiet=True)
    epochs = [count for name, count in lengths if name == victim.name]
    assert epochs == list(range(saves + 1, victim.schedule.epochs + 1))
    assert same(weights_of(whole), weights_of(resumed))
    ours, theirs = (r.history.drop(columns="seconds") for r in (whole, resumed))
    assert ours.equals(theirs)
    assert resumed.provenance["kd_weight"] == whole.provenance["kd_weight"]
    assert (whole.provenance["kd_weight"] is None) == (objective == "two-phase")


def _kill_after_save(number: int, name: str) -> None:
    real, calls = training._save, []

    def save_and_die(path, *arguments):
        real(path, *arguments)
        calls.append(path.parent.name)
        if calls.count(name) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    training._save = save_and_die


CODE = """
import sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from test_training import experiment, Schedule
from sftkd_core import experiments
experiments.run(experiment(model="D3C5", schedule=Schedule(epochs=24, decay="cosine")), quiet=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.6])
def test_killed_training_ends_with_the_same_bits(delay, home, environment, tmp_path):
    wanted = experiment(model="D3C5", schedule=Schedule(epochs=24, decay="cosine"))
    command = [sys.executable, "-c", CODE, str(Path(__file__).parent)]
    killed_at = []
    for attempt in range(2):
        process = subprocess.Popen(command, env=environment)
        log = home / "store" / wanted.name / "log.jsonl"
        epochs = 3 + 8 * attempt
        while process.poll() is None and _lines(log) < epochs:
            time.sleep(0.005)
        time.sleep(delay / 10)
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed_at.append(_lines(log))
    assert 3 <= killed_at[0] <= killed_at[1]
    resumed = experiments.run(wanted, quiet=True)
    assert len(resumed.history) == 24
    _forget(home)
    assert same(weights_of(resumed), weights_of(experiments.run(wanted, quiet=True)))


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def _forget(home: Path) -> None:
    (home / "store").rename(home / "store-before")


def test_damaged_checkpoint_is_set_aside(tmp_path):
    (tmp_path / "checkpoint.safetensors").write_bytes(b"rubbish" * 10)
    network = models.build("D2C5", 0)
    validation = _examples()
    with pytest.warns(UserWarning, match="cannot be resumed from"):
        history = training.fit(
            network,
            losses.reconstruction(validation),
            losses.validate_image(validation),
            3,
            SHORT,
            tmp_path,
        )
    assert len(history) == 3


def _examples() -> losses.Examples:
    images = torch.from_numpy(data.brain_phantom(0, 32, 3).slices)[:, None]
    return losses.Examples(measure(images, masks.cartesian_mask(32, 3, 0, 4)), images)


def test_unknown_precision_is_refused():
    with pytest.raises(InputError, match="float16"):
        training.autocast(torch.device("cpu"), "float16")


def test_reconstruct_joins_batches():
    model, examples = models.build("D2C5", 0), _examples()
    parts = training.reconstruct(model, examples.measurement, batch=2)
    with torch.no_grad():
        assert torch.allclose(parts, model(examples.measurement), atol=1e-6)


def test_sampling_never_asks_for_more_centre_than_lines():
    for lines in (16, 32, 96, 240):
        for acceleration in (1, 2.5, 4, 12):
            mask = Sampling(acceleration).mask(lines)
            assert mask.sum() == int(lines / acceleration)


def test_nothing_is_written_outside_the_home(home):
    experiments.run(experiment(), quiet=True)
    assert {path.name for path in system.home().iterdir()} == {"store", "phantoms"}


def test_reconstruct_keeps_convolutions_of_gpus_in_full_float32():
    class Asks(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, measurement):
            seen.append(torch.backends.cudnn.allow_tf32)
            return measurement.zero_filled

    seen, before = [], torch.backends.cudnn.allow_tf32
    training.reconstruct(Asks(), _examples().measurement)
    assert set(seen) == {False}
    assert torch.backends.cudnn.allow_tf32 == before
