"""MRBrainS 2013 and 2018: T1 scans of 240 x 240 x 48 voxels, NIfTI, as downloaded.

2013: ``TrainingData/1/T1.nii`` (or ``.nii.gz``), ``TestData/1/T1.nii``; beside them ``T1_1mm``,
``T1_IR``, ``T2_FLAIR`` and labels. 2018: ``training/1/pre/reg_T1.nii.gz`` (registered, bias
corrected) and ``training/1/orig/reg_T1.nii.gz``; seven subjects named 1, 4, 5, 7, 14, 070 and 148.
"""

from functools import partial
from pathlib import Path

import numpy as np

from sftkd_core.data.formats import volume
from sftkd_core.data.layouts.source import Found, Source, files_in, natural, plain_name, side_of

NAMES = tuple(f"{name}{end}" for name in ("reg_t1", "t1") for end in (".nii.gz", ".nii"))
_VARIANTS = ("pre", "orig")  # the first of these that is there


def find(folder: Path) -> Found:
    """The T1 scan of each subject below ``folder``."""
    scans: dict[Path, list[Path]] = {}
    for path in files_in(folder, NAMES):
        if path.name.lower() in NAMES:
            place = path.parent
            scans.setdefault(place.parent if place.name in _VARIANTS else place, []).append(path)
    sources, skipped = [], []
    for place, paths in sorted(scans.items(), key=lambda item: natural(item[0])):
        chosen, *others = sorted(paths, key=_preference)
        split = side_of(chosen, folder, ("trainingdata",), ("testdata",))
        edition = "2013-" if split else ""
        subject = f"{edition}{split or 'subject'}-{plain_name(place.name)}"
        read = partial(read_scan, chosen)
        sources.append(Source(subject, split, (chosen,), read, subject))
        skipped += [(str(o.relative_to(folder)), f"{chosen.name} is used") for o in others]
    return Found(sources, skipped)


def read_scan(path: Path) -> np.ndarray:
    """The axial planes (n, h, w), feet first."""
    return volume.planes(volume.read_nifti(path), "axial")


def _preference(path: Path) -> tuple[int, int]:
    variant = path.parent.name
    first = _VARIANTS.index(variant) if variant in _VARIANTS else len(_VARIANTS)
    return first, NAMES.index(path.name.lower())
