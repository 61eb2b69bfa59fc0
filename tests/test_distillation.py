"""Attention transfer against NumPy in double precision, its gradient and its invariances."""

import numpy as np
import pytest
import torch

from sftkd_core import distillation, models
from sftkd_core.errors import InputError


def features(*channels, seed=0, batch=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, c, 6, 5, generator=generator, dtype=dtype) for c in channels]


def formula(student, teacher):
    """Zagoruyko and Komodakis: sum over layers, mean over samples, of a distance of unit maps."""
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        maps = [(x.numpy().astype(np.float64) ** 2).sum(1).reshape(len(x), -1) for x in (s, t)]
        unit = [m / np.sqrt((m**2).sum(1, keepdims=True)) for m in maps]
        total += np.sqrt(((unit[0] - unit[1]) ** 2).sum(1)).mean()
    return total


def test_attention_transfer_is_its_formula():
    student, teacher = features(4, 2, seed=1), features(8, 3, seed=2)
    ours = distillation.LOSSES["at"](student, teacher).item()
    assert ours == pytest.approx(formula(student, teacher), rel=1e-6)
    assert distillation.LOSSES["at"](student[0], teacher[0]).item() == pytest.approx(
        formula(student[:1], teacher[:1]), rel=1e-6
    )


def test_gradient():
    teacher = features(3, seed=1, batch=2)
    student = features(2, seed=2, batch=2)[0].requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: distillation.LOSSES["at"]([s], teacher), student, eps=1e-6, atol=1e-5
    )


def test_double_precision_stays():
    assert distillation.attention_map(features(3)[0]).dtype == torch.float64


def test_invariances():
    student, teacher = features(4, seed=1), features(8, seed=2)
    at = distillation.LOSSES["at"]
    assert at([5 * student[0]], teacher).item() == pytest.approx(at(student, teacher).item())
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    assert at(student, [teacher[0][:, order]]).item() == pytest.approx(at(student, teacher).item())
    assert at(teacher, teacher).item() == 0
    scale = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)[:, None, None, None]
    assert at([scale * teacher[0]], teacher).item() == pytest.approx(0, abs=1e-12)


def test_half_precision_and_dead_features():
    student, teacher = features(4, seed=1, dtype=torch.bfloat16), features(8, seed=2)
    loss = distillation.LOSSES["at"](student, teacher)
    assert loss.item() == pytest.approx(formula([student[0].double()], teacher), rel=1e-3)
    dead = torch.zeros(3, 4, 6, 5, requires_grad=True)
    distillation.LOSSES["at"]([dead], teacher).backward()
    assert torch.isfinite(dead.grad).all()


def test_taps_exist_and_pair():
    method = distillation.method("at")
    teacher, student = models.build("D5C5"), models.build("D3C5")
    for network, taps in ((teacher, method.teacher_taps), (student, method.student_taps)):
        channels = [network.stages[s].convolutions[c].out_channels for s, c in taps]
        assert channels == [32] * 5


def test_bad_input():
    with pytest.raises(InputError, match="unknown KD method 'sop'; choose one of at"):
        distillation.method("sop")
    with pytest.raises(InputError, match="cannot be paired"):
        distillation.LOSSES["at"](features(2, 2), features(2))
    with pytest.raises(InputError, match="cannot be compared"):
        distillation.LOSSES["at"](features(2), features(2, batch=2))
    with pytest.raises(InputError, match="cannot tap"):
        distillation.tap([[torch.zeros(1)]], [(0, 4)])


def test_half_precision_has_the_gradient_of_full_precision():
    student, teacher = features(4, seed=1, dtype=torch.bfloat16), features(8, seed=2)
    gradients = []
    for dtype in (torch.bfloat16, torch.float64):
        leaf = student[0].detach().to(dtype).requires_grad_()
        distillation.LOSSES["at"]([leaf], teacher).backward()
        assert leaf.grad.dtype == dtype
        gradients.append(leaf.grad.double())
    difference = (gradients[0] - gradients[1]).norm() / gradients[1].norm()
    assert difference < 0.01
