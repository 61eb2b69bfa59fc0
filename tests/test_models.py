"""Cascades and the joint SFT network, against the published recipe written out plainly."""

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, relu

from sftkd_core import masks, models, sft
from sftkd_core.consistency import measure
from sftkd_core.system import InputError


@pytest.fixture(scope="module")
def example():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 1, 40, 32, generator=generator)
    return images, measure(images, masks.cartesian_mask(40, 4))


@pytest.mark.parametrize(("name", "count"), [
    ("D5C5", 141_765), ("D4C5", 95_525), ("D3C5", 49_285), ("D2C5", 3_045),
])  # fmt: skip
def test_parameter_counts(name, count):
    model = models.build(name)
    assert models.parameter_count(model) == count
    depth = int(name[1])
    assert [len(stage.convolutions) for stage in model.stages] == [depth] * 5
    first, last = model.stages[0].convolutions[0], model.stages[4].convolutions[-1]
    assert (first.in_channels, last.out_channels) == (1, 1)


def test_joint_count():
    joint = sft.StudentFriendlyTeacher(models.build("D5C5"), models.build("D3C5"))
    assert models.parameter_count(joint) == 191_050


def test_seed_fixes_the_weights_and_leaves_the_global_state():
    torch.manual_seed(5)
    before = torch.rand(3)
    torch.manual_seed(5)
    a, b = models.build("D3C5", seed=1), models.build("D3C5", seed=1)
    assert torch.equal(torch.rand(3), before)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    c = models.build("D3C5", seed=2)
    assert not torch.equal(next(a.parameters()), next(c.parameters()))


# The released recipe, plainly: no library of ours below this line but the weights.


def plain_block(weights, prefix, depth, image, kspace, mask):
    hidden = image
    for layer in range(depth):
        kernel = weights[f"{prefix}.convolutions.{layer}.weight"]
        bias = weights[f"{prefix}.convolutions.{layer}.bias"]
        hidden = conv2d(hidden, kernel, bias, padding=1)
        if layer < depth - 1:
            hidden = relu(hidden)
    transformed = torch.fft.fft2(hidden, norm="ortho")
    transformed = (1 - mask) * transformed + mask * kspace
    return torch.fft.ifft2(transformed, norm="ortho").real


def plain_start(images, line_mask):
    mask = torch.from_numpy(line_mask.astype(np.float32))[:, None].expand(images.shape[-2:])
    kspace = mask * torch.fft.fft2(images, norm="ortho")
    return torch.fft.ifft2(kspace, norm="ortho").abs(), kspace, mask


def plain_cascade(weights, depth, images, line_mask, prefix=""):
    image, kspace, mask = plain_start(images, line_mask)
    for stage in range(5):
        image = plain_block(weights, f"{prefix}stages.{stage}", depth, image, kspace, mask)
    return image


@pytest.mark.parametrize(("name", "depth"), [("D5C5", 5), ("D3C5", 3)])
def test_cascade_is_the_released_recipe(example, name, depth):
    images, measurement = example
    model = models.build(name, seed=0)
    expected = plain_cascade(model.state_dict(), depth, images, masks.cartesian_mask(40, 4))
    assert (model(measurement) - expected).abs().max() < 1e-5


def test_joint_network_and_all_four_branches_are_the_released_recipe(example):
    images, measurement = example
    joint = sft.StudentFriendlyTeacher(models.build("D5C5", 0), models.build("D3C5", 1))
    weights, line_mask = joint.state_dict(), masks.cartesian_mask(40, 4)
    image, kspace, mask = plain_start(images, line_mask)
    after = []
    for stage in range(5):
        image = plain_block(weights, f"teacher.stages.{stage}", 5, image, kspace, mask)
        after.append(image)
    teacher_image, branch_images = joint(measurement)
    assert (teacher_image - after[-1]).abs().max() < 1e-5
    assert branch_images.shape == (4, 2, 1, 40, 32)
    for leaves_after in range(4):
        image = after[leaves_after]
        for stage in range(leaves_after + 1, 5):
            image = plain_block(weights, f"student.stages.{stage}", 3, image, kspace, mask)
        assert (branch_images[leaves_after] - image).abs().max() < 1e-5


def test_batched_branches_have_the_gradients_of_separate_ones(example):
    images = example[0].double()  # in float32, rounding flips the signs that L1 and ReLU look at
    measurement = measure(images, masks.cartesian_mask(40, 4))
    joint = sft.StudentFriendlyTeacher(models.build("D5C5", 0), models.build("D3C5", 1)).double()
    sft.loss(*joint(measurement), images).total.backward()
    ours = {name: p.grad for name, p in joint.named_parameters()}
    assert ours.pop("student.stages.0.convolutions.0.weight") is None  # no branch begins there
    weights = {k: v.detach().clone().requires_grad_() for k, v in joint.state_dict().items()}
    image, kspace, mask = plain_start(images, masks.cartesian_mask(40, 4))
    after = []
    for stage in range(5):
        image = plain_block(weights, f"teacher.stages.{stage}", 5, image, kspace, mask)
        after.append(image)
    total = (after[-1] - images).abs().mean()
    for k in range(4):
        image = after[k]
        for stage in range(k + 1, 5):
            image = plain_block(weights, f"student.stages.{stage}", 3, image, kspace, mask)
        total = total + (image - images).abs().mean() / 4 + (image - after[-1]).abs().mean() / 4
    total.backward()
    for name, gradient in ours.items():
        if gradient is not None:
            assert torch.allclose(gradient, weights[name].grad, atol=1e-9), name


def test_features_are_the_convolutions_before_relu(example):
    _, measurement = example
    model = models.build("D3C5", 0)
    image, features = model.features(measurement)
    assert torch.equal(image, model(measurement))
    assert [[tuple(f.shape[:2]) for f in stage] for stage in features] == [
        [(2, 32), (2, 32), (2, 1)]
    ] * 5
    stage = model.stages[0].convolutions
    first = stage[0](measurement.zero_filled)
    assert torch.allclose(features[0][1], stage[1](relu(first)), atol=1e-6)
    assert features[0][1].min() < 0


def test_any_size_and_one_sample(example):
    images = torch.rand(1, 1, 33, 47)
    measurement = measure(images, masks.cartesian_mask(33, 3))
    assert models.build("D2C5", 0)(measurement).shape == images.shape


def test_output_agrees_with_the_measurement(example):
    """With every line measured a cascade must return the truth, whatever its weights."""
    images, _ = example
    full = measure(images, np.ones(40))
    assert (models.build("D3C5", 0)(full) - images).abs().max() < 1e-5


def test_bad_networks():
    with pytest.raises(InputError, match="unknown model 'D9C5'; choose one of D7C5"):
        models.build("D9C5")
    with pytest.raises(InputError, match="cannot be built"):
        models.Cascade(convolutions=1)
    with pytest.raises(InputError, match="same number"):
        sft.StudentFriendlyTeacher(models.build("D5C5"), models.Cascade(3, cascades=4))
