"""NIfTI and FreeSurfer volumes, cut into axial slices."""

import gzip
import warnings
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from nibabel.imageglobals import LoggingOutputSuppressor
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

from sftkd_core.data.formats import files
from sftkd_core.data.formats.scan import Scan, Span, as_dtype, check_size, ending, first_line
from sftkd_core.system import InputError

# axis 0 from bottom to top of the head, 1 from front to back, 2 from left to right: a slice is
# then planes[i], with the front of the head upwards
_AXIAL = axcodes2ornt(("S", "P", "R"))


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
        volume = type(self.image)(self.stored, self.image.affine, self.image.header)
        if isinstance(self.image, nibabel.Nifti1Image):
            # only now, for a new image forgets it; stored numbers then go out as they are
            volume.header.set_slope_inter(self.slope, self.intercept)
        if ending(path) in (".nii.gz", ".mgz"):
            return gzip.compress(volume.to_bytes(), compresslevel=5, mtime=0)
        return volume.to_bytes()

    def _values(self, first: int, last: int) -> np.ndarray:
        planes = self.planes[first:last].astype(np.float64)
        return (planes * self.slope + self.intercept).astype(np.float32)


def open_volume(path: Path) -> VolumeScan:
    """Read the stored numbers, and check them plane by plane."""
    image, stored, native = _load(path)
    turn = ornt_transform(native, _AXIAL)
    spatial = stored[(..., *[0] * (stored.ndim - 3))]  # a view
    planes = apply_orientation(spatial, turn)
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


def _load(path: Path) -> tuple[nibabel.spatialimages.SpatialImage, np.ndarray, np.ndarray]:
    """The image, a writeable copy of its stored numbers, and which way its axes run."""
    try:
        with warnings.catch_warnings(), LoggingOutputSuppressor():
            warnings.simplefilter("ignore")
            image = nibabel.load(path)
            if not isinstance(image, nibabel.Nifti1Image | nibabel.MGHImage):
                raise InputError(f"{path} is a {type(image).__name__}; convert it to NIfTI first")
            _check_shape(path, image)
            native = io_orientation(image.affine)
            # a memory map is a private copy on write: the file itself stays as it is
            stored = np.asanyarray(image.dataobj.get_unscaled())
    except InputError:
        raise
    except Exception as error:  # a damaged file fails in many ways, none of them of interest
        raise InputError(
            f"{path} cannot be read as a volume ({first_line(error)}); it may be truncated or "
            "another format"
        ) from None
    if np.isnan(native).any():
        raise InputError(f"{path} does not say which way its axes run; repair its affine")
    return image, stored if stored.flags.writeable else stored.copy(), native


def _check_shape(path: Path, image: nibabel.spatialimages.SpatialImage) -> None:
    """One volume of three dimensions, of real numbers."""
    shape = image.shape
    if len(shape) < 3 or any(e != 1 for e in shape[3:]) or any(e == 1 for e in shape[:3]):
        raise InputError(
            f"{path} has shape {tuple(shape)}; pass one volume of three dimensions "
            "(of a series, extract one time point first)"
        )
    files.check_volume(shape, path)
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
