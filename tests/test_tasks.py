"""Objectives beyond the spine: imitation, adversaries, MSE, some branches; and their networks."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from test_training import SHORT, TINY, experiment, interrupt, same, weights_of

from sftkd_core import experiments, metrics, models, sft
from sftkd_core.book.setting import Setting
from sftkd_core.consistency import measure
from sftkd_core.experiments import losses, objectives
from sftkd_core.experiments.experiment import Sampling
from sftkd_core.models import dagan
from sftkd_core.models.dagan import (
    Discriminator,
    LossWeights,
    adversarial_loss,
    discriminator_loss,
    frequency_loss,
    pixel_loss,
)
from sftkd_core.sft import NORMS
from sftkd_core.system import InputError

INDICES = torch.tensor([0, 2])


def examples(phase=0.0, size=32):
    images = torch.rand(3, 1, size, size, generator=torch.Generator().manual_seed(1))
    return experiments.Examples(Sampling(3, phase=phase).measure(images), images)


def gradients(network, loss):
    network.zero_grad()
    loss.backward()
    return {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


# Norms


def test_norms_are_means():
    a, b = torch.randn(2, 3, 1, 4, 5, dtype=torch.float64)
    assert NORMS["l1"](a, b).item() == pytest.approx((a - b).numpy().__abs__().mean(), rel=1e-12)
    assert NORMS["mse"](a, b).item() == pytest.approx(((a - b).numpy() ** 2).mean(), rel=1e-12)


def test_sft_by_another_norm():
    teacher, target, branches = *torch.rand(2, 2, 1, 6, 6), torch.rand(4, 2, 1, 6, 6)
    terms = sft.loss(teacher, branches, target, (1, 2, 3), norm=NORMS["mse"])
    expected = [
        (teacher - target).square().mean(),
        torch.stack([(b - target).square().mean() for b in branches]).mean(),
        torch.stack([(b - teacher).square().mean() for b in branches]).mean(),
    ]
    for found, value in zip((terms.teacher, terms.student, terms.imitation), expected, strict=True):
        assert torch.allclose(found, value)
    assert torch.allclose(terms.total, expected[0] + 2 * expected[1] + 3 * expected[2])


def test_an_experiment_of_mse_trains_by_mse(home):
    result = experiments.run(experiment(norm="mse"))
    images = TINY.load("validation").images
    found = experiments.reconstruct(result.network, result.experiment.sampling.measure(images))
    best = result.history["validation_loss"].min()
    assert (found - images).square().mean().item() == pytest.approx(best, rel=1e-4)
    assert not same(weights_of(result), weights_of(experiments.run(experiment())))


# Branches


def test_branches_that_leave_are_those_of_the_paper():
    train = examples()
    pair = [models.build(name, 3) for name in ("D3C5", "D2C5")]
    every, some = (sft.StudentFriendlyTeacher(*pair, branches=b) for b in (None, (2, 4)))
    measurement = train.measurement[INDICES]
    image, branches = every(measurement)
    image_too, two = some(measurement)
    assert torch.equal(image, image_too)
    assert torch.allclose(two, branches[[1, 3]], atol=1e-6)


def test_a_branch_trains_the_stages_behind_it():
    train = examples()
    for branches, trained in (((1,), [1, 2, 3, 4]), ((4,), [4]), ((2, 3), [2, 3, 4])):
        joint = sft.StudentFriendlyTeacher(
            *[models.build("D2C5", 3) for _ in range(2)], branches=branches
        )
        moved = gradients(joint, objectives.student_friendly(train, (0, 1, 0))(joint, INDICES))
        stages = {int(n.split(".")[2]) for n in moved if n.startswith("student")}
        assert sorted(stages) == trained


@pytest.mark.parametrize("branches", [(), (0,), (5,), (2, 1), (1, 1)])
def test_impossible_branches_are_refused(branches):
    pair = [models.build("D2C5", 3) for _ in range(2)]
    with pytest.raises(InputError, match="pass some of 1, 2, 3, 4, in ascending order"):
        sft.StudentFriendlyTeacher(*pair, branches=branches)


def test_a_joint_training_goes_on_from_a_joint_training(home):
    first = experiment(objective="sft", model="D3C5", student="D2C5")
    second = replace(first, initial=first, schedule=replace(SHORT, epochs=1, rate=1e-12))
    start, end = (experiments.run(e) for e in (first, second))
    for name, value in weights_of(start).items():
        assert torch.allclose(value, weights_of(end)[name], atol=1e-6), name


# Imitation


def test_imitation_is_two_l1_terms():
    train, student = examples(), models.build("D2C5", 1)
    teacher = models.build("D3C5", 2).requires_grad_(False)
    loss = losses.imitation(train, teacher, 0.5)(student, INDICES)
    image = student(train.measurement[INDICES])
    shown = teacher(train.measurement[INDICES])
    expected = (image - train.targets[INDICES]).abs().mean() + 0.5 * (image - shown).abs().mean()
    assert torch.allclose(loss, expected, atol=1e-6)


# Adversaries


@pytest.fixture
def players():
    torch.manual_seed(0)
    return dagan.Adversaries(models.build("DAGAN-narrow", 0), Discriminator(channels=4))


def test_each_player_sees_its_own_loss_only(players):
    train, weights = examples(), LossWeights(2.0, 0.01, 3.0)
    players.eval()  # batch statistics would move between the calls below
    few = train.measurement[INDICES], train.targets[INDICES]
    found = gradients(players, dagan.game(players, *few, weights))
    image, target = players(train.measurement[INDICES]), train.targets[INDICES]
    judge = players.discriminator
    own = (
        2 * pixel_loss(image, target)
        + 0.01 * frequency_loss(image, target)
        + 3 * adversarial_loss(judge(image))
    )
    generator = gradients(players, own)
    opposing = discriminator_loss(judge(target), judge(image.detach()))
    discriminator = gradients(players, opposing)
    for name, value in found.items():
        expected = generator if name.startswith("generator") else discriminator
        assert torch.allclose(value, expected[name], rtol=1e-4, atol=1e-6), name
    assert any(v.abs().max() > 0 for n, v in found.items() if n.startswith("discriminator"))


def test_adversaries_train_and_resume_bit_equal(home, tmp_path, monkeypatch):
    wanted = experiment(objective="adversarial", model="DAGAN-narrow")
    whole = experiments.run(wanted)
    assert isinstance(whole.model, models.DAGAN)
    assert whole.network.discriminator.convolutions[0].out_channels == 2 * whole.model.channels
    monkeypatch.setenv("SFTKD_HOME", str(tmp_path / "again"))
    interrupt(monkeypatch, saves=1)
    with pytest.raises(KeyboardInterrupt):
        experiments.run(wanted)
    assert same(weights_of(experiments.run(wanted)), weights_of(whole))


# Settings


def test_a_network_is_tested_as_it_was_trained_unless_told_otherwise(home):
    setting = Setting("smoke")
    centre = replace(setting.sampling, pattern="centre")
    images = setting.reconstruct("sr-student", setting.measured(centre))
    expected = metrics.psnr(images, setting.test_set.images, reduction="slice")
    found = setting.evaluate("sr-student")
    assert torch.allclose(torch.tensor(found["psnr"].to_numpy()), expected, atol=1e-4)
    assert found.equals(setting.evaluate(setting.experiment("sr-student")))  # remembered
    by_lines = setting.evaluate("sr-student", setting.sampling)
    assert (by_lines["psnr"] - found["psnr"]).abs().max() > 0.1
    low = setting.evaluate("zero-filled", centre)
    assert (low["psnr"] - setting.evaluate("zero-filled")["psnr"]).abs().max() > 0.1


# Networks


def test_a_padded_cascade_differs_at_the_edge_only():
    padded, plain = models.build("D3C5-padded", 4), models.build("D3C5", 4)
    assert same(dict(padded.state_dict()), dict(plain.state_dict()))
    everything = measure(torch.rand(1, 1, 48, 48), torch.ones(48, dtype=torch.bool).numpy())
    state = everything.zero_filled
    hidden = [[], []]
    for network, keep in zip((padded, plain), hidden, strict=True):
        network.stages[0](state, everything, keep)
    outer, inner = (h[-1] for h in hidden)
    assert outer.shape[-1] == 48 + 2 * 5
    outer = outer[..., 5:-5, 5:-5]
    assert torch.allclose(outer[..., 3:-3, 3:-3], inner[..., 3:-3, 3:-3], atol=1e-5)
    assert not torch.allclose(outer, inner, atol=1e-5)


def test_a_complex_cascade_keeps_what_was_measured():
    train = examples(phase=1.0)
    network = models.build("D3C5-complex", 0)
    state = network.stem(train.measurement)
    assert state.shape == (3, 2, 32, 32)
    state = network.stages[0](state, train.measurement)
    image = torch.complex(state[:, :1], state[:, 1:])
    kspace = torch.fft.fft2(image, norm="ortho")
    measured = train.measurement.mask.expand(32, 32)
    assert torch.allclose(kspace[..., measured], train.measurement.kspace[..., measured], atol=1e-5)
    found = network.head(state, train.measurement)
    assert torch.allclose(found, image.abs(), atol=1e-5)


def test_complex_counts():
    counts = [models.parameter_count(models.build(n, 0)) for n in ("D3C5-complex", "D5C5-complex")]
    assert counts == [
        5 * sum(9 * before * after + after for before, after in pairwise(widths))
        for widths in ([2, 32, 32, 2], [2, 32, 32, 32, 32, 2])
    ]


def test_a_complex_cascade_has_gradients_at_zero():
    network = models.build("D3C5-complex", 0)
    nothing = measure(torch.zeros(1, 1, 32, 32), Sampling(3).mask(32))
    state = torch.zeros(1, 2, 32, 32, requires_grad=True)
    network.head(state, nothing).sum().backward()
    assert torch.isfinite(state.grad).all()
    network(nothing).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


# What an experiment says reaches its training


def test_an_sft_experiment_is_trained_and_judged_by_its_own_loss():
    own = {"sft_weights": (1.0, 0.5, 4.0), "released": True, "norm": "mse", "branches": (2, 4)}
    wanted = experiment(objective="sft", model="D3C5", student="D2C5", **own)
    held, network = examples(), objectives.network(wanted)
    assert network.branches == (2, 4)
    task = objectives.task(wanted, network, held, held)
    with torch.no_grad():
        images = network(held.measurement)
        terms = sft.loss(*images, held.targets, (1.0, 0.5, 4.0), True, NORMS["mse"])
        torch.testing.assert_close(task.loss(network, torch.arange(3)), terms.total)
        assert task.validate(network)["loss"] == pytest.approx(terms.total.item(), rel=1e-5)


def test_distillation_takes_its_norm_and_imitation_its_weight():
    held, teacher = examples(), models.build("D3C5", 1).requires_grad_(False).eval()
    common = {"model": "D2C5", "teacher": experiment(model="D3C5")}
    wanted = experiment(objective="distil", method="at", norm="mse", weight=0.25, **common)
    network = objectives.network(wanted).eval()
    with torch.no_grad():
        error = (network(held.measurement) - held.targets).square().mean()
        found = objectives.task(wanted, network, held, held, teacher).validate(network)
        assert found["loss"] == pytest.approx(error.item(), rel=1e-5)
        wanted = experiment(objective="imitate", weight=0.5, **common)
        network = objectives.network(wanted)
        found = objectives.task(wanted, network, held, held, teacher).loss(network, INDICES)
        expected = losses.imitation(held, teacher, 0.5)(network, INDICES)
        torch.testing.assert_close(found, expected)
        assert found != losses.imitation(held, teacher, 1.0)(network, INDICES)
