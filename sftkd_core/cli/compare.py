"""``evaluate IMAGE TARGET``: how close one file is to another, both as they are.

"slice"   every slice over its target's maximum, means over slices: as the paper and this book
"volume"  the data range is the target volume's maximum; PSNR and NMSE are of the volume as a
          whole, SSIM is the mean over slices: as fastMRI's evaluation (Zbontar et al., 2018)
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from sftkd_core import metrics
from sftkd_core.cli.reconstruct import reading_of
from sftkd_core.data.formats import KINDS, Reading, Scan, ending, open_scan
from sftkd_core.system import InputError, counted

RANGES = ("slice", "volume")
_PART = 16  # slices at a time


def are_files(names: list[str]) -> bool:
    """Whether what is to be evaluated are files rather than networks."""
    return any(Path(name).is_file() or ending(name) in KINDS.split() for name in names)


def compare(names: list[str], options: argparse.Namespace) -> pd.DataFrame:
    """Print the metrics of an image and its target, two files; the table of what was printed."""
    if len(names) != 2:
        raise InputError(
            f"{', '.join(names)}: pass two files, a reconstruction and its target, or names of "
            "networks"
        )
    image, target = _pair(Path(names[0]), Path(names[1]), reading_of(options))
    there = np.flatnonzero(target.max((1, 2)) > 0)
    if not len(there):
        raise InputError(f"{names[1]} has nothing but empty slices; there is nothing to compare")
    if len(there) < len(target):
        print(f"{counted(len(target) - len(there), 'slice')} left out, whose target is empty")
    image, target = image[there], target[there]
    factor = float((image * target).sum() / max(float((image * image).sum()), 1e-30))
    if not 0.5 <= factor <= 2:
        print(
            f"note: times {factor:.3g}, {names[0]} would fit {names[1]} best; is its scale right?"
        )
    if options.data_range == "volume":
        table = _of_volume(image, target)
        print(f"data range: the volume's maximum, {target.max():g}; {counted(len(there), 'slice')}")
    else:
        table = _of_slices(image, target, there)
        print(f"data range: the maximum of each slice; means over {counted(len(there), 'slice')}")
    columns = list(metrics.METRICS)
    means = table[columns].replace([np.inf, -np.inf], np.nan).mean()
    if (table["psnr"] == np.inf).all():
        means["psnr"] = np.inf
    print("".join(f"{column:>10}" for column in columns))
    print("".join(f"{means[column]:10.4g}" for column in columns))
    if means["psnr"] == np.inf:
        print("psnr: infinite, for the two are equal")
    elif bool((table["psnr"] == np.inf).any()):
        print("psnr: without any error it is infinite; such slices are left out of its mean")
    return table


def _of_slices(image: np.ndarray, target: np.ndarray, indices: np.ndarray) -> pd.DataFrame:
    peak = target.max((1, 2), keepdims=True)
    parts = []
    for first in range(0, len(target), _PART):
        some = slice(first, first + _PART)
        ours, true = (torch.from_numpy(x[some] / peak[some])[:, None] for x in (image, target))
        parts.append(metrics.table(ours, true))
    return pd.concat(parts, ignore_index=True).assign(slice=indices)


def _of_volume(image: np.ndarray, target: np.ndarray) -> pd.DataFrame:
    ours, true = (torch.from_numpy(x)[:, None] for x in (image, target))
    return metrics.by_volume(ours, true, ["volume"] * len(target), float(target.max()))


def _pair(image: Path, target: Path, how: Reading) -> tuple[np.ndarray, np.ndarray]:
    """The slices (n, h, w) of two files, cut alike."""
    true = open_scan(target, how, images_first=True)
    alike = replace(how, plane=true.plane or "auto", dataset=None)
    ours = open_scan(image, alike if true.plane else replace(alike, plane="auto"), True)
    for scan in (ours, true):
        if scan.measured is not None:
            raise InputError(f"{scan.path} is k-space with missing lines; pass images")
    sizes = [(scan.count, scan.height, scan.width) for scan in (ours, true)]
    if sizes[0] != sizes[1]:
        found = " and ".join(" x ".join(map(str, size)) for size in sizes)
        raise InputError(
            f"{image} and {target} have {found} slices, rows, columns; pass two files of one scan"
        )
    return _slices(ours), _slices(true)


def _slices(scan: Scan) -> np.ndarray:
    parts = [scan.images(*some) for some in scan.batches()]
    return np.concatenate(parts)
