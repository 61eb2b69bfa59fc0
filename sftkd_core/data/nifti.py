"""Any NIfTI volume: read it, cut it into axial slices, put slices back.

nibabel reads and writes; what is here decides which way up a slice is, and how it is scaled.
"""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import torch
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    io_orientation,
    ornt_transform,
)
from torch import Tensor

from sftkd_core import storage
from sftkd_core.errors import InputError

# axis 0 from top to bottom of the head, 1 from front to back, 2 from left to right: a slice is
# then volume[i], with the front of the head upwards
_AXIAL = axcodes2ornt(("I", "P", "R"))


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
        planes = apply_orientation(_values(self.source), there)[::-1].copy()  # feet first
        planes[self.indices] = images[:, 0].numpy() * self.scales[:, None, None]
        volume = apply_orientation(planes[::-1], back)
        volume = volume.astype(np.float32).reshape(self.source.shape)
        header = self.source.header.copy()
        header.set_data_dtype(np.float32)
        header["cal_min"] = header["cal_max"] = 0  # the display window need not fit any more
        return nibabel.Nifti1Image(volume, self.source.affine, header)


def read_nifti(path: str | Path) -> nibabel.Nifti1Image:
    """A volume of three dimensions, all of it read; NIfTI-1 or -2, compressed or not.

    Raises ``InputError`` for a file that is missing, truncated, not NIfTI or not one 3-D volume,
    and for values that are NaN, infinite, negative (beyond 5 % of the maximum) or all equal.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; pass the path of a NIfTI file (.nii, .nii.gz)")
    if path.is_dir():
        raise InputError(f"{path} is a folder; pass one NIfTI file (.nii, .nii.gz)")
    try:
        image = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):
            raise InputError(f"{path} is a {type(image).__name__}; convert it to NIfTI first")
        shape = image.shape
        values = np.asanyarray(image.dataobj) if len(shape) <= 4 else None
    except (ImageFileError, OSError, EOFError, ValueError, zlib.error, gzip.BadGzipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path} cannot be read as NIfTI ({reason}); it may be truncated or another format"
        ) from None
    if len([extent for extent in shape if extent != 1]) != 3 or any(e != 1 for e in shape[3:]):
        raise InputError(
            f"{path} has shape {tuple(shape)}; pass one volume of three dimensions "
            "(of a series, extract one time point first)"
        )
    _check_values(values, path)
    return image


def axial_slices(image: nibabel.Nifti1Image) -> AxialStack:
    """The axial planes of a volume, those that are not empty."""
    there, _ = _orientations(image)
    planes = apply_orientation(_values(image), there)[::-1]  # (n, h, w), feet first
    planes = np.clip(planes, 0, None)
    highest = planes.max(axis=(1, 2))
    indices = np.flatnonzero(highest > 0)
    scales = highest[indices]
    scaled = (planes[indices] / scales[:, None, None]).astype(np.float32)
    return AxialStack(torch.from_numpy(scaled)[:, None], scales, indices, image)


def load_nifti(path: str | Path) -> AxialStack:
    """``axial_slices`` of the file at ``path``."""
    return axial_slices(read_nifti(path))


def write_nifti(image: nibabel.Nifti1Image, path: str | Path) -> None:
    """Write a volume whole or not at all; compressed where the name ends in ``.gz``."""
    check_output(path)
    payload = image.to_bytes()
    if Path(path).name.lower().endswith(".gz"):
        payload = gzip.compress(payload, compresslevel=5, mtime=0)
    storage.write_bytes(path, payload)


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


def _values(image: nibabel.Nifti1Image) -> np.ndarray:
    """Intensities with the header's slope applied, float64, (x, y, z)."""
    values = np.asarray(image.dataobj, dtype=np.float64)
    return values.reshape(values.shape[:3])


def _orientations(image: nibabel.Nifti1Image) -> tuple[np.ndarray, np.ndarray]:
    """From the file's axes to axial planes, and back."""
    native = io_orientation(image.affine)
    return ornt_transform(native, _AXIAL), ornt_transform(_AXIAL, native)


def _check_values(values: np.ndarray, path: Path) -> None:
    if values.dtype.kind not in "iuf":
        raise InputError(f"{path} holds {values.dtype} values; pass a magnitude image of numbers")
    if not np.isfinite(values).all():
        raise InputError(f"{path} holds NaN or infinite values; replace them, by 0 for instance")
    lowest, highest = float(values.min()), float(values.max())
    if lowest == highest:
        raise InputError(f"{path} is {lowest:g} everywhere; there is nothing to reconstruct")
    if lowest < -0.05 * highest:
        raise InputError(
            f"{path} holds values down to {lowest:g}; pass a magnitude image, which has none "
            "below 0"
        )
