"""Measuring and data consistency, by the properties that define them."""

from math import inf
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sftkd_core import consistency, masks
from sftkd_core.system import InputError

PUBLISHED = Path(__file__).parents[2] / "shared" / "data" / "masks"
LAMBDAS = [0.0, 0.3, 5.0, inf]


def images(count=2, height=24, width=18, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 1, height, width, generator=generator, dtype=dtype)


def by_definition(image, kspace, mask, lam):
    """Equation (2), line by line, in NumPy."""
    transformed = np.fft.fft2(image.numpy(), norm="ortho")
    y = kspace.numpy()
    for line in np.flatnonzero(mask):
        if lam == inf:
            transformed[..., line, :] = y[..., line, :]
        else:
            mixed = transformed[..., line, :] + lam * y[..., line, :]
            transformed[..., line, :] = mixed / (1 + lam)
    return np.fft.ifft2(transformed, norm="ortho")


@pytest.mark.parametrize("lam", LAMBDAS)
@settings(deadline=None, max_examples=25)
@given(height=st.integers(2, 25), width=st.integers(1, 20), seed=st.integers(0, 99))
def test_forms_agree_with_equation_2(lam, height, width, seed):
    mask = np.random.default_rng(seed).random(height) < 0.4
    mask[0] = True
    measurement = consistency.measure(images(2, height, width, seed), mask)
    guess = images(2, height, width, seed + 1)
    expected = by_definition(guess, measurement.kspace, mask, lam)
    for form in ("fft", "circulant"):
        ours = consistency.data_consistency(guess, measurement, lam, form)
        assert np.allclose(ours.numpy(), expected.real, atol=1e-10)
    ours = consistency.data_consistency(guess.to(torch.complex128), measurement, lam)
    assert np.allclose(ours.numpy(), expected, atol=1e-10)


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published masks are not beside the clone")
@pytest.mark.parametrize("name", ["brain_4x", "brain_5x", "cardiac_4x", "cardiac_5x"])
def test_circulant_in_float32_on_published_masks(name):
    mask = masks.load_mask(PUBLISHED / f"{name}.npy")
    truth = torch.rand(2, 1, len(mask), len(mask), generator=torch.Generator().manual_seed(0))
    measurement = consistency.measure(truth, mask)
    guess = truth.flip(0)
    assert measurement.projector.dtype == torch.float32
    pair = [consistency.data_consistency(guess, measurement, form=f) for f in ("circulant", "fft")]
    assert (pair[0] - pair[1]).abs().max() < 1e-5


def test_measuring_is_linear_and_shortens():
    mask = masks.cartesian_mask(24, 2, centre_lines=4)
    x, y = images(seed=1), images(seed=2)
    total = consistency.measure(2 * x + y, mask).kspace
    parts = 2 * consistency.measure(x, mask).kspace + consistency.measure(y, mask).kspace
    assert torch.allclose(total, parts)
    assert torch.linalg.vector_norm(total) <= torch.linalg.vector_norm(2 * x + y)
    full = consistency.measure(x, np.ones(24))
    assert torch.linalg.vector_norm(full.kspace) == pytest.approx(
        torch.linalg.vector_norm(x).item()
    )
    assert torch.allclose(full.aliased, x)
    assert torch.allclose(full.zero_filled, x.abs())


def test_adjoint():
    """<M F x, y> = <x, F^H M y>: ``aliased`` and ``zero_filled`` come from the adjoint."""
    mask = masks.cartesian_mask(24, 2, centre_lines=4)
    x = torch.complex(images(seed=1), images(seed=2))
    measured = consistency.measure(x, mask).kspace
    y = torch.complex(images(seed=3), images(seed=4)) * torch.from_numpy(mask)[:, None]
    back = torch.fft.ifft2(y, norm="ortho")
    assert torch.allclose((measured.conj() * y).sum(), (x.conj() * back).sum())
    again = consistency.from_kspace(y, mask)
    assert torch.allclose(again.aliased, back.real)
    assert torch.allclose(again.zero_filled, back.abs())


def test_projectors():
    mask = np.zeros(24, bool)
    mask[[0, 1, 2, 22, 7]] = True  # 2 and 22 are mirrors; 1 and 7 stand alone
    half = consistency.line_projector(mask)
    assert torch.allclose(half, half.T)
    values = torch.linalg.eigvalsh(half).round(decimals=9)
    counts = {v: (values == v).sum().item() for v in (0.0, 0.5, 1.0)}
    assert counts == {0.0: 17, 0.5: 4, 1.0: 3}  # 1 and its mirror, 7 and its mirror, at half weight
    whole = consistency.hermitian_projector(mask)
    assert torch.allclose(whole @ whole, whole)
    assert torch.allclose(whole, whole.T)
    assert torch.linalg.matrix_rank(whole) == 7


@settings(deadline=None, max_examples=25)
@given(height=st.integers(2, 25), seed=st.integers(0, 99))
def test_hermitian_form_is_a_projection_onto_what_was_measured(height, seed):
    mask = np.random.default_rng(seed).random(height) < 0.4
    mask[0] = True
    truth = images(2, height, 7, seed)
    measurement = consistency.measure(truth, mask)
    guess = images(2, height, 7, seed + 1)

    def once(x):
        return consistency.data_consistency(x, measurement, form="hermitian")

    assert torch.allclose(once(once(guess)), once(guess))
    assert torch.allclose(once(truth), truth)
    assert torch.allclose(consistency.measure(once(guess), mask).kspace, measurement.kspace)
    # never further from the truth than before
    assert (once(guess) - truth).norm() <= (guess - truth).norm() + 1e-9


def test_gradient_is_the_transpose():
    mask = masks.cartesian_mask(24, 2, centre_lines=4)
    measurement = consistency.measure(images(1), mask)
    for form in consistency.FORMS:
        guess = images(1, seed=5).requires_grad_()
        assert torch.autograd.gradcheck(
            lambda x, form=form: consistency.data_consistency(x, measurement, 2.0, form), guess
        )


def test_points_mask_and_branches():
    points = np.random.default_rng(0).random((24, 18)) < 0.5
    measurement = consistency.measure(images(), points)
    assert measurement.projector is None
    done = consistency.data_consistency(images(seed=9), measurement)
    assert done.shape == (2, 1, 24, 18)
    with pytest.raises(InputError, match="whole lines"):
        consistency.data_consistency(images(), measurement, form="circulant")
    lines = consistency.measure(images(), masks.cartesian_mask(24, 2, centre_lines=4))
    stacked = torch.stack([images(seed=s) for s in (1, 2, 3)])
    together = consistency.data_consistency(stacked, lines)
    for one, alone in zip(together, stacked, strict=True):
        assert torch.allclose(one, consistency.data_consistency(alone, lines))


def test_indexing():
    measurement = consistency.measure(images(5), masks.cartesian_mask(24, 2, centre_lines=4))
    assert len(measurement) == 5
    assert torch.equal(measurement[torch.tensor([3, 1])].aliased, measurement.aliased[[3, 1]])
    assert len(measurement[1:3]) == 2
    assert torch.equal(measurement[-1].zero_filled, measurement.zero_filled[-1:])


def test_noise_follows_its_seed_and_size():
    mask = np.ones(64)
    clean = torch.zeros(1, 1, 64, 64, dtype=torch.float64)
    noisy = consistency.measure(clean, mask, noise=0.1, seed=1)
    assert torch.equal(noisy.kspace, consistency.measure(clean, mask, 0.1, 1).kspace)
    assert noisy.kspace.real.std().item() == pytest.approx(0.1, rel=0.05)
    assert noisy.kspace.imag.std().item() == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize(("bad", "message"), [
    (torch.zeros(24, 18), "pass \\(batch, 1, height, width\\)"),
    (torch.zeros(2, 3, 24, 18), "pass \\(batch, 1, height, width\\)"),
    (torch.zeros(0, 1, 24, 18), "empty"),
    (torch.zeros(1, 1, 24, 18, dtype=torch.int32), "dtype"),
    (torch.full((1, 1, 24, 18), float("nan")), "image 0 holds NaN"),
    (torch.full((1, 1, 24, 18), float("inf")), "image 0 holds NaN or infinite"),
])  # fmt: skip
def test_bad_images(bad, message):
    with pytest.raises(InputError, match=message):
        consistency.measure(bad, np.ones(24))


def test_bad_mask_and_lambda():
    with pytest.raises(InputError, match="mask has 20 lines but the images have 24 rows"):
        consistency.measure(images(), np.ones(20))
    with pytest.raises(InputError, match="columns"):
        consistency.measure(images(), np.ones((24, 5)))
    measurement = consistency.measure(images(), np.ones(24))
    for lam in (-1, float("nan")):
        with pytest.raises(InputError, match="lam is"):
            consistency.data_consistency(images(), measurement, lam)
    with pytest.raises(InputError, match="unknown form 'matmul'"):
        consistency.data_consistency(images(), measurement, form="matmul")
