"""DAGAN: its losses by known values, its step by the same step written out."""

from copy import deepcopy
from math import exp, log

import pytest
import torch
from torch.nn.functional import softplus

from sftkd_core import masks
from sftkd_core.consistency import measure
from sftkd_core.models import DAGAN, dagan
from sftkd_core.system import InputError


@pytest.fixture
def example():
    images = torch.rand(3, 1, 40, 36, generator=torch.Generator().manual_seed(0))
    images = torch.nn.functional.avg_pool2d(images, 5, 1, 2)  # smooth enough to be learnt
    return images, measure(images, masks.cartesian_mask(40, 3))


@pytest.fixture
def networks():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DAGAN(channels=6, pools=2), dagan.Discriminator(channels=4)


def test_generator_adds_a_bounded_correction(example, networks):
    _, measurement = example
    generator, _ = networks
    with torch.no_grad():
        start = generator(measurement) - measurement.zero_filled
        assert 0 < start.square().mean().sqrt() < 0.2
        generator.stages[0].last[-1].weight.mul_(1000)
        correction = generator(measurement) - measurement.zero_filled
        block = generator.stages[0](measurement.zero_filled, measurement)
    assert correction.abs().max() <= 1 + 1e-6
    assert (correction - torch.tanh(block)).abs().max() < 1e-6
    assert block.abs().max() > 2


def test_pixel_loss_is_the_relative_error(example):
    images, _ = example
    assert dagan.pixel_loss(1.25 * images, images).item() == pytest.approx(0.25, abs=1e-6)
    half = torch.cat([images[:1], 1.5 * images[1:2]])  # errors 0 and 1/2: mean 1/4
    assert dagan.pixel_loss(half, images[:2]).item() == pytest.approx(0.25, abs=1e-6)
    assert dagan.pixel_loss(images, torch.zeros_like(images)).isfinite()


def test_frequency_loss_compares_magnitudes(example):
    images, _ = example
    h, w = images.shape[-2:]
    # a constant changes the zero frequency alone, by c h w; the mean is over h w points
    shifted = dagan.frequency_loss(images + 0.5, images).item()
    assert shifted == pytest.approx(0.25 * h * w, rel=1e-4)
    moved = torch.roll(images, (3, 5), dims=(-2, -1))  # a shift changes phases only
    assert dagan.frequency_loss(moved, images) < 1e-6
    assert dagan.pixel_loss(moved, images) > 0.01


def test_adversarial_losses_by_value():
    logits = torch.tensor([0.0, 2.0])
    fooling = (log(2) + log(1 + exp(-2))) / 2
    caught = (log(2) + log(1 + exp(2))) / 2
    assert dagan.adversarial_loss(logits).item() == pytest.approx(fooling, rel=1e-6)
    both = dagan.discriminator_loss(torch.zeros(2), logits).item()
    assert both == pytest.approx(log(2) + caught, rel=1e-6)
    assert dagan.discriminator_loss(torch.tensor([30.0]), torch.tensor([-30.0])) < 1e-6


@pytest.mark.parametrize("size", [(32, 32), (63, 47), (150, 150)])
def test_discriminator_judges_images_of_any_size(networks, size):
    _, discriminator = networks
    images = torch.rand(2, 1, *size)
    logits = discriminator(images)
    assert logits.shape == (2,)
    logits.sum().backward()
    discriminator_loss = dagan.discriminator_loss(discriminator(images), discriminator(images / 2))
    discriminator_loss.backward()
    assert all(p.grad.isfinite().all() for p in discriminator.parameters())
    assert all(p.grad.abs().max() > 0 for p in discriminator.parameters())


def test_discriminator_refuses_tiny_images(networks):
    with pytest.raises(InputError, match="31 x 40 pixels are too small"):
        networks[1](torch.rand(1, 1, 31, 40))


def test_step_is_the_step_written_out(example, networks):
    """Plain gradient descent; the generator sees the discriminator after that one's step."""
    images, measurement = example
    generator, discriminator = networks
    rates, weights = (0.02, 0.05), dagan.LossWeights(pixel=2.0, frequency=0.01, adversarial=0.5)
    expected_generator, expected_discriminator = deepcopy(generator), deepcopy(discriminator)
    steps = [torch.optim.SGD(n.parameters(), lr=r) for n, r in zip(networks, rates, strict=True)]
    report = dagan.adversarial_step(*networks, tuple(steps), measurement, images, weights)

    def descend(network, loss, rate):
        gradients = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter -= rate * gradient

    image = expected_generator(measurement)
    with torch.no_grad():
        fixed = image.clone()
    judged = softplus(-expected_discriminator(images)) + softplus(expected_discriminator(fixed))
    assert report["discriminator"] == pytest.approx(judged.mean().item(), rel=1e-5)
    descend(expected_discriminator, judged.mean(), rates[1])
    fooling = softplus(-expected_discriminator(image)).mean()
    relative = ((image - images).square().sum((1, 2, 3)) / images.square().sum((1, 2, 3))).sqrt()
    spectra = torch.fft.fft2(image).abs() - torch.fft.fft2(images).abs()
    total = 2.0 * relative.mean() + 0.01 * spectra.square().mean() + 0.5 * fooling
    assert report["generator"] == pytest.approx(total.item(), rel=1e-5)
    descend(expected_generator, total, rates[0])
    for ours, theirs in ((generator, expected_generator), (discriminator, expected_discriminator)):
        for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-6), name


def test_some_steps_lower_the_generators_loss(example, networks):
    images, measurement = example
    generator, discriminator = networks
    optimisers = (dagan.adam(generator, 5e-3), dagan.adam(discriminator, 1e-3))
    reports = [
        dagan.adversarial_step(generator, discriminator, optimisers, measurement, images)
        for _ in range(60)
    ]
    first, last = reports[0], reports[-1]
    assert last["generator"] < 0.6 * first["generator"]
    assert last["pixel"] < 0.5 * first["pixel"]
    assert all(torch.isfinite(torch.tensor(list(report.values()))).all() for report in reports)


def test_discriminator_learns_to_tell_them_apart(example, networks):
    images, measurement = example
    generator, discriminator = networks
    optimisers = (dagan.adam(generator, 0.0), dagan.adam(discriminator, 3e-3))
    before = [p.clone() for p in generator.parameters()]
    reports = [
        dagan.adversarial_step(generator, discriminator, optimisers, measurement, images)
        for _ in range(100)
    ]
    assert all(torch.equal(p, q) for p, q in zip(generator.parameters(), before, strict=True))
    assert reports[-1]["discriminator"] < 0.5 * 2 * log(2)
    assert reports[-1]["adversarial"] > reports[0]["adversarial"]
