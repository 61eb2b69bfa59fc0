"""What is measured: patterns, noise and phase."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_training import TINY, experiment

from sftkd_core import masks
from sftkd_core.consistency import measure
from sftkd_core.experiments import objectives
from sftkd_core.experiments.experiment import Sampling
from sftkd_core.system import InputError

IMAGES = torch.rand(3, 1, 32, 40, generator=torch.Generator().manual_seed(0))


def test_lines_are_a_cartesian_mask():
    for lines, centre in ((240, 10), (64, 8)):
        expected = masks.cartesian_mask(lines, 4, 7, centre)
        assert np.array_equal(Sampling(4, 7).mask(lines), expected)
        assert np.array_equal(Sampling(4, 7).mask(lines, 100), expected)


@pytest.mark.parametrize(("shape", "factor"), [((256, 256), 4), ((33, 40), 4), ((7, 9), 2.5)])
def test_the_centre_is_a_block_of_low_frequencies(shape, factor):
    mask = masks.central_mask(*shape, factor)
    assert mask.dtype == bool
    assert mask.shape == shape
    rows, columns = np.fft.fftshift(mask).any(1), np.fft.fftshift(mask).any(0)
    assert mask.sum() == rows.sum() * columns.sum()
    for kept, size in ((rows, shape[0]), (columns, shape[1])):
        assert kept.sum() == int(size / factor)
        first = np.flatnonzero(kept)[0]
        assert kept[first : first + kept.sum()].all()
        assert first == size // 2 - kept.sum() // 2
    assert mask[0, 0]  # the zero frequency
    assert np.array_equal(Sampling(factor, 3, "centre").mask(*shape), mask)


def test_a_low_resolution_scan_keeps_size_and_mean():
    low = Sampling(4, pattern="centre").measure(IMAGES)
    assert low.zero_filled.shape == IMAGES.shape
    assert torch.allclose(low.aliased.mean((1, 2, 3)), IMAGES.mean((1, 2, 3)), atol=1e-6)
    assert low.projector is None  # not a mask of lines


def test_central_masks_refuse_the_impossible():
    with pytest.raises(InputError, match="leaves nothing of 8"):
        masks.central_mask(8, 64, 9)
    with pytest.raises(InputError, match=">= 1"):
        masks.central_mask(64, 64, 0.5)


def test_plain_sampling_is_plain_measuring():
    sampling = Sampling(3, 2)
    expected = measure(IMAGES, sampling.mask(32))
    for split in ("train", "validation", "test"):
        assert torch.equal(sampling.measure(IMAGES, split).kspace, expected.kspace)


def test_noise_has_its_level_and_lies_on_measured_lines():
    images = torch.zeros(16, 1, 64, 64)
    found = Sampling(2, noise=0.1).measure(images, "train")
    measured = found.kspace[..., found.mask[:, 0], :]
    assert torch.view_as_real(measured).std().item() == pytest.approx(0.1, rel=0.02)
    assert (found.kspace[..., ~found.mask[:, 0], :] == 0).all()
    again, other = (Sampling(2, noise=0.1).measure(images, s) for s in ("train", "test"))
    assert torch.equal(found.kspace, again.kspace)
    assert not torch.equal(found.kspace, other.kspace)


def test_phase_leaves_the_magnitude_and_is_smooth():
    whole = Sampling(1, 5, phase=1.0).measure(IMAGES)
    image = torch.fft.ifft2(whole.kspace, norm="ortho")
    assert torch.allclose(image.abs(), IMAGES, atol=1e-5)
    phases = Sampling(1, 5, phase=1.0)._phases(IMAGES.shape, 2)
    assert torch.allclose(phases.std((2, 3)), torch.ones(3, 1))
    assert phases.diff(dim=2).abs().max() < 0.8  # of a 4x4 grid on 32 rows
    assert not torch.allclose(phases[0], phases[1])
    assert torch.allclose(image, IMAGES * torch.exp(1j * phases), atol=1e-5)
    assert torch.allclose(2 * phases, Sampling(1, 5, phase=2.0)._phases(IMAGES.shape, 2))


@pytest.mark.parametrize(("changes", "message"), [
    ({"pattern": "spiral"}, "unknown pattern 'spiral'; choose one of lines, centre"),
    ({"noise": -0.1}, "noise is -0.1"), ({"phase": float("nan")}, "phase is nan"),
    ({"noise": float("inf")}, "noise is inf"),
])  # fmt: skip
def test_impossible_samplings_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        replace(Sampling(), **changes)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_each_split_has_noise_and_phase_of_its_own(split):
    wanted = experiment(sampling=Sampling(3, noise=0.05, phase=1.0))
    images = TINY.load(split).images
    found = objectives.examples(wanted, split, torch.device("cpu")).measurement.kspace
    assert torch.equal(found, wanted.sampling.measure(images, split).kspace)
    assert not torch.equal(found, wanted.sampling.measure(images, "test").kspace)
