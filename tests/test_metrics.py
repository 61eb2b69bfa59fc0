"""Metrics against scikit-image, sewar and formulas written out; the paired comparison."""

import numpy as np
import pandas as pd
import pytest
import torch
from sewar.full_ref import vifp
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sftkd_core import metrics
from sftkd_core.system import InputError


@pytest.fixture(scope="module")
def pair():
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(3, 1, 48, 56, generator=generator, dtype=torch.float64)
    target = torch.nn.functional.avg_pool2d(target, 5, 1, 2)
    image = (target + 0.05 * torch.randn(target.shape, generator=generator)).clamp(0, 1)
    return image, target


@pytest.mark.parametrize("data_range", [1.0, 0.7])
def test_psnr_and_ssim_are_scikit_image(pair, data_range):
    image, target = pair
    for i in range(len(image)):
        a, b = image[i, 0].numpy(), target[i, 0].numpy()
        expected = peak_signal_noise_ratio(b, a, data_range=data_range)
        assert metrics.psnr(image, target, data_range, "slice")[i].item() == pytest.approx(expected)
        expected = structural_similarity(b, a, data_range=data_range)
        ours = metrics.ssim(image, target, data_range, "slice")[i].item()
        assert ours == pytest.approx(expected, abs=1e-12)


def test_vif_is_sewar(pair):
    image, target = pair
    for i, ours in enumerate(metrics.vif(image, target, 1.0, "slice")):
        expected = vifp(255 * target[i, 0].numpy(), 255 * image[i, 0].numpy(), sigma_nsq=2)
        assert ours.item() == pytest.approx(expected, rel=1e-5)
    assert metrics.vif(target, target).item() == pytest.approx(1, abs=1e-6)


def test_errors_by_formula(pair):
    image, target = (x.numpy() for x in pair)
    difference = image - target
    assert metrics.mse(*pair).item() == pytest.approx((difference**2).mean())
    per_slice = (difference**2).sum((1, 2, 3)) / (target**2).sum((1, 2, 3))
    assert metrics.nmse(*pair, reduction="slice").numpy() == pytest.approx(per_slice)
    volume = (difference**2).sum() / (target**2).sum()
    assert metrics.nmse(*pair, reduction="volume").item() == pytest.approx(volume)
    assert metrics.psnr(*pair, reduction="volume").item() == pytest.approx(
        -10 * np.log10((difference**2).mean())
    )


def test_hfn_by_formula(pair):
    def laplacian(x):
        padded = np.pad(x, 1, "symmetric")
        return (
            padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
            - 4 * padded[1:-1, 1:-1]
        )  # fmt: skip

    image, target = (x[0, 0].numpy() for x in pair)
    g, p = laplacian(target), laplacian(image.clip(0, 1))
    expected = ((g - p) ** 2).sum() / (g**2).sum()
    assert metrics.hfn(*pair, reduction="slice")[0].item() == pytest.approx(expected)


def test_hfn_takes_edges_as_scikit_image_does(pair):
    filters = pytest.importorskip("skimage.filters", reason="scikit-image is not installed")
    image, target = (x[0, 0].numpy() for x in pair)
    g, p = filters.laplace(target), filters.laplace(image.clip(0, 1))
    expected = ((g - p) ** 2).sum() / (g**2).sum()
    assert metrics.hfn(*pair, reduction="slice")[0].item() == pytest.approx(expected)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_scaling_images_and_range_together_changes_no_metric_but_mse(pair, name):
    image, target = pair
    metric = metrics.METRICS[name]
    here, there = metric(image, target, 1.0), metric(3 * image, 3 * target, 3.0)
    assert here.item() == pytest.approx(there.item())
    assert metric(image, target, reduction="slice").shape == (3,)
    assert metric(image, target, reduction="slice").mean().item() == pytest.approx(here.item())
    better = metric(target, target)
    assert (better > here) == metrics.HIGHER_IS_BETTER[name]


def test_bad_input_is_named(pair):
    image, target = pair
    with pytest.raises(InputError, match="reduction 'median'"):
        metrics.psnr(image, target, 1.0, "median")
    with pytest.raises(InputError, match="data_range is 0"):
        metrics.psnr(image, target, 0)
    with pytest.raises(InputError, match="differ in shape"):
        metrics.mse(image, target[:1])
    with pytest.raises(InputError, match="NaN"):
        metrics.mse(image * float("nan"), target)
    with pytest.raises(InputError, match="real images"):
        metrics.mse(image.to(torch.complex64), target)
    with pytest.raises(InputError, match="target is zero"):
        metrics.nmse(image, 0 * target)
    with pytest.raises(InputError, match="no edges"):
        metrics.hfn(image, torch.ones_like(target))


def test_ratios_of_a_flat_slice_are_nan_and_of_the_others_what_they_were(pair):
    image, target = pair
    flat = target.clone()
    flat[1] = 0.5
    before, after = metrics.table(image, target), metrics.table(image, flat)
    assert after.hfn.isna().tolist() == [False, True, False]
    assert after.nmse.notna().all()
    assert after.hfn[[0, 2]].tolist() == before.hfn[[0, 2]].tolist()
    volumes = metrics.by_volume(image, 0 * flat, ["a", "a", "b"])
    assert volumes.hfn.isna().all()
    assert volumes.nmse.isna().all()


def test_table_and_volumes(pair):
    rows = metrics.table(*pair, ["a", "a", "b"])
    assert list(rows.subject) == ["a", "a", "b"]
    assert rows.ssim[2] == pytest.approx(metrics.ssim(*pair, reduction="slice")[2].item())
    volumes = metrics.by_volume(*pair, ["a", "a", "b"])
    assert volumes.psnr[1] == pytest.approx(rows.psnr[2])
    image, target = pair
    for name in ("psnr", "ssim", "vif", "mse"):
        whole = getattr(metrics, name)(image[:2], target[:2], reduction="volume").item()
        assert volumes[name][0] == pytest.approx(whole)
    assert volumes.psnr[0] < rows.psnr[:2].mean() - 1e-9  # the mean error, then the logarithm
    assert list(volumes.slices) == [2, 1]


def frame(values, subjects):
    return pd.DataFrame({"subject": subjects, "slice": range(len(values)), "psnr": values})


def test_comparison_finds_a_shift_and_no_shift():
    generator = np.random.default_rng(0)
    subjects = np.repeat(list("abcdef"), 8)
    base = 30 + generator.normal(0, 2, 48)
    noise = generator.normal(0, 0.1, 48)
    better = metrics.compare(frame(base + 0.5 + noise, subjects), frame(base, subjects))
    assert 0 < better.low < better.mean < better.high
    assert better.mean == pytest.approx((0.5 + noise).mean())
    assert better.p_slices < 1e-6
    assert better.p_subjects == pytest.approx(2**-5)
    same = metrics.compare(frame(base, subjects), frame(base, subjects))
    assert (same.mean, same.low, same.high, same.p_slices) == (0, 0, 0, 1)


def test_intervals_respect_subjects():
    """One odd subject of many slices must widen the interval; slices alone would hide it."""
    subjects = np.repeat(list("abcd"), 50)
    shift = np.repeat([0.0, 0.0, 0.0, 4.0], 50)
    result = metrics.compare(frame(30 + shift, subjects), frame(30 + 0 * shift, subjects))
    assert result.low == 0
    assert result.high >= 2


def test_intervals_are_those_of_a_bootstrap_in_two_steps():
    """Subjects with different numbers of slices, drawn in plain loops: the same quantiles."""
    generator = np.random.default_rng(1)
    groups = [
        generator.normal(mean, 1, n) for mean, n in zip((0, 1, 2, 4), (3, 12, 5, 30), strict=True)
    ]
    subjects = np.repeat(list("abcd"), [len(group) for group in groups])
    difference = np.concatenate(groups)
    resamples = 4000
    found = metrics.compare(
        frame(30 + difference, subjects), frame(30 + 0 * difference, subjects), resamples=resamples
    )
    means = []
    for _ in range(resamples):
        drawn = [groups[generator.integers(4)] for _ in groups]
        means.append(np.concatenate([generator.choice(g, len(g)) for g in drawn]).mean())
    spread = np.std(means)
    for ours, share in ((found.low, 0.025), (found.high, 0.975)):
        assert ours == pytest.approx(np.quantile(means, share), abs=0.12 * spread)


def test_comparison_refuses_other_slices():
    with pytest.raises(InputError, match="different slices"):
        metrics.compare(frame([1.0, 2], ["a", "a"]), frame([1.0, 2], ["a", "b"]))
    with pytest.raises(InputError, match="unknown metric"):
        metrics.compare(frame([1.0], ["a"]), frame([1.0], ["a"]), "psrn")


def test_slices_do_not_depend_on_their_neighbours(pair):
    image, target = (x.repeat(4, 1, 1, 1) for x in pair)  # 12 slices: more than are taken at once
    for name, metric in metrics.METRICS.items():
        together = metric(image, target, 1.0, "slice")
        one_by_one = [metric(image[i : i + 1], target[i : i + 1]) for i in range(len(image))]
        assert torch.allclose(together, torch.stack(one_by_one)), name
