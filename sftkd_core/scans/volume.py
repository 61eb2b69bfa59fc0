"""NIfTI and FreeSurfer volumes, cut into axial slices."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from sftkd_core.errors import InputError
from sftkd_core.scans.scan import Scan, Span, as_dtype, check_size, ending, first_line

# axis 0 from bottom to top of the head, 1 from front to back, 2 from left to right: a slice is
# then planes[i], with the front of the head upwards
_AXIAL = axcodes2ornt(("S", "P", "R"))
_DAMAGE = (
    ImageFileError, HeaderDataError, WrapStructError, OSError, EOFError, ValueError, OverflowError,
    KeyError, zlib.error, MemoryError,
)  # fmt: skip


@dataclass(kw_only=True)
class VolumeScan(Scan):
    """A magnitude volume as axial slices, feet first.

    The volume is held once, as the numbers that the file stores: a slice is scaled when it is
    read and rounded when it is put, so affine, orientation, header and data type stay.
    """

    image: nibabel.spatialimages.SpatialImage
    stored: np.ndarray  # in the file's shape
    planes: np.ndarray  # a view of it, (n, h, w)
    slope: float
    intercept: float

    def images(self, first: int, last: int) -> np.ndarray:
        return np.clip(self._values(first, last), 0, None)

    def put(self, indices: np.ndarray, images: np.ndarray) -> None:
        values = (images.astype(np.float64) - self.intercept) / self.slope
        self.planes[indices] = as_dtype(values, self.stored.dtype)

    def payload(self, path: Path) -> bytes:
        header = self.image.header.copy()
        if isinstance(self.image, nibabel.Nifti1Image):
            header.set_slope_inter(self.slope, self.intercept)  # stored numbers go out as they are
        volume = type(self.image)(self.stored, self.image.affine, header)
        if ending(path) in (".nii.gz", ".mgz"):
            return gzip.compress(volume.to_bytes(), compresslevel=5, mtime=0)
        return volume.to_bytes()

    def _values(self, first: int, last: int) -> np.ndarray:
        planes = self.planes[first:last].astype(np.float64)
        return (planes * self.slope + self.intercept).astype(np.float32)


def open_volume(path: Path) -> VolumeScan:
    """Read the stored numbers, and check them plane by plane."""
    image, stored = _load(path)
    native = io_orientation(image.affine)
    if np.isnan(native).any():
        raise InputError(f"{path} has an affine that leaves out an axis; repair its header first")
    turn = ornt_transform(native, _AXIAL)
    planes = apply_orientation(stored.reshape(stored.shape[:3]), turn)
    if not np.shares_memory(planes, stored):
        raise AssertionError("the axial planes must be a view of the volume")
    count, height, width = planes.shape
    check_size(path, count, height, width)
    codes = "".join(nibabel.aff2axcodes(image.affine))
    kind = "NIfTI" if isinstance(image, nibabel.Nifti1Image) else "FreeSurfer"
    note = f"{kind} volume, axes {codes}, {stored.dtype.name}: {count} axial slices"
    slope, intercept = _scaling(image)
    scan = VolumeScan(
        path=path, count=count, height=height, width=width, note=note,
        aspect=_aspect(image.affine, native),
        image=image, stored=stored, planes=planes, slope=slope, intercept=intercept,
    )  # fmt: skip
    span = Span(path)
    for first, last in scan.batches():
        span.add(scan._values(first, last))
    span.close()
    return scan


def _load(path: Path) -> tuple[nibabel.spatialimages.SpatialImage, np.ndarray]:
    """The image, and a writeable copy of its stored numbers."""
    try:
        image = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image | nibabel.MGHImage):
            raise InputError(f"{path} is a {type(image).__name__}; convert it to NIfTI first")
        _check_shape(path, image)
        # a private copy on write: the file itself stays as it is
        stored = np.asanyarray(image.dataobj.get_unscaled())
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(
            f"{path} cannot be read as a volume ({first_line(error)}); it may be truncated or "
            "another format"
        ) from None
    return image, stored if stored.flags.writeable else stored.copy()


def _check_shape(path: Path, image: nibabel.spatialimages.SpatialImage) -> None:
    """One volume of three dimensions, of real numbers."""
    shape = image.shape
    if len(shape) < 3 or any(e != 1 for e in shape[3:]) or any(e == 1 for e in shape[:3]):
        raise InputError(
            f"{path} has shape {tuple(shape)}; pass one volume of three dimensions "
            "(of a series, extract one time point first)"
        )
    dtype = image.get_data_dtype()
    if dtype.kind not in "iuf":
        raise InputError(f"{path} holds {dtype} values; pass a magnitude image of numbers")


def _scaling(image: nibabel.spatialimages.SpatialImage) -> tuple[float, float]:
    """Slope and intercept that turn stored numbers into intensities."""
    slope, intercept = float(image.dataobj.slope), float(image.dataobj.inter)
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        return 1.0, 0.0
    return slope, intercept


def _aspect(affine: np.ndarray, native: np.ndarray) -> float:
    """Height over width of an axial pixel."""
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(0))  # of the file's axes, mm
    across, along = (int(np.flatnonzero(native[:, 0] == axis)[0]) for axis in (0, 1))
    return float(spacing[along] / spacing[across])
