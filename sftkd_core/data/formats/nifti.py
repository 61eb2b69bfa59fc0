"""Any NIfTI volume: read it, cut it into axial slices, put slices back.

nibabel reads and writes; what is here decides which way up a slice is, and how it is scaled.
"""

import gzip
import io
import logging
import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import torch
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    io_orientation,
    ornt_transform,
)
from torch import Tensor

from sftkd_core import system
from sftkd_core.data.formats import files
from sftkd_core.data.slices import scale_slices
from sftkd_core.system import InputError

# axis 0 from top to bottom of the head, 1 from front to back, 2 from left to right: a slice is
# then volume[i], with the front of the head upwards
_AXIAL = axcodes2ornt(("I", "P", "R"))
_LONGEST_HEADER = 1 << 24  # bytes before the values: header and its extensions


@dataclass(frozen=True)
class AxialStack:
    """A volume as axial slices, and what it takes to put them back.

    images   (n, 1, h, w) float32 in [0, 1], feet first; each slice over its own maximum
    scales   (n,) float64, those maxima, in the intensities of the file
    indices  which planes of the volume these are; empty ones are left out
    source   the image they were cut from
    """

    images: Tensor
    scales: np.ndarray
    indices: np.ndarray
    source: nibabel.Nifti1Image

    def restore(self, images: Tensor) -> nibabel.Nifti1Image:
        """A NIfTI image like the source with its slices replaced by ``images`` (n, 1, h, w).

        The same shape, orientation and affine, float32, original intensities; planes that were
        left out stay as they were.
        """
        if images.shape != self.images.shape:
            raise InputError(
                f"images of shape {tuple(images.shape)} do not fit a volume of "
                f"{tuple(self.images.shape)} slices; pass one image a slice"
            )
        there, back = _orientations(self.source)
        planes = apply_orientation(_values(self.source), there)[::-1]  # feet first
        planes = planes.astype(np.float64)
        planes[self.indices] = images[:, 0].numpy() * self.scales[:, None, None]
        volume = apply_orientation(planes[::-1], back)
        volume = volume.astype(np.float32).reshape(self.source.shape)
        header = self.source.header.copy()
        header.set_data_dtype(np.float32)
        header["cal_min"] = header["cal_max"] = 0  # the display window need not fit any more
        return type(self.source)(volume, self.source.affine, header)


@np.errstate(all="ignore")  # what overflows is noticed as infinite
def read_nifti(path: str | Path) -> nibabel.Nifti1Image:
    """A volume of three dimensions, all of it read; NIfTI-1 or -2, compressed or not.

    Raises ``InputError`` for a file that is missing, truncated, not NIfTI, too large or not one
    3-D volume, and for values that are NaN, infinite, negative (beyond 5 % of the maximum) or all
    equal. Memory is asked for only after the header's claim has been compared with the file.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; pass the path of a NIfTI file (.nii, .nii.gz)")
    if path.is_dir():
        raise InputError(f"{path} is a folder; pass one NIfTI file (.nii, .nii.gz)")
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise InputError(f"{path} cannot be read as NIfTI; convert it to .nii or .nii.gz first")
    content = files.read_bytes(path)
    try:
        with _silent():
            header = _header(content)
            shape = tuple(int(extent) for extent in header.get_data_shape())
            dtype, offset = header.get_data_dtype(), int(header.get_data_offset())
            slope, intercept = header.get_slope_inter()
            affine = header.get_best_affine()
            lost = not np.isfinite(affine).all() or np.isnan(io_orientation(affine)).any()
    except Exception as error:  # a damaged header fails in many ways, none of them of interest
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path} cannot be read as NIfTI ({reason}); it may be truncated or another format"
        ) from None
    if len([extent for extent in shape if extent != 1]) != 3 or any(e != 1 for e in shape[3:]):
        raise InputError(
            f"{path} has shape {shape}; pass one volume of three dimensions "
            "(of a series, extract one time point first)"
        )
    files.check_volume(shape, path)
    if dtype.kind not in "iuf":
        raise InputError(f"{path} holds {dtype} values; pass a magnitude image of numbers")
    if lost:
        raise InputError(f"{path} does not say which way its axes run; repair its affine")
    needed = math.prod(shape) * dtype.itemsize
    if offset < 0 or needed > len(content) - offset:
        raise InputError(
            f"{path} cannot be read as NIfTI: it says it holds {needed} bytes of values and has "
            f"{max(0, len(content) - offset)}; it may be truncated"
        )
    stored = np.frombuffer(content, dtype, math.prod(shape), offset).reshape(shape, order="F")
    values = _in_units(stored, slope, intercept)
    _check_values(values, path)
    kind = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
    return kind(values, affine, header)


def axial_slices(image: nibabel.Nifti1Image) -> AxialStack:
    """The axial planes of a volume, those that are not empty."""
    images, scales, indices = scale_slices(planes(image))
    return AxialStack(torch.from_numpy(images)[:, None], scales.astype(np.float64), indices, image)


def planes(image: nibabel.Nifti1Image, axis: int | None = None) -> np.ndarray:
    """A view of a volume as planes (n, h, w), in the file's own numbers.

    axis  which axis of the file counts the planes, in the file's order; None takes the axial
          planes, feet first. Rows run downwards or to the back, columns to the back or to the
          right of the subject: an axial plane has the front of the head upwards, a sagittal one
          the top.
    """
    values = _values(image)
    if axis is None:
        there, _ = _orientations(image)
        return apply_orientation(values, there)[::-1]
    native = io_orientation(image.affine)
    there = ornt_transform(native, _AXIAL)  # where each axis of the file goes, and its direction
    rows, columns = sorted((k for k in range(3) if k != axis), key=lambda k: there[k, 0])
    stack = values.transpose(axis, rows, columns)
    return stack[:, :: int(there[rows, 1]), :: int(there[columns, 1])]


def load_nifti(path: str | Path) -> AxialStack:
    """``axial_slices`` of the file at ``path``."""
    return axial_slices(read_nifti(path))


def write_nifti(image: nibabel.Nifti1Image, path: str | Path) -> None:
    """Write a volume whole or not at all; compressed where the name ends in ``.gz``."""
    check_output(path)
    payload = image.to_bytes()
    if Path(path).name.lower().endswith(".gz"):
        payload = gzip.compress(payload, compresslevel=5, mtime=0)
    system.write_bytes(path, payload)


def check_output(path: str | Path) -> None:
    """Raise ``InputError`` unless a volume of this name can be written."""
    path = Path(path)
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise InputError(f"output {path} is not named .nii or .nii.gz; choose such a name")
    if path.is_dir():
        raise InputError(f"output {path} is a folder; name a file in it")


def subject_of(path: str | Path) -> str:
    """The file's name without ``.nii`` or ``.nii.gz``."""
    name = Path(path).name
    for ending in (".nii.gz", ".nii"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def _header(content: bytes | bytearray) -> nibabel.Nifti1Header:
    """The header of a NIfTI-1 or -2 file, with its extensions, checked by nibabel."""
    size = int.from_bytes(content[:4], "little")
    two = size in (540, int.from_bytes((540).to_bytes(4, "little"), "big"))
    kind = nibabel.Nifti2Header if two else nibabel.Nifti1Header
    start = kind(bytes(content[: 540 if two else 348])).get_data_offset()
    return kind.from_fileobj(io.BytesIO(bytes(content[: max(0, min(start, _LONGEST_HEADER))])))


@contextmanager
def _silent():
    """Keep nibabel from telling on standard error what it finds odd in a header."""
    level = nibabel.imageglobals.logger.level
    nibabel.imageglobals.logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        nibabel.imageglobals.logger.setLevel(level)


def _in_units(stored: np.ndarray, slope: float | None, intercept: float | None) -> np.ndarray:
    """Stored numbers times the header's slope, plus its intercept; themselves without these."""
    if slope is None or (slope, intercept or 0) == (1, 0):
        return stored
    precise = np.float32 if stored.dtype.itemsize <= 2 else np.float64
    return stored * precise(slope) + precise(intercept or 0)


def _values(image: nibabel.Nifti1Image) -> np.ndarray:
    """Intensities as ``read_nifti`` left them, (x, y, z)."""
    values = np.asarray(image.dataobj)
    return values.reshape([extent for extent in values.shape[:3]], order="F")


def _orientations(image: nibabel.Nifti1Image) -> tuple[np.ndarray, np.ndarray]:
    """From the file's axes to axial planes, and back."""
    native = io_orientation(image.affine)
    return ornt_transform(native, _AXIAL), ornt_transform(_AXIAL, native)


def _check_values(values: np.ndarray, path: Path) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values.sum(dtype=np.float64)):
        raise InputError(f"{path} holds NaN or infinite values; replace them, by 0 for instance")
    lowest, highest = float(values.min()), float(values.max())
    if lowest == highest:
        raise InputError(f"{path} is {lowest:g} everywhere; there is nothing to reconstruct")
    if lowest < -0.05 * highest:
        raise InputError(
            f"{path} holds values down to {lowest:g}; pass a magnitude image, which has none "
            "below 0"
        )
