"""The three terms of the SFT loss against NumPy in double precision."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from sftkd_core import sft
from sftkd_core.system import InputError


@pytest.fixture
def tensors():
    generator = torch.Generator().manual_seed(0)
    return [
        torch.rand(shape, generator=generator, dtype=torch.float64)
        for shape in ((2, 1, 5, 7), (4, 2, 1, 5, 7), (2, 1, 5, 7))
    ]


def formula(teacher, branches, target):
    """Equations (3)-(5); each L1 norm over the number of pixels."""
    pixels, count = target.size, len(branches)
    teacher_term = np.abs(target - teacher).sum() / pixels
    student_term = sum(np.abs(target - b).sum() for b in branches) / count / pixels
    imitation = sum(np.abs(teacher - b).sum() for b in branches) / count / pixels
    return teacher_term, student_term, imitation


def test_terms(tensors):
    expected = formula(*(x.numpy() for x in tensors))
    terms = sft.loss(*tensors)
    ours = (terms.teacher, terms.student, terms.imitation)
    assert [x.item() for x in ours] == pytest.approx(expected, rel=1e-12)
    assert terms.total.item() == pytest.approx(sum(expected), rel=1e-12)
    weighted = sft.loss(*tensors, weights=(1, 0.5, 2)).total.item()
    assert weighted == pytest.approx(expected[0] + 0.5 * expected[1] + 2 * expected[2])


def test_released_imitation_all_but_vanishes(tensors):
    paper, released = sft.loss(*tensors), sft.loss(*tensors, released=True)
    assert released.imitation.item() == pytest.approx(paper.imitation.item() / 70)
    assert released.student == paper.student


def test_gradients(tensors):
    inputs = [x.requires_grad_() for x in tensors[:2]]
    assert torch.autograd.gradcheck(lambda t, b: sft.loss(t, b, tensors[2]).total, inputs)
    sft.loss(*tensors).imitation.backward()
    assert all(x.grad.abs().sum() > 0 for x in inputs)  # it reaches teacher and branches


@pytest.mark.parametrize(("detached", "reached"), [("teacher", 1), ("branches", 0)])
def test_a_detached_side_gets_no_gradient_of_imitation(tensors, detached, reached):
    """The values stay, and of the gradients those of the other two terms."""
    inputs = [x.requires_grad_() for x in tensors[:2]]
    both, one = sft.loss(*tensors), sft.loss(*tensors, detached=detached)
    assert all(getattr(one, f.name) == getattr(both, f.name) for f in fields(both))
    whole = torch.autograd.grad(both.imitation, inputs)
    left = torch.autograd.grad(one.imitation, inputs[reached], retain_graph=True)[0]
    assert torch.equal(left, whole[reached])
    assert torch.autograd.grad(
        one.imitation, inputs[1 - reached], retain_graph=True, allow_unused=True
    ) == (None,)
    alone = torch.autograd.grad(sft.loss(*tensors, weights=(1, 1, 0)).total, inputs)
    gradients = torch.autograd.grad(one.total, inputs)
    assert torch.allclose(gradients[1 - reached], alone[1 - reached], rtol=1e-12)
    assert not torch.allclose(gradients[reached], alone[reached])


def test_an_unknown_side_is_named(tensors):
    with pytest.raises(InputError, match=r"side 'student' to detach; .* teacher, branches"):
        sft.loss(*tensors, detached="student")


def test_agreement_costs_nothing(tensors):
    target = tensors[2]
    assert sft.loss(target, target.expand(4, *target.shape), target).total == 0


def test_wrong_shapes(tensors):
    with pytest.raises(InputError, match="shapes differ"):
        sft.loss(tensors[0], tensors[1][0], tensors[2])
