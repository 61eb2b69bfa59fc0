"""The phantom of the head: its range, its repeatability, and that nothing in it is noise."""

import numpy as np
import pytest
import torch

from sftkd_core.data.phantoms import head
from sftkd_core.data.phantoms.anatomy import STEP
from sftkd_core.data.phantoms.fields import Fields
from sftkd_core.data.phantoms.head import INGREDIENTS, head_phantom
from sftkd_core.system import InputError

SEEDS = range(6)


@pytest.fixture(scope="module")
def heads():
    return [head_phantom(seed, 64, 4).slices for seed in SEEDS]


def test_slices_fill_the_range(heads):
    for slices in heads:
        assert slices.shape == (4, 64, 64)
        assert slices.dtype == np.float32
        assert slices.min() >= 0
        np.testing.assert_allclose(slices.max(axis=(1, 2)), 1)


def test_air_is_free_of_noise(heads):
    """What surrounds the head is 0 but for the blur of its edge."""
    for slices in heads:
        corners = np.concatenate([slices[:, :2, :2], slices[:, :2, -2:]])
        assert corners.max() < 1e-5
        air = slices < 0.01
        assert air.mean() > 0.15
        assert np.median(slices[air]) < 1e-6


def test_seeds_repeat_and_differ(heads):
    np.testing.assert_array_equal(head_phantom(3, 64, 4).slices, heads[3])
    for first in SEEDS:
        for second in range(first):
            assert np.abs(heads[first] - heads[second]).mean() > 0.02


@pytest.mark.parametrize(("size", "slices"), [(16, 1), (33, 2), (100, 3)])
def test_any_size(size, slices):
    head = head_phantom(7, size, slices)
    assert head.synthetic
    assert head.slices.shape == (slices, size, size)


@pytest.mark.parametrize("left_out", INGREDIENTS)
def test_without_an_ingredient(left_out):
    slices = head_phantom(1, 32, 2, without(left_out)).slices
    assert np.isfinite(slices).all()
    assert slices.max() == 1


def without(left_out):
    return tuple(name for name in INGREDIENTS if name != left_out)


def has(seed, ingredient):
    """Whether a head has an ingredient that some have: drawn by one step of painting alone."""
    step = {"sharpness": 3, "skull": STEP, "lesions": STEP + 3}[ingredient]
    generator = np.random.default_rng([seed, 3, step])
    if ingredient == "sharpness":
        return generator.choice([0, generator.uniform(0, 0.6)]) > 0.04  # less blurs no pixel
    drawn = generator.uniform() < 0.4
    return not drawn if ingredient == "skull" else drawn


@pytest.mark.parametrize("left_out", ["lesions", "skull", "sharpness"])
def test_who_has_not_an_ingredient_misses_nothing(left_out, heads):
    """Bit by bit the same head, whatever the others are given."""
    found = {has(seed, left_out) for seed in SEEDS}
    assert found == {True, False}
    for seed in SEEDS:
        same = np.array_equal(head_phantom(seed, 64, 4, without(left_out)).slices, heads[seed])
        assert same == (not has(seed, left_out))


@pytest.mark.parametrize("left_out", [
    "skull", "cortex", "contrast", "texture", "lesions", "sharpness",
])  # fmt: skip
def test_what_is_painted_moves_no_point(left_out, monkeypatch):
    painted = []

    def paint(points, fields, ingredients):
        painted.append(points)
        return points[..., 0].abs() + 1

    monkeypatch.setattr(head, "paint", paint)
    head_phantom(2, 32, 2)
    head_phantom(2, 32, 2, without(left_out))
    assert torch.equal(*painted)


@pytest.mark.parametrize(("size", "slices"), [(15, 4), (64, 0)])
def test_too_small_is_an_error(size, slices):
    with pytest.raises(InputError, match="a phantom of"):
        head_phantom(0, size, slices)


def test_unknown_ingredient_is_an_error():
    with pytest.raises(InputError, match="hat"):
        head_phantom(0, 32, 2, ("skull", "hat"))


def test_a_step_draws_from_a_generator_of_its_own():
    fields = Fields(np.random.default_rng(0), (4, 16, 16), (5.0, 3.0, 3.0), (7, 3))
    first = fields.step(5).smooth(8)
    fields.step(4).rough(8)
    assert torch.equal(fields.step(5).smooth(8), first)
    assert not torch.equal(fields.step(6).smooth(8), first)
    assert fields.generator.uniform() == np.random.default_rng(0).uniform()


def test_fields_have_unit_deviation():
    fields = Fields(np.random.default_rng(0), (16, 64, 64), (5.0, 3.0, 3.0))
    smooth, rough = fields.smooth(8, 4), fields.rough(6, 1.5, 4)
    for field in (smooth, rough):
        assert field.shape == (4, 16, 64, 64)
        assert field.dtype == torch.float32
        assert float(field.std()) == pytest.approx(1, abs=0.1)
    step = (smooth[..., 1:] - smooth[..., :-1]).std(), (rough[..., 1:] - rough[..., :-1]).std()
    assert step[0] < step[1]
