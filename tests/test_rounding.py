"""bfloat16 by rounding: the arithmetic of bfloat16 hardware, up to the order of its sums."""

import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from sftkd_core import models, system
from sftkd_core.consistency import measure
from sftkd_core.experiments import running
from sftkd_core.models import thin

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

import rounding


@pytest.fixture
def by_rounding(monkeypatch):
    """Turns it on; all is as before when the test is over."""
    for place, name in (
        (functional, "conv2d"), (thin, "_ToOne"), (system, "has_bfloat16"), (running, "describe"),
    ):  # fmt: skip
        monkeypatch.setattr(place, name, getattr(place, name))
    return rounding.enable


def with_gradients(convolve, images, weight, bias, pull):
    """Output, and what ``pull`` gives for images, weights and bias."""
    leaves = [x.detach().clone().requires_grad_(True) for x in (images, weight, bias)]
    out = convolve(*leaves)
    out.backward(pull.to(out.dtype))
    return [out, *(x.grad for x in leaves)]


@pytest.mark.parametrize(
    "geometry",
    [
        {"padding": 1},
        {"padding": 1, "stride": 2},
        {"groups": 2},
        {"dilation": 2, "padding": (0, 2)},
    ],
)
def test_a_convolution_is_the_rounded_sum_of_rounded_products(geometry):
    torch.manual_seed(0)
    layer, images = torch.nn.Conv2d(8, 6, 3, **geometry), torch.randn(2, 8, 16, 12)
    pull = torch.randn(layer(images).shape)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = with_gradients(
            lambda *x: rounding.conv2d(*x, **geometry), images, layer.weight, layer.bias, pull
        )
    given = [x.detach().bfloat16().double() for x in (images, layer.weight, layer.bias, pull)]
    exact = with_gradients(lambda *x: functional.conv2d(*x, **geometry), *given)
    assert found[0].dtype == torch.bfloat16
    for a, b in zip(found, exact, strict=True):
        a, b = a.detach().double(), b.detach()
        assert (a == b.bfloat16().double()).double().mean() > 0.98  # else the last bit
        torch.testing.assert_close(a, b, rtol=2**-8, atol=1e-5)


def test_a_cascade_learns_the_same(by_rounding):
    torch.manual_seed(0)
    network = models.build("D2C5").to(memory_format=torch.channels_last)
    images = torch.rand(2, 1, 32, 24)
    mask = torch.zeros(32)
    mask[:8] = mask[::4] = 1
    measurement = measure(images, mask)

    def gradient(half):
        network.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            out = network(measurement)
        (out - images).abs().mean().backward()
        return torch.cat([p.grad.flatten() for p in network.parameters()]).double()

    exact, own = gradient(False), gradient(True)
    by_rounding()
    rounded = gradient(True)
    assert 0 < (rounded - own).norm() < 1.5 * (own - exact).norm() < 0.05 * exact.norm()
    torch.testing.assert_close(gradient(False), exact, rtol=0, atol=0)


def test_records_say_so(by_rounding):
    by_rounding()
    cpu = torch.device("cpu")
    assert running.describe(cpu).endswith(f", {rounding.BY_ROUNDING}")
    assert system.effective_precision("auto", cpu) == "bfloat16"
