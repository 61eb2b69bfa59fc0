"""How close a reconstruction is to its target, and whether a difference is more than luck.

Every metric takes images ``(n, 1, h, w)`` and targets of the same shape and computes in float64.
``data_range`` is the span of possible values: 1 for slices scaled by their maximum. ``reduction``:

    "slice"   one value a slice, (n,)
    "mean"    their mean, a scalar
    "volume"  the stack taken as one volume, a scalar (for SSIM and VIF, which are defined on
              planes: sums over the planes before the ratio, or the mean where there is none)

NMSE and HFN are ratios to what the target holds: of a slice or volume of zeros, or without edges,
they are NaN, and their mean over slices is an ``InputError``.

>>> target = torch.ones(2, 1, 8, 8)
>>> image = target - torch.tensor([0.5, 0.1]).reshape(2, 1, 1, 1)
>>> [round(value, 1) for value in psnr(image, target, reduction="slice").tolist()]  # dB
[6.0, 20.0]
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, pad

from sftkd_core.system import Float, InputError

REDUCTIONS = ("slice", "volume", "mean")
Score = Float[Tensor, " n"] | Float[Tensor, ""]  # one value a slice, or one of all


def mse(image, target, data_range: float = 1.0, reduction: str = "mean") -> Score:
    """Mean squared error, in units of ``data_range`` squared."""
    image, target = _pair(image, target, data_range, reduction)
    return _reduce((image - target).square().flatten(1).mean(1), reduction)


def nmse(image, target, data_range: float = 1.0, reduction: str = "mean") -> Score:
    """Normalised mean squared error ``||image - target||^2 / ||target||^2`` (Zbontar 2018)."""
    image, target = _pair(image, target, data_range, reduction)
    return _ratio((image - target).square(), target.square(), reduction, "the target is zero")


def psnr(image, target, data_range: float = 1.0, reduction: str = "mean") -> Score:
    """Peak signal-to-noise ratio in dB; infinite for equal images."""
    image, target = _pair(image, target, data_range, reduction)
    error = (image - target).square().flatten(1).mean(1)
    if reduction == "volume":
        return -10 * torch.log10(error.mean())
    return _reduce(-10 * torch.log10(error), reduction)


def ssim(image, target, data_range: float = 1.0, reduction: str = "mean") -> Score:
    """Structural similarity (Wang et al. 2004): 7x7 uniform windows that lie inside the image.

    Sample covariances, K1 = 0.01, K2 = 0.03: the defaults of scikit-image.
    """
    image, target = _pair(image, target, data_range, reduction)
    window = SMALLEST["ssim"]
    if min(image.shape[-2:]) < window:
        raise InputError(f"images of {tuple(image.shape[-2:])} are too small for SSIM: 7x7 windows")
    products = torch.cat([image, target, image * image, target * target, image * target], dim=1)
    x, y, xx, yy, xy = avg_pool2d(products, window, stride=1).unbind(1)
    sample = window**2 / (window**2 - 1)
    variance_x, variance_y = sample * (xx - x * x), sample * (yy - y * y)
    covariance = sample * (xy - x * y)
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * x * y + c1) * (2 * covariance + c2)
    similarity = similarity / ((x * x + y * y + c1) * (variance_x + variance_y + c2))
    return _reduce(similarity.flatten(1).mean(1), reduction)


def hfn(image, target, data_range: float = 1.0, reduction: str = "mean") -> Score:
    """High-frequency error norm: the NMSE of the Laplacians (Fujita et al. 2020); FACTS 5.10.

    The 3x3 Laplacian (centre -4) of the image mirrored at its edges; the reconstruction is clipped
    to [0, data_range] first. Both as the released code does, by scikit-image's ``laplace``.
    """
    image, target = _pair(image, target, data_range, reduction)
    laplacian = torch.tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=image.dtype)
    kernel = laplacian.to(image.device)[None, None]
    edges, target_edges = (
        conv2d(pad(x, [1] * 4, "replicate"), kernel) for x in (image.clamp(0, 1), target)
    )
    return _ratio(
        (target_edges - edges).square(), target_edges.square(), reduction, "target has no edges"
    )


def vif(image, target, data_range: float = 1.0, reduction: str = "mean") -> Score:
    """Visual information fidelity, pixel domain, four scales (Sheikh and Bovik 2006).

    On a 0-255 scale with noise variance 2: on [0, 1] the same noise drowns every image and the
    value degenerates to a ratio of contrasts. Needs at least 41 x 41 pixels.
    """
    pair = _pair(image, target, data_range, reduction)
    if min(pair[0].shape[-2:]) < SMALLEST["vif"]:
        shape = tuple(pair[0].shape[-2:])
        raise InputError(f"images of {shape} are too small for VIF: 41x41 pixels")
    # a few slices at a time: windows of 17 x 17 in float64 take much memory
    parts = [_information(*part) for part in zip(*(x.split(8) for x in pair), strict=True)]
    seen, shown = (torch.cat(column) for column in zip(*parts, strict=True))
    if reduction == "volume":
        return (seen.sum() + _TINY) / (shown.sum() + _TINY)
    return _reduce((seen + _TINY) / (shown + _TINY), reduction)


_TINY = 1e-8


def _information(image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """VIF's numerator and denominator of each slice, (n,): what is seen, what there was to see."""
    image, target, noise = 255 * image, 255 * target, 2.0
    seen = shown = torch.zeros(len(image), dtype=image.dtype, device=image.device)
    for size in (17, 9, 5, 3):
        if size != 17:
            image, target = (_smooth(x, size)[..., ::2, ::2] for x in (image, target))
        products = torch.cat([image, target, image * image, target * target, image * target])
        x, y, xx, yy, xy = _smooth(products, size).chunk(5)
        variance_x, variance_y = (xx - x * x).relu(), (yy - y * y).relu()
        covariance = xy - x * y
        # image = gain * target + noise, locally; a negative gain carries no information
        gain = covariance / (variance_y + _TINY)
        useful = (gain > 0) & (variance_x >= _TINY) & (variance_y >= _TINY)
        gain = torch.where(useful, gain, 0.0)
        rest = (variance_x - gain * covariance).clamp(min=_TINY)
        variance_y = torch.where(variance_y >= _TINY, variance_y, 0.0)
        seen = seen + torch.log2(1 + gain.square() * variance_y / (rest + noise)).flatten(1).sum(1)
        shown = shown + torch.log2(1 + variance_y / noise).flatten(1).sum(1)
    return seen, shown


METRICS = {"psnr": psnr, "ssim": ssim, "mse": mse, "nmse": nmse, "hfn": hfn, "vif": vif}
SMALLEST = {"ssim": 7, "vif": 41}  # pixels a side; smaller images have NaN in tables
HIGHER_IS_BETTER = {name: name in ("psnr", "ssim", "vif") for name in METRICS}


def table(
    images, targets, subjects: Sequence[str] | None = None, data_range: float = 1.0
) -> pd.DataFrame:
    """Every metric of every slice: columns subject, slice (its index), psnr, ssim, mse, ...

    NaN where slices are smaller than ``SMALLEST``.

    images, targets  (n, 1, h, w); subjects  n names (default: all one subject)
    """
    names = ["volume"] * len(targets) if subjects is None else list(subjects)
    if len(names) != len(targets):
        raise InputError(f"{len(names)} subject names for {len(targets)} slices; pass one a slice")
    columns = {
        name: _or_nan(name, images, targets, data_range, "slice").cpu().numpy() for name in METRICS
    }
    return pd.DataFrame({"subject": names, "slice": np.arange(len(names)), **columns})


def by_volume(images, targets, subjects: Sequence[str], data_range: float = 1.0) -> pd.DataFrame:
    """Every metric of every subject's volume: columns subject, slices, psnr, ssim, mse, ..."""
    rows = []
    for subject in dict.fromkeys(subjects):
        index = torch.tensor([i for i, name in enumerate(subjects) if name == subject])
        pair = images[index], targets[index]
        values = {name: _or_nan(name, *pair, data_range, "volume").item() for name in METRICS}
        rows.append({"subject": subject, "slices": len(index), **values})
    return pd.DataFrame(rows)


def _or_nan(name: str, images, targets, data_range: float, reduction: str) -> Tensor:
    """A metric's values, NaN for images smaller than its windows."""
    if min(targets.shape[-2:]) < SMALLEST.get(name, 0):
        return torch.full([len(targets)] if reduction == "slice" else [], torch.nan)
    return METRICS[name](images, targets, data_range, reduction)


@dataclass(frozen=True)
class Comparison:
    """The paired difference ``a - b`` of a metric, between two networks as they were trained once.

    It makes no verdict: the interval knows other subjects, and nothing of another training. That
    takes several seeds, see ``significance.paired``.

    mean        over slices
    low, high   bootstrap interval; subjects are drawn first, then slices within each (too wide
                rather than too narrow where several subjects hardly differ; of one subject it
                knows the slices only, and claims nothing)
    p_slices    two-sided Wilcoxon signed-rank test on slices (presumably the paper's), which takes
                the slices of one subject for independent
    p_subjects  the same on the means of subjects; its smallest value is 2 ** (1 - subjects)
    """

    mean: float
    low: float
    high: float
    p_slices: float
    p_subjects: float
    slices: int
    subjects: int


def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    metric: str = "psnr",
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two tables of ``table`` made on the same slices, paired by slice.

    Raises ``InputError`` unless both hold the same subjects and slices.
    """
    if metric not in a.columns or metric not in b.columns:
        raise InputError(f"unknown metric {metric!r}; choose one of {', '.join(METRICS)}")
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence}; it must lie between 0 and 1")
    keys = ["subject", "slice"]
    if a.empty or not a[keys].reset_index(drop=True).equals(b[keys].reset_index(drop=True)):
        raise InputError("the two tables hold different slices; evaluate both on the same test set")
    difference = a[metric].to_numpy() - b[metric].to_numpy()
    groups = [difference[a["subject"].to_numpy() == name] for name in a["subject"].unique()]
    means = _resampled_means(groups, resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Comparison(
        mean=float(difference.mean()),
        low=float(low),
        high=float(high),
        p_slices=signed_rank_p(difference),
        p_subjects=signed_rank_p(np.array([group.mean() for group in groups])),
        slices=len(difference),
        subjects=len(groups),
    )


def _resampled_means(
    groups: list[np.ndarray], resamples: int, generator: np.random.Generator
) -> list[float]:
    """Means of a bootstrap in two steps: subjects, then of each as many slices as it has."""
    slices = np.concatenate(groups)
    sizes = np.array([len(group) for group in groups])
    firsts = np.cumsum(sizes) - sizes
    means = []
    for drawn in generator.integers(len(sizes), size=(resamples, len(sizes))):
        of_subject = np.repeat(drawn, sizes[drawn])
        chosen = firsts[of_subject] + generator.integers(sizes[of_subject])
        means.append(slices[chosen].mean())
    return means


def signed_rank_p(difference: np.ndarray) -> float:
    """P value of Wilcoxon's two-sided signed-rank test; 1 where nothing differs."""
    if not difference.any():
        return 1.0  # no difference at all: nothing to rank
    return float(stats.wilcoxon(difference).pvalue)


def _pair(
    image, target, data_range: float, reduction: str
) -> tuple[Float[Tensor, "n 1 h w"], Float[Tensor, "n 1 h w"]]:
    """Both as float64 in units of the data range, after checking."""
    if reduction not in REDUCTIONS:
        raise InputError(f"unknown reduction {reduction!r}; choose one of {', '.join(REDUCTIONS)}")
    if not data_range > 0 or not np.isfinite(data_range):
        raise InputError(f"data_range is {data_range}; it must be positive, such as 1.0")
    pair = [torch.as_tensor(x).detach() for x in (image, target)]
    for x in pair:
        if x.is_complex():
            raise InputError("metrics compare real images; take the magnitude first")
        if x.ndim != 4 or x.shape[1] != 1 or x.numel() == 0:
            raise InputError(f"images have shape {tuple(x.shape)}; pass (n, 1, height, width)")
    if pair[0].shape != pair[1].shape:
        raise InputError(
            f"image {tuple(pair[0].shape)} and target {tuple(pair[1].shape)} differ in shape"
        )
    image, target = (x.to(torch.float64) / data_range for x in pair)
    if not (torch.isfinite(image).all() and torch.isfinite(target).all()):
        raise InputError("images hold NaN or infinite values; metrics of them mean nothing")
    return image, target


def _reduce(values: Tensor, reduction: str) -> Tensor:
    return values if reduction == "slice" else values.mean()


def _ratio(error: Tensor, energy: Tensor, reduction: str, problem: str) -> Tensor:
    error, energy = error.flatten(1).sum(1), energy.flatten(1).sum(1)
    if reduction == "volume":
        error, energy = error.sum(), energy.sum()
    if reduction == "mean" and not (energy > 0).all():
        raise InputError(f"{problem}: the ratio is undefined; leave empty slices out")
    return _reduce(torch.where(energy > 0, error / energy, torch.nan), reduction)


def _smooth(images: Tensor, size: int) -> Tensor:
    """Gaussian windows that lie inside the image, standard deviation size / 5: rows, columns."""
    distance = torch.arange(size, dtype=images.dtype, device=images.device) - size // 2
    profile = torch.exp(-0.5 * (distance / (size / 5)) ** 2)
    profile = profile / profile.sum()
    rows = conv2d(images, profile[None, None, :, None])
    return conv2d(rows, profile[None, None, None, :])
