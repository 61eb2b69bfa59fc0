"""Calgary-Campinas: T1 brains as NIfTI reconstructions, or as raw k-space in ``.npy`` arrays.

Raw arrays are (slices, h, w, 2 c): real and imaginary parts of c coils take turns in the last axis,
c = 1 (combined by the scanner, 256 x 256) or 12; the readout direction is transformed already, so a
slice is a 2-D problem. Folders ``Train``, ``Val`` and ``Test``, whose k-space is undersampled.
"""

from functools import partial
from pathlib import Path

import numpy as np

from sftkd_core.data.formats import volume
from sftkd_core.data.formats.kspace import combine, image_of, order_of
from sftkd_core.data.layouts.source import Found, Source, files_in, plain_name, side_of
from sftkd_core.data.slices import middle
from sftkd_core.system import InputError, files

SIZE, SLICES = 256, 110
_COILS = (1, 12)
_MASKS = ("_mask", "staple", "_seg", "_pveseg", "hippocampus")  # of the data set's segmentations


def find(folder: Path) -> Found:
    """The reconstructions below ``folder``, or, where it holds none, its raw k-space arrays."""
    scans, raw = files_in(folder, (".nii", ".nii.gz")), files_in(folder, (".npy",))
    sources, skipped = [], []
    for path in scans or raw:
        name = files.stem(path) if scans else path.stem
        label = str(path.relative_to(folder))
        if scans and any(mark in name.lower() for mark in _MASKS):
            skipped.append((label, "a segmentation"))
            continue
        split = side_of(path, folder, ("train",), ("val",))
        if split is None and any(
            part.lower().startswith("test") for part in path.relative_to(folder).parts[:-1]
        ):
            skipped.append((label, "of the challenge's test set, which is undersampled"))
            continue
        read = partial(read_scan if scans else read_kspace, path)
        sources.append(Source(plain_name(name), split, (path,), read, plain_name(name)))
    if scans and raw:
        skipped.append((f"{len(raw)} k-space arrays", "NIfTI files are used; or pass their folder"))
    return Found(sources, skipped)


def read_scan(path: Path) -> np.ndarray:
    """The central planes of 256 x 256 pixels; axial ones where no axis or several give these."""
    image = volume.read_nifti(path)
    shape = image.shape[:3]
    axes = [k for k in range(3) if (*shape[:k], *shape[k + 1 :]) == (SIZE, SIZE)]
    return middle(volume.planes(image, axes[0] if len(axes) == 1 else "axial"), SLICES)


@np.errstate(all="ignore")  # what overflows is noticed as infinite
def read_kspace(path: Path) -> np.ndarray:
    """The central planes (n, h, w) as complex64 images of one coil; one plane in memory at once."""
    raw = files.open_npy(path, "k-space array")
    if raw.ndim != 4 or raw.shape[3] not in [2 * coils for coils in _COILS]:
        raise InputError(
            f"{path} has shape {raw.shape}; raw k-space is (slices, h, w, 2) or (slices, h, w, 24)"
        )
    if raw.dtype.kind not in "iuf":
        raise InputError(f"{path} holds values of type {raw.dtype}; expected real numbers")
    raw = middle(raw, SLICES)
    files.check_volume(raw.shape[:3], path)
    files.check_slice(raw.shape[1:3], path)
    order = order_of(_coils(raw[len(raw) // 2]))
    if order is None:
        raise InputError(f"{path} peaks neither in the corner nor in the centre; is it k-space?")
    planes = np.empty(raw.shape[:3], np.complex64)
    for plane, kspace in zip(planes, raw, strict=True):
        images = image_of(_coils(kspace), order)
        files.check_finite(images, path)
        plane[...] = images[0] if len(images) == 1 else combine(images)
    return planes


def _coils(kspace: np.ndarray) -> np.ndarray:
    """(h, w, 2 c) real -> (c, h, w) complex64."""
    kspace = np.moveaxis(np.asarray(kspace, np.float32), -1, 0)
    return kspace[0::2] + 1j * kspace[1::2]
