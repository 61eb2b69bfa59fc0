"""Scans as slices, read and written a few at a time: volumes, arrays, k-space.

A scan is opened by its file's ending:

.nii .nii.gz .mgz .mgh   a magnitude volume, cut into slices
.npy                     real: images (n, h, w) or (h, w); complex: k-space of the same shape
.h5 .hdf5                ``kspace`` (n, h, w) as in fastMRI's single-coil files;
                         ``kspace_volus_*`` and ``volfs`` (h, w, n) as in KD-MRI's; or a data set
                         of another name, read like .npy
"""

from pathlib import Path

from sftkd_core import system
from sftkd_core.data.formats import volume
from sftkd_core.data.formats.array import ORDERS, open_hdf5, open_npy
from sftkd_core.data.formats.scan import BATCH, Scan
from sftkd_core.system import InputError
from sftkd_core.system.files import ending

__all__ = ["BATCH", "KINDS", "ORDERS", "Scan", "check_input", "check_output", "ending", "open_scan"]

# a reconstruction has the kind of its scan: an array has no affine, a volume is not without one
FAMILIES = (volume.NIFTI, volume.FREESURFER, (".npy", ".h5", ".hdf5"))
KINDS = " ".join(kind for family in FAMILIES for kind in family)


def open_scan(
    path: Path, dataset: str | None = None, order: str = "auto", plane: str = "auto"
) -> Scan:
    """The scan in a file.

    dataset  of an HDF5 file; None finds it
    order    of k-space: where its zero frequency is, "corner" or "centre"; "auto" looks
    plane    of a volume's slices, as of ``volume.planes``

    Raises ``InputError`` for a file that is missing, damaged, or something else.
    """
    check_input(path)
    kind = ending(path)
    if plane != "auto" and kind in FAMILIES[-1]:
        raise InputError(f"{path} is an array without directions; leave --plane {plane} out")
    if dataset is not None and kind not in (".h5", ".hdf5"):
        raise InputError(f"{path} is no HDF5 file, so it has no data set {dataset!r}; leave it out")
    if kind == ".npy":
        return open_npy(path, order)
    if kind in (".h5", ".hdf5"):
        return open_hdf5(path, dataset, order)
    return volume.open_volume(path, plane)


def check_input(path: Path) -> None:
    """Raise ``InputError`` unless the file exists and its name says what it is."""
    if not path.exists():
        raise InputError(f"{path} does not exist; pass the path of a scan ({KINDS})")
    if path.is_dir():
        raise InputError(f"{path} is a folder; pass one file ({KINDS})")
    if ending(path) not in KINDS.split():
        raise InputError(f"{path} is not named as any kind of scan; known are {KINDS}")


def check_output(path: Path, source: Path) -> None:
    """Raise ``InputError`` unless a reconstruction of ``source`` can go to ``path``."""
    (family,) = [kinds for kinds in FAMILIES if ending(source) in kinds]
    system.check_output(path, family)
    if path.resolve() == source.resolve():
        raise InputError(f"output {path} is the input; choose another name")
