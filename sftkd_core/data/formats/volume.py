"""Volumes, NIfTI or FreeSurfer's: read them, cut them into slices, put slices back.

nibabel knows the headers. What is here compares them with the file before memory is asked for, and
decides which way up a slice is and how it is scaled.
"""

import gzip
import io
import math
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from torch import Tensor

from sftkd_core import system
from sftkd_core.data.formats import dicom, foreign
from sftkd_core.data.slices import scale_slices
from sftkd_core.system import InputError, files

NIFTI, FREESURFER = (".nii", ".nii.gz"), (".mgz", ".mgh")
# towards the feet, to the back, to the right: how rows and columns of an upright slice run, and
# what a slice is called that is cut across each of these
_UPRIGHT = axcodes2ornt(("I", "P", "R"))
PLANES = ("axial", "coronal", "sagittal")
_THICK = 2  # times the other sides of a voxel: slices, and no volume of small cubes
_LONGEST_HEADER = 1 << 24  # bytes before the values: header and its extensions

Image = nibabel.Nifti1Image | nibabel.MGHImage


def kind_of(path: Path) -> str:
    """The family of formats of a volume, in words."""
    if path.is_dir():
        return "DICOM"
    kind = files.ending(path)
    return "FreeSurfer" if kind in FREESURFER else foreign.KINDS.get(kind, "NIfTI")


@dataclass(frozen=True)
class Stack:
    """A volume as slices, and what it takes to put them back.

    images   (n, 1, h, w) float32 in [0, 1]; each slice over its own maximum
    scales   (n,) float64, those maxima, in the intensities of the file
    indices  which planes of the volume these are; empty ones are left out
    source   the image they were cut from
    plane    one of ``PLANES``, or what is nearest to it
    """

    images: Tensor
    scales: np.ndarray
    indices: np.ndarray
    source: Image
    plane: str

    def restore(self, images: Tensor) -> Image:
        """An image like the source with its slices replaced by ``images`` (n, 1, h, w).

        The same shape, orientation and affine, float32, original intensities; planes that were
        left out stay as they were.
        """
        if images.shape != self.images.shape:
            raise InputError(
                f"images of shape {tuple(images.shape)} do not fit a volume of "
                f"{tuple(self.images.shape)} slices; pass one image a slice"
            )
        values = np.array(self.source.dataobj, np.float32)
        planes = Cut(self.source, self.plane).planes(values)
        planes[self.indices] = images[:, 0].numpy() * self.scales[:, None, None]
        header = self.source.header.copy()
        header.set_data_dtype(np.float32)
        if isinstance(header, nibabel.Nifti1Header):
            header["cal_min"] = header["cal_max"] = 0  # the display window need not fit any more
        return type(self.source)(values, self.source.affine, header)


@np.errstate(all="ignore")  # what overflows is noticed as infinite
def read_nifti(path: str | Path) -> Image:
    """A volume or a slice, all of it read: NIfTI-1 or -2, or FreeSurfer's MGH.

    Raises ``InputError`` for a file that is missing, truncated, no volume, too large or a series
    of volumes, and for values that are NaN, infinite, negative (beyond 5 % of the maximum) or all
    equal. Memory is asked for only after the header's claim has been compared with the file.
    """
    image, *scaling = stored(Path(path))
    values = in_units(np.asanyarray(image.dataobj), *scaling)
    files.check_magnitudes(values.T, path)
    return type(image)(values, image.affine, image.header)


def load_nifti(path: str | Path, plane: str = "auto") -> Stack:
    """The ``planes`` of the volume at ``path``, those that are not empty."""
    image = read_nifti(path)
    cut = Cut(image, plane)
    scaled, scales, indices = scale_slices(cut.planes(np.asarray(image.dataobj)))
    images = torch.from_numpy(scaled)[:, None]
    return Stack(images, scales.astype(np.float64), indices, image, cut.plane)


def write_nifti(image: Image, path: str | Path) -> None:
    """Write a volume whole or not at all, in the format that the name says."""
    path = system.check_output(path, NIFTI + FREESURFER)
    system.write_bytes(path, payload_of(image, path))


def planes(image: Image, plane: str | int = "auto") -> np.ndarray:
    """A view of a volume as planes (n, h, w), in the file's own numbers.

    plane  "axial" (feet first), "coronal" or "sagittal", the planes of the file that are nearest;
           "auto" takes those that were acquired: across the axis of a single plane, or that the
           header calls the slice direction, or along which voxels are much the longest, and axial
           ones where nothing tells. A number is that axis of the file, in the file's order.

    Rows run downwards or to the back, columns to the back or to the right of the subject: an axial
    plane has the front of the head upwards, a sagittal one the top.
    """
    return Cut(image, plane).planes(np.asarray(image.dataobj))


class Cut:
    """How planes lie in a volume.

    plane   which of ``PLANES`` they are, or are nearest to
    aspect  height over width of a pixel
    """

    @np.errstate(all="ignore")  # absurd voxels have no aspect
    def __init__(self, image: Image, plane: str | int):
        there = ornt_transform(io_orientation(image.affine), _UPRIGHT)  # where each axis goes, how
        towards = [int(step) for step in there[:, 1]]
        spacing = nibabel.affines.voxel_sizes(image.affine)
        if isinstance(plane, str):
            if plane not in ("auto", *PLANES):
                known = ", ".join(PLANES)
                raise InputError(f"unknown plane {plane!r}; choose one of auto, {known}")
            wanted = PLANES.index("axial" if plane == "auto" else plane)
            acquired = _acquired(image, spacing) if plane == "auto" else None
            axis = int(np.flatnonzero(there[:, 0] == wanted)[0]) if acquired is None else acquired
        else:
            axis = plane
        rows, columns = sorted((k for k in range(3) if k != axis), key=lambda k: there[k, 0])
        self.plane = PLANES[int(there[axis, 0])]
        self.aspect = float(spacing[rows] / spacing[columns])
        upwards = isinstance(plane, str) and self.plane == "axial"
        self._axes = (axis, rows, columns)
        steps = (-towards[axis] if upwards else 1, towards[rows], towards[columns])
        self._steps = tuple(slice(None, None, step) for step in steps)

    def planes(self, values: np.ndarray) -> np.ndarray:
        """A view (n, h, w) of (x, y, z) or (x, y); further axes are of one entry."""
        values = values[..., None] if values.ndim == 2 else values
        values = np.squeeze(values, tuple(range(3, values.ndim)))
        return values.transpose(self._axes)[self._steps]

    def series(self, values: np.ndarray) -> np.ndarray:
        """A view (t, n, h, w) of volumes (x, y, z, t)."""
        return values.transpose(3, *self._axes)[(slice(None), *self._steps)]


def _acquired(image: Image, spacing: np.ndarray) -> int | None:
    """The axis across which slices were acquired, where the file tells."""
    shape = (*image.shape, 1)[:3]
    single = [axis for axis in range(3) if shape[axis] == 1]
    if single:
        return single[0]
    if isinstance(image.header, nibabel.Nifti1Header):
        named = image.header.get_dim_info()[2]
        if named is not None:
            return named
    *_, second, longest = np.argsort(spacing)
    return int(longest) if spacing[longest] >= _THICK * spacing[second] else None


def in_units(values: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """Stored numbers times the slope, plus the intercept; themselves without these."""
    if (slope, intercept) == (1, 0):
        return values
    precise = np.float32 if values.dtype.itemsize <= 2 else np.float64
    return values * precise(slope) + precise(intercept)


def stored(
    path: Path, series: bool = False, choice: str | None = None
) -> tuple[Image, float, float]:
    """An image of the numbers in a file, their slope and their intercept, after all checks.

    path    of a file, or of a folder with a DICOM series
    series  whether several volumes may be in it
    choice  of a DICOM folder's series, its number; None takes the only one

    The numbers may be changed, which leaves the file alone.
    """
    if path.is_dir():
        found: tuple[Image, float, float] = dicom.read_series(path, choice), 1.0, 0.0
    elif files.ending(path) in foreign.ENDINGS:
        found = foreign.read(path), 1.0, 0.0
    else:
        found = _mapped(path)
    shape = found[0].shape
    several = any(extent != 1 for extent in shape[3:])
    if len([n for n in shape[:3] if n != 1]) < 2 or (several and not series):
        raise InputError(
            f"{path} has shape {shape}; pass one volume of three dimensions, or one slice "
            "(of a series, extract one time point first, or let reconstruct --volume choose)"
        )
    return found


def _mapped(path: Path) -> tuple[Image, float, float]:
    """An image of the numbers in a NIfTI or FreeSurfer file, their slope and their intercept."""
    files.check_regular(path)
    if files.ending(path) not in (*NIFTI, *FREESURFER):
        raise InputError(f"{path} cannot be read as a volume; convert it to .nii or .nii.gz first")
    content = files.contents(path)
    try:
        with foreign.silent():
            kind, header = _header(content, files.ending(path) in FREESURFER)
            shape = tuple(int(extent) for extent in header.get_data_shape())
            dtype, offset = header.get_data_dtype(), int(header.get_data_offset())
            slope, intercept = (float(x or 0) for x in header.get_slope_inter())
            affine = header.get_best_affine()
            lost = not np.isfinite(affine).all() or np.isnan(io_orientation(affine)).any()
    except Exception as error:  # a damaged header fails in many ways, none of them of interest
        raise InputError(
            f"{path} cannot be read as a volume ({files.first_line(error)}); it may be truncated "
            "or another format"
        ) from None
    _check_intent(header, path)
    files.check_volume(shape, path)
    if dtype.kind not in "iuf":
        raise InputError(f"{path} holds {dtype} values; pass a magnitude image of numbers")
    if lost:
        raise InputError(f"{path} does not say which way its axes run; repair its affine")
    needed, there = math.prod(shape) * dtype.itemsize, len(content) - offset
    if offset < 0 or needed > there:
        raise InputError(
            f"{path} cannot be read as a volume: it says it holds {needed} bytes of values and "
            f"has {max(0, there)}; it may be truncated"
        )
    values = np.ndarray(shape, dtype, content, offset, order="F")
    with foreign.silent():
        image = kind(values, affine, header)
    return image, slope or 1.0, intercept if slope else 0.0


def _check_intent(header, path: Path) -> None:
    """Raise ``InputError`` for what a header says is no image of intensities."""
    intent = int(header["intent_code"]) if isinstance(header, nibabel.Nifti1Header) else 0
    if 3000 <= intent < 3100:
        raise InputError(f"{path} is a CIFTI file, of a brain's surface; pass a volume")
    if intent == 1002:
        raise InputError(f"{path} holds labels (intent code 1002); pass a magnitude image")


def _header(content: mmap.mmap | bytearray, freesurfer: bool) -> tuple[type, Any]:
    """The kind of image, and its header with extensions or footer, checked by nibabel."""
    if freesurfer:
        stream = content if isinstance(content, mmap.mmap) else io.BytesIO(content)
        return nibabel.MGHImage, nibabel.MGHImage.header_class.from_fileobj(stream)
    size = int.from_bytes(content[:4], "little")
    two = size in (540, int.from_bytes((540).to_bytes(4, "little"), "big"))
    kind = nibabel.Nifti2Image if two else nibabel.Nifti1Image
    start = kind.header_class(bytes(content[: 540 if two else 348])).get_data_offset()
    start = max(0, min(int(start), _LONGEST_HEADER))
    return kind, kind.header_class.from_fileobj(io.BytesIO(bytes(content[:start])))


def payload_of(image: Image, path: Path) -> bytes:
    kind = nibabel.MGHImage if files.ending(path) in FREESURFER else nibabel.Nifti1Image
    image = image if isinstance(image, kind) else kind.from_image(image)
    packed = files.ending(path) in (".nii.gz", ".mgz")
    return gzip.compress(image.to_bytes(), 5, mtime=0) if packed else image.to_bytes()
