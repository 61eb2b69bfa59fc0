"""A folder of NIfTI volumes, one a subject, at any depth."""

from functools import partial
from pathlib import Path

import numpy as np

from sftkd_core.data.formats import files, volume
from sftkd_core.data.layouts.source import Found, Source, files_in, plain_name


def find(folder: Path) -> Found:
    """Each ``.nii`` or ``.nii.gz`` below ``folder``, named by its path."""
    sources = []
    for path in files_in(folder, (".nii", ".nii.gz")):
        parts = path.relative_to(folder).parts[:-1]
        name = plain_name("-".join((*parts, files.stem(path))))
        sources.append(Source(name, None, (path,), partial(read_file, path), name))
    return Found(sources, [])


def read_file(path: Path) -> np.ndarray:
    """The axial planes (n, h, w), feet first."""
    return volume.planes(volume.read_nifti(path))
