"""fastMRI, single coil: HDF5 with complex k-space (Zbontar et al., 2018), beyond the paper.

``singlecoil_train/file1000001.h5`` and ``singlecoil_val/...``: ``kspace`` (slices, h, w) complex64
with twofold oversampled readout; the image's middle 320 x 320 pixels are the scan. The attribute
``patient_id`` tells which files are of one patient.
"""

from functools import partial
from pathlib import Path

import numpy as np

from sftkd_core.data.formats import files, hdf5
from sftkd_core.data.formats.kspace import image_of
from sftkd_core.data.layouts.source import Found, Source, files_in, plain_name, side_of
from sftkd_core.data.slices import centre
from sftkd_core.system import InputError

SIZE = 320


def find(folder: Path) -> Found:
    """The single-coil files below ``folder``; undersampled ones (with a mask) are left out."""
    sources, skipped = [], []
    for path in files_in(folder, (".h5", ".hdf5")):
        label = str(path.relative_to(folder))
        try:
            with hdf5.opened(path) as file:
                names, patient = set(file), hdf5.text_of(file, "patient_id")
        except InputError as error:
            skipped.append((label, str(error)))
            continue
        if "mask" in names:
            skipped.append((label, "undersampled (it holds a mask)"))
            continue
        split = side_of(path, folder, ("singlecoil_train", "train"), ("singlecoil_val", "val"))
        name = plain_name(path.stem)
        sources.append(Source(name, split, (path,), partial(read_file, path), patient or name))
    return Found(sources, skipped)


@np.errstate(all="ignore")  # what overflows is noticed as infinite
def read_file(path: Path) -> np.ndarray:
    """Complex images (n, 320, 320), complex64."""
    with hdf5.opened(path) as file:
        kspace = hdf5.array_of(file, "kspace", 3, "c")
        files.check_slice(kspace.shape[1:], path)
        files.check_volume((len(kspace), SIZE, SIZE), path)
        planes = np.empty((len(kspace), SIZE, SIZE), np.complex64)
        for index, plane in enumerate(planes):
            image = image_of(kspace[index], (True, True))
            files.check_finite(image, path)
            plane[...] = centre(image[None], SIZE)[0]
    return planes
