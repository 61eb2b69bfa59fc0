"""A folder of DICOM files as a volume: slices sorted along their direction, with an affine.

pydicom reads the files; it is an extra, ``pip install "sftkd-core[dicom]"``. Positions and
directions become those of NIfTI: to the right, to the front, upwards.
"""

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from sftkd_core.system import InputError, files

_MAGIC = 128  # bytes before the word DICM
_TOLERANCE = 0.02  # of the distance of slices
_DEFLATED = "1.2.840.10008.1.2.1.99"
_TAGS = ("Rows", "Columns", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do."""
    try:
        with open(files.check_regular(path), "rb") as file:
            return file.read(_MAGIC + 4)[_MAGIC:] == b"DICM"
    except (InputError, OSError):
        return False


def is_series(folder: Path) -> bool:
    """Whether one of a folder's own files is DICOM."""
    return any(is_dicom(path) for path in _inside(folder))


def files_in_series(folder: Path) -> tuple[Path, ...]:
    """Those of a folder's own files that are DICOM, sorted."""
    return tuple(filter(is_dicom, _inside(folder)))


def read_series(folder: Path, choice: str | None = None) -> nibabel.Nifti1Image:
    """A series as (x, y, z) float32, or (x, y, z, t) where several images share a place.

    choice  the number of the series, where the folder holds several

    Raises ``InputError`` where pydicom is missing, a file is damaged or packed in a way that
    cannot be read here, or the slices are no stack: of different sizes, directions or distances.
    """
    _check_installed(folder)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # what pydicom finds odd in a header
            return _series(folder, choice)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a damaged header fails in many ways, none of them of interest
        raise InputError(
            f"{folder} cannot be read as a DICOM series ({files.first_line(error)[:200]}); a file "
            "of it may be damaged"
        ) from None


def _series(folder: Path, choice: str | None) -> nibabel.Nifti1Image:
    headers = _headers(folder, choice)
    first = headers[0][1]
    _check_alike(folder, headers)
    rows, columns = int(first.Rows), int(first.Columns)
    files.check_volume((columns, rows, len(headers)), folder)
    across, down = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    normal = np.cross(across, down)
    places = np.array([np.array(h.ImagePositionPatient, float) @ normal for _, h in headers])
    distinct = np.unique(places.round(3))
    times, rest = divmod(len(headers), len(distinct))
    if rest:
        raise InputError(
            f"{folder} has {len(headers)} images at {len(distinct)} places; a series has as many "
            "at each: pass a folder of one series"
        )
    step = _step(folder, distinct, first)
    order = np.lexsort((np.array(_times(headers)), places.round(3)))
    values = np.empty((columns, rows, len(distinct), times), np.float32, order="F")
    for place, index in enumerate(order):
        values[..., place // times, place % times] = _pixels(headers[index][0], rows, columns).T
    spacing = np.array(first.PixelSpacing, float)
    origin = np.array(headers[order[0]][1].ImagePositionPatient, float)
    affine = np.eye(4)
    affine[:3] = np.column_stack([across * spacing[1], down * spacing[0], normal * step, origin])
    affine[:2] *= -1  # DICOM counts to the left and to the back
    image = nibabel.Nifti1Image(values[..., 0] if times == 1 else values, affine)
    image.header.set_dim_info(slice=2)
    return image


def _inside(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))


def _check_installed(folder: Path) -> None:
    if find_spec("pydicom") is None:
        raise InputError(
            f"{folder} holds DICOM files, which need pydicom, not installed here; "
            "python -m pip install pydicom (or convert the folder with dcm2niix)"
        )


def _headers(folder: Path, choice: str | None) -> list[tuple[Path, Any]]:
    """The files of a series, with what is said before their pixels."""
    series: dict[str, list[tuple[Path, Any]]] = {}
    for path in files_in_series(folder):
        header = _read(path, only_header=True)
        if "Rows" in header:  # no directory, no report
            series.setdefault(str(header.get("SeriesInstanceUID", "")), []).append((path, header))
    if not series:
        raise InputError(
            f"{folder} is a folder that holds no DICOM images; pass a file, or the folder of one "
            "series"
        )
    numbers = {str(found[0][1].get("SeriesNumber", "?")): found for found in series.values()}
    if choice is None and len(series) == 1:
        return next(iter(series.values()))
    if choice not in numbers:
        about = [
            f"{n} ({found[0][1].get('SeriesDescription', '')})" for n, found in numbers.items()
        ]
        raise InputError(
            f"{folder} holds {len(series)} series: "
            f"{', '.join(about[:8])}; choose one by its number with --dataset"
        )
    return numbers[choice]


def _read(path: Path, only_header: bool) -> Any:
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            meta = pydicom.filereader.read_file_meta_info(path)
            if meta.get("TransferSyntaxUID") == _DEFLATED:
                raise InputError("deflated as a whole, which could unpack to anything")
            found = pydicom.dcmread(path, stop_before_pixels=only_header)
            {name: found.get(name) for name in _TAGS}  # read now, for some are read when asked for
            return found
    except Exception as error:  # a damaged file fails in many ways
        raise InputError(f"{path} cannot be read as DICOM ({files.first_line(error)})") from None


def _check_alike(folder: Path, headers: list[tuple[Path, Any]]) -> None:
    """Raise ``InputError`` unless all slices are of one size and direction."""
    first = None
    for path, header in headers:
        try:
            about = (
                int(header.Rows), int(header.Columns),
                tuple(np.array(header.ImageOrientationPatient, float).round(3)),
                tuple(np.array(header.PixelSpacing, float).round(4)),
                np.array(header.ImagePositionPatient, float).shape,
            )  # fmt: skip
        except Exception:
            raise InputError(
                f"{path} does not say where its slice lies (an image of many frames, or of another "
                "kind); convert the folder with dcm2niix"
            ) from None
        numbers = (*about[2], *about[3])
        whole = len(about[2]) == 6 and len(about[3]) == 2 and about[4] == (3,)
        if not whole or not np.isfinite(numbers).all() or min(about[3]) <= 0 or min(about[:2]) < 1:
            raise InputError(f"{path} has no usable directions or sizes; is it damaged?")
        first = first or about
        if about != first:
            raise InputError(
                f"{folder} holds slices of different sizes or directions ({path.name} differs "
                f"from {headers[0][0].name}), as a localiser does; pass a folder of one stack"
            )


def _step(folder: Path, places: np.ndarray, header: Any) -> float:
    """The distance of neighbouring slices in mm, along their normal."""
    if not np.isfinite(places).all():
        raise InputError(f"{folder} has slices without a place; is a file damaged?")
    if len(places) == 1:
        return float(header.get("SliceThickness") or 1)
    steps = np.diff(places)
    if np.ptp(steps) > max(_TOLERANCE * steps.max(), 0.01):
        raise InputError(
            f"{folder} has slices {steps.min():.2f} to {steps.max():.2f} mm apart; some are "
            "missing, or the folder holds several stacks"
        )
    return float(steps.mean())


def _times(headers: list[tuple[Path, Any]]) -> list[int]:
    """The order of images at one place."""
    numbers = [header.get("InstanceNumber") for _, header in headers]
    return [int(n) if n is not None and str(n).isdecimal() else 0 for n in numbers]


def _pixels(path: Path, rows: int, columns: int) -> np.ndarray:
    """A slice (h, w) float32 in its units."""
    found = _read(path, only_header=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = np.asarray(found.pixel_array, np.float32)
            slope = float(found.get("RescaleSlope") or 1)
            intercept = float(found.get("RescaleIntercept") or 0)
    except Exception as error:  # of pydicom and its decoders, of many kinds
        raise InputError(
            f"the pixels of {path} cannot be read ({files.first_line(error)}); compressed ones "
            "need pylibjpeg, or convert the folder with dcm2niix"
        ) from None
    if values.shape != (rows, columns):
        raise InputError(f"{path} has pixels of shape {values.shape}, not {(rows, columns)}")
    return values * np.float32(slope) + np.float32(intercept)
