"""A folder of volumes at any depth: NIfTI or FreeSurfer's, of one person each or in BIDS.

BIDS names the person, ``sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz``: sessions, runs and contrasts
of one are then a group that no split divides. Elsewhere each file is somebody of its own.
"""

import re
from functools import partial
from pathlib import Path

import numpy as np

from sftkd_core.data.formats import volume
from sftkd_core.data.layouts.source import Found, Source, files_in, person_of, plain_name
from sftkd_core.system import files

ENDINGS = (*volume.NIFTI, *volume.FREESURFER)
_NO_SCAN = re.compile(r"(?:^|[_-])(?:mask|seg|dseg|gt)(?:[_-]|$)", re.IGNORECASE)


def find(folder: Path, plane: str = "auto") -> Found:
    """Each volume below ``folder``, named by its path; segmentations and derivatives are left out.

    plane  of the slices, as of ``volume.planes``
    """
    sources, skipped, derived = [], [], 0
    for path in files_in(folder, ENDINGS):
        inside = path.relative_to(folder)
        if "derivatives" in inside.parts[:-1]:
            derived += 1
        elif _NO_SCAN.search(files.stem(path)):
            skipped.append((str(inside), "named as a segmentation or mask"))
        else:
            name = plain_name("-".join((*inside.parts[:-1], files.stem(path))))
            group = person_of(inside) or name
            read = partial(read_file, path, plane)
            sources.append(Source(name, None, (path,), read, group, f"{plane} planes"))
    if derived:
        skipped.append((f"{derived} files in derivatives/", "computed from scans, no scans"))
    return Found(sources, skipped)


def is_scan(inside: Path) -> bool:
    """Whether a file's place in its folder names a scan: no segmentation, nothing derived."""
    return "derivatives" not in inside.parts[:-1] and not _NO_SCAN.search(files.stem(inside))


def read_file(path: Path, plane: str = "auto") -> np.ndarray:
    """The planes (n, h, w)."""
    return volume.planes(volume.read_nifti(path), plane)
