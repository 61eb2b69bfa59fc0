"""Scans as slices, read and written a few at a time: volumes, arrays, k-space.

A scan is opened by its file's ending:

.nii .nii.gz .mgz .mgh   magnitude volumes, cut into slices
.img .par .mnc .head     the same, as ``foreign`` reads them; the result is a NIfTI
a folder                 of DICOM slices, the same; with pydicom
.npy                     real: images (n, h, w) or (h, w); complex: k-space of the same shape, or
                         of several coils, see ``coil_scan``
.h5 .hdf5 .mat           ``kspace`` (n, h, w) or (n, c, h, w) as in fastMRI's files, ``kspace_*``
                         in MATLAB's (7.3); ``kspace_volus_*`` and ``volfs`` (h, w, n) as in
                         KD-MRI's; or a data set of another name, read like .npy; in a group
                         where no other holds any of these
.h5 .mrd                 a scanner's readouts, see ``mrd``; with ismrmrd
.cfl                     BART's, with its .hdr
"""

from pathlib import Path

import numpy as np

from sftkd_core import system
from sftkd_core.data.formats import dicom, foreign, volume, volume_scan
from sftkd_core.data.formats.array import open_cfl, open_hdf5, open_npy
from sftkd_core.data.formats.scan import BATCH, Reading, Scan
from sftkd_core.data.formats.survey import ORDERS
from sftkd_core.system import InputError
from sftkd_core.system.files import ending

__all__ = [
    "BATCH", "KINDS", "ORDERS", "Reading", "Scan", "check_input", "check_output",
    "check_volume_name", "ending", "open_scan", "output_ending",
]  # fmt: skip

HDF5 = (".h5", ".hdf5", ".mat", ".mrd")
# a reconstruction has the kind of its scan: an array has no affine, a volume is not without one
_OUTPUTS = (
    (volume.NIFTI, volume.NIFTI),
    (volume.FREESURFER, volume.FREESURFER),
    (foreign.ENDINGS, volume.NIFTI),
    ((".npy", *HDF5, ".cfl"), (".npy", ".h5", ".hdf5")),
)
ARRAYS = _OUTPUTS[-1][0]
_VOLUMES = " ".join(kind for kinds, _ in _OUTPUTS[:-1] for kind in kinds)
KINDS = " ".join(kind for kinds, _ in _OUTPUTS for kind in kinds)
_REMEDIES = {  # files beside those that are read
    ".dcm": "is a DICOM slice; pass the folder of its series",
    ".npz": "may hold several arrays; save one with numpy.save",
    ".hdr": "is a header; pass the .img or .cfl file beside it",
    ".rec": "is one of a pair; pass the .par file beside it",
    ".brik": "is one of a pair; pass the .head file beside it",
    ".dat": "is a scanner's raw data; convert it to ISMRMRD with siemens_to_ismrmrd",
    ".7": "is a scanner's raw data; convert it to ISMRMRD with ge_to_ismrmrd",
    ".gz": "is packed, of which only .nii.gz is read; unpack it",
    ".zip": "is packed; unpack it",
}


def open_scan(path: Path, how: Reading = Reading(), images_first: bool = False) -> Scan:  # noqa: B008
    """The scan in a file, or in a folder of DICOM slices.

    how           what the file leaves open
    images_first  whether of an HDF5 file images are wanted rather than k-space

    Raises ``InputError`` for a file that is missing, damaged, or something else.
    """
    check_input(path)
    kind = "" if path.is_dir() else ending(path)
    if how.plane != "auto" and kind in ARRAYS:
        raise InputError(f"{path} is an array without directions; leave --plane {how.plane} out")
    if how.dataset is not None and kind not in (*HDF5, ""):
        raise InputError(
            f"{path} is no HDF5 file, so it has no data set {how.dataset!r}; leave it out"
        )
    with np.errstate(all="ignore"):  # of a damaged file: what is not finite has its own error
        if kind == ".npy":
            return open_npy(path, how)
        if kind in HDF5:
            return open_hdf5(path, how, images_first)
        if kind == ".cfl":
            return open_cfl(path, how)
        return volume_scan.open_volume(path, how)


def check_input(path: Path) -> None:
    """Raise ``InputError`` unless the file exists and its name says what it is."""
    if not path.exists():
        raise InputError(f"{path} does not exist; pass the path of a scan ({KINDS})")
    if path.is_dir():
        if not dicom.is_series(path):
            raise InputError(
                f"{path} is a folder without DICOM slices; pass one file ({KINDS}), or a folder "
                "as output, to reconstruct all that it holds"
            )
    elif ending(path) not in KINDS.split():
        remedy = _REMEDIES.get(".dcm" if dicom.is_dicom(path) else ending(path))
        raise InputError(
            f"{path} {remedy or f'is not named as any kind of scan; known are {KINDS}'}"
        )


def check_volume_name(path: Path) -> None:
    """Raise ``InputError`` for a file whose name says that it is no volume."""
    check_input(path)
    if not path.is_dir() and ending(path) in ARRAYS:
        raise InputError(
            f"{path} is an array without affine, and data are volumes ({_VOLUMES}) or folders; "
            "save it as one with nibabel, or let reconstruct read it"
        )


def output_endings(source: Path) -> tuple[str, ...]:
    """How the file of a reconstruction of ``source`` may end."""
    if source.is_dir():
        return volume.NIFTI
    (family,) = [given for taken, given in _OUTPUTS if ending(source) in taken]
    return family


def output_ending(source: Path) -> str:
    """How the file of a reconstruction of ``source`` ends: as itself, where that can be written."""
    kinds = output_endings(source)
    kind = "" if source.is_dir() else ending(source)
    written = {".cfl": ".npy", ".mat": ".h5", ".mrd": ".h5"}
    return kind if kind in kinds else written.get(kind, ".nii.gz")


def check_output(path: Path, source: Path) -> None:
    """Raise ``InputError`` unless a reconstruction of ``source`` can go to ``path``."""
    system.check_output(path, output_endings(source))
    if path.resolve() == source.resolve():
        raise InputError(f"output {path} is the input; choose another name")
