"""A folder of ISMRMRD files at any depth: Cartesian k-space of slices, of one coil or several.

Each file is a person of its own, unless a name says otherwise as BIDS does (``sub-01``). Prepared
are fully sampled scans: images of one coil as they are, those of several combined. The library that
knows the readouts is an extra, ``pip install "sftkd-core[ismrmrd]"``.
"""

from functools import partial
from pathlib import Path

import numpy as np

from sftkd_core.data.formats import hdf5, mrd
from sftkd_core.data.formats.kspace import combine, image_of
from sftkd_core.data.formats.survey import survey
from sftkd_core.data.layouts.source import Found, Source, files_in, person_of, plain_name
from sftkd_core.system import InputError, files

ENDINGS = (".mrd", ".h5", ".hdf5")


def find(folder: Path) -> Found:
    """The files below ``folder`` that hold readouts, each named by its path."""
    sources, skipped = [], []
    for path in files_in(folder, ENDINGS):
        inside = path.relative_to(folder)
        try:
            with hdf5.opened(path) as file:
                group = mrd.group_of(file, None)
        except InputError as error:
            skipped.append((str(inside), str(error)))
            continue
        if group is None:
            skipped.append((str(inside), "holds no readouts of ISMRMRD"))
            continue
        name = plain_name("-".join((*inside.parts[:-1], files.stem(path))))
        read = partial(read_file, path)
        sources.append(Source(name, None, (path,), read, person_of(inside) or name))
    return Found(sources, skipped)


@np.errstate(all="ignore")  # what overflows is noticed as infinite
def read_file(path: Path) -> np.ndarray:
    """Complex images (n, h, w) complex64 of what the scanner shows, all volumes in a row.

    Raises ``InputError`` for what ``formats.mrd`` does not take, and for a scan that lacks lines.
    """
    with hdf5.opened(path) as file:
        group = mrd.group_of(file, None)
        if group is None:
            raise InputError(f"{path} holds no readouts of ISMRMRD")
        kspace, size = mrd.read(file, group)
    kspace = kspace.reshape(-1, *kspace.shape[-3:])
    found = survey(path, len(kspace), lambda first, last: kspace[first:last], "ISMRMRD", "centre")
    if found.measured is not None:
        raise InputError(
            f"{path} is undersampled ({found.measured.sum()} of {len(found.measured)} lines); only "
            "full scans are prepared, and reconstruct takes this one"
        )
    height, width = size or kspace.shape[-2:]
    top, left = (kspace.shape[-2] - height) // 2, (kspace.shape[-1] - width) // 2
    planes = np.empty((len(kspace), height, width), np.complex64)
    for plane, coils in zip(planes, kspace, strict=True):
        images = image_of(coils, found.order)
        files.check_finite(images, path)
        image = images[0] if len(images) == 1 else combine(images)
        plane[...] = image[top : top + height, left : left + width]
    return planes
