"""Volumes that nibabel reads beside NIfTI and FreeSurfer's, turned into NIfTI.

Analyze and NIfTI pairs (.img), Philips (.par with .rec), MINC (.mnc), AFNI (.head with .brik).
Sizes are compared with the files before memory is asked for.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from sftkd_core.data.formats import hdf5
from sftkd_core.system import InputError, files

KINDS = {".img": "Analyze or NIfTI", ".par": "Philips", ".mnc": "MINC", ".head": "AFNI"}
ENDINGS = tuple(KINDS)
_NAMES = {".img": ".hdr", ".par": ".rec", ".head": ".brik"}  # the other file of a pair
_HDF5 = b"\x89HDF"


def read(path: Path) -> nibabel.Nifti1Image:
    """The volume, or series of volumes, as float32 in its units, with its affine.

    Raises ``InputError`` for what is missing, damaged, too large, or no array of real numbers.
    """
    files.check_regular(path)
    _check_other(path)
    if path.read_bytes()[:4] == _HDF5:  # MINC 2
        hdf5.check_inside(path)
    try:
        with silent(), np.errstate(all="ignore"), _loaded(path) as image:
            shape = tuple(int(extent) for extent in image.shape)
            files.check_volume(shape, path)
            _check_held(path, shape, image.get_data_dtype())
            values = np.asanyarray(image.dataobj)
            if values.dtype.kind not in "iuf":
                raise InputError(f"{path} holds {values.dtype} values; pass a magnitude image")
            affine = image.affine
            if not (
                np.isfinite(affine).all() and np.isfinite(nibabel.io_orientation(affine)).all()
            ):
                raise InputError(f"{path} does not say which way its axes run; repair its affine")
            return nibabel.Nifti1Image(np.array(values, np.float32, order="F"), affine)
    except InputError:
        raise
    except Exception as error:  # old formats fail in many ways, none of them of interest
        raise InputError(
            f"{path} cannot be read as a volume ({files.first_line(error)}); it may be truncated "
            "or another format; convert it to .nii.gz, if another program can read it"
        ) from None


@contextmanager
def _loaded(path: Path) -> Iterator[Any]:
    """The image by nibabel, with which a Philips file is read by its own scaling."""
    if files.ending(path) != ".par":
        yield nibabel.load(path)
        return
    with path.with_suffix(".REC" if path.suffix.isupper() else ".rec").open("rb") as values:
        both = nibabel.parrec.PARRECImage.filespec_to_file_map(str(path))
        both["image"].fileobj = values  # or it stays open
        yield nibabel.parrec.PARRECImage.from_file_map(both, permit_truncated=False, scaling="dv")


def _check_other(path: Path) -> None:
    """Raise ``InputError`` unless the other file of a pair is there."""
    ending = _NAMES.get(files.ending(path))
    if ending is None:
        return
    as_here = ending if path.suffix.islower() else ending.upper()
    for name in (as_here, f"{as_here}.gz"):
        if path.with_suffix(name).exists():
            files.check_regular(path.with_suffix(name))
            return
    other = next((p for p in path.parent.iterdir() if _is_other(p, path, ending)), None)
    if other is None:
        raise InputError(f"{path} is one of a pair, and {path.with_suffix(as_here)} is not there")
    raise InputError(
        f"{path} is one of a pair whose other file is named {other.name}; name it "
        f"{path.with_suffix(as_here).name}"
    )


def _is_other(found: Path, path: Path, ending: str) -> bool:
    """Whether a file is the other one of a pair but for large and small letters."""
    names = {f"{path.stem}{ending}{packed}".lower() for packed in ("", ".gz")}
    return found.name.lower() in names


def _check_held(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Raise ``InputError`` where plain files are shorter than the values they say they hold."""
    folder = [p for p in path.parent.iterdir() if p.stem.split(".")[0] == path.stem.split(".")[0]]
    if any(p.suffix.lower() in (".gz", ".mnc") for p in folder):
        return  # packed: reading ends where the data do
    held = sum(p.stat().st_size for p in folder if p.is_file())
    needed = math.prod(shape) * np.dtype(dtype).itemsize
    if needed > held:
        raise InputError(
            f"{path} cannot be read as a volume: it says it holds {needed} bytes of values and "
            f"has {held}; it may be truncated"
        )


@contextmanager
def silent() -> Iterator[None]:
    """Keep nibabel from telling on standard error what it finds odd in a header."""
    logger = nibabel.imageglobals.logger
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before
