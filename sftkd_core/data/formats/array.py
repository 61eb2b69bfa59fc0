"""Arrays in .npy, HDF5, MATLAB 7.3 and BART files: images, or k-space of one coil.

``survey`` finds out what k-space is like; that of several coils is a ``coil_scan``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np

from sftkd_core.data.formats import bart, coil_scan, hdf5, mrd
from sftkd_core.data.formats.array_output import ArrayOutput
from sftkd_core.data.formats.kspace import image_of
from sftkd_core.data.formats.scan import BATCH, Reading, check_size, chosen_volume, fill
from sftkd_core.data.formats.survey import Survey, survey
from sftkd_core.system import InputError, counted, files

IMAGES = ("volfs", "reconstruction", "reconstruction_rss", "reconstruction_esc")  # in HDF5 files


@dataclass(kw_only=True)
class ArrayScan(ArrayOutput):
    """Slices of an array in a file.

    values      (n, h, w) as in the file: images, or k-space
    known       magnitudes of the same slices, fully sampled, or None
    order       of k-space and its image, as ``kspace.order_of`` gives it
    """

    values: np.ndarray
    known: np.ndarray | None
    order: tuple[bool, bool] = (False, False)

    def images(self, first: int, last: int) -> np.ndarray:
        values = self.values[first:last]
        if self.has_phase:
            values = np.abs(image_of(values, self.order))
        return np.clip(self.turned(values).astype(np.float32), 0, None)

    def kspace(self, first: int, last: int) -> np.ndarray:
        # of the image the right way round, so that a shift of the image does not come with it
        image = self.turned(image_of(self.values[first:last], self.order))
        assert self.measured is not None  # only a scan that lacks lines is asked
        kspace = np.fft.fft2(image, norm="ortho") * self.measured[:, None]
        return kspace.astype(np.complex64)

    def target(self, first: int, last: int) -> np.ndarray | None:
        if self.measured is None:
            return self.images(first, last)
        if self.known is None:
            return None
        return self.turned(self.known[first:last]).astype(np.float32)


def open_npy(path: Path, how: Reading) -> ArrayOutput:
    """A .npy array; pickled files are refused."""
    values = files.open_npy(path)
    if how.nan_as_zero:
        files.check_volume(values.shape, path)
        values = np.array(values)  # the file stays as it is
    return _open(path, values, how)


def open_cfl(path: Path, how: Reading) -> ArrayOutput:
    """BART's k-space, a .cfl file with its .hdr."""
    values = bart.open_cfl(path)
    return _open(path, np.array(values) if how.nan_as_zero else values, how)


def open_hdf5(path: Path, how: Reading, images_first: bool = False) -> ArrayOutput:
    """A data set of an HDF5 file; None takes k-space, or images, those first if it is said."""
    known = size = None
    with hdf5.opened(path) as file:
        if group := mrd.group_of(file, how.dataset):
            values, size = mrd.read(file, group)
            return _open_readouts(path, values, how, f"ISMRMRD {group}", size)
        name = chosen(path, file, images_first) if how.dataset is None else how.dataset
        found = hdf5.array_of(file, name, (2, 3, 4, 5), "iufc")
        group, _, own = name.rpartition("/")
        beside = {*(file[group] if group else file)}
        group, whole, name = f"{group}/" if group else "", name, own
        if name == "kspace" and (cut := {"reconstruction_esc", "reconstruction_rss"} & beside):
            size = hdf5.array_of(file, group + min(cut), 3).shape[1:]
            size = None if any(np.greater(size, found.shape[-2:])) else size
        dtype = np.dtype(np.complex64) if found.dtype.names else found.dtype
        if form := coil_scan.form_of(found.shape, dtype, name, how):
            read = coil_scan.from_hdf5(path, whole)
            return coil_scan.open_coils(path, read, found.shape, form, how, name, size)
        values = hdf5.numbers(found[...])
        if name.startswith("kspace_volus_") and "volfs" in beside:
            known = hdf5.array_of(file, f"{group}volfs", 3)[...]
    if known is not None and known.shape != values.shape:
        raise InputError(
            f"{path} holds volfs of shape {known.shape} and {name} of shape {values.shape}; they "
            "must agree"
        )
    return _open(path, values, how, name, known, size)


def _open_readouts(path: Path, values, how: Reading, name: str, size) -> ArrayOutput:
    """k-space (volumes, slices, coils, h, w) of ISMRMRD, whose zero frequency is in the centre."""
    how = replace(how, dataset=None, order="centre" if how.order == "auto" else how.order)
    values = values[0] if len(values) == 1 else values
    if values.shape[-3] == 1:
        return _open(path, values[..., 0, :, :], how, name, None, size)
    form, read = "nchw" if values.ndim == 4 else "tnchw", coil_scan.from_array(values)
    return coil_scan.open_coils(path, read, values.shape, form, how, name, size)


def chosen(path: Path, file, images_first: bool) -> str:
    """``choose`` of the file's own data sets, or of those in its groups where they tell nothing."""
    there = list(file)
    if not _known(there):
        there = hdf5.names(file)
        inside = {name.rpartition("/")[0] for name in _known(there)}
        if len(inside) > 1:
            raise InputError(
                f"{path} holds {', '.join(_known(there)[:8])}; choose one with --dataset"
            )
        if inside:
            (group,) = inside
            own = [name.removeprefix(f"{group}/") for name in there]
            return f"{group}/{choose(path, own, images_first)}"
    return choose(path, there, images_first)


def _known(names: list[str]) -> list[str]:
    """Those of data sets, with or without their groups, whose last part tells what they are."""
    return [
        name for name in names if (own := name.rpartition("/")[2]) in IMAGES or own[:6] == "kspace"
    ]


def choose(path: Path, arrays: list[str], images_first: bool = False) -> str:
    """The name of the data set to reconstruct, or to look at."""
    undersampled = [name for name in arrays if name.startswith("kspace_volus_")]
    if images_first:
        undersampled = []
    others = [name for name in arrays if name.startswith("kspace")]
    for names in (undersampled, ["kspace"], ["volfs"], others, IMAGES):
        there = [name for name in names if name in arrays]
        if images_first and (images := [name for name in IMAGES if name in arrays]):
            return images[0]
        if len(there) > 1 and names is not IMAGES:
            raise InputError(f"{path} holds {', '.join(there)}; choose one with --dataset")
        if there:
            return there[0]
    raise InputError(
        f"{path} holds no kspace, kspace_volus_*, {', '.join(IMAGES)}; choose a data set with "
        f"--dataset (it holds {', '.join(arrays[:8]) or 'nothing'})"
    )


def _open(path: Path, values, how: Reading, name: str = "", known=None, size=None) -> ArrayOutput:
    """Sort out what an array is, survey its values, and find out what is stored how."""
    if values.dtype.kind not in "iufc":
        raise InputError(f"{path} holds {values.dtype} values; pass numbers")
    if form := coil_scan.form_of(values.shape, values.dtype, name, how):
        read = coil_scan.from_array(values)
        return coil_scan.open_coils(path, read, values.shape, form, how, name, size)
    last = name == "volfs" or name.startswith(("kspace_volus_", "img_volus_"))  # KD-MRI's
    if last:
        values = np.moveaxis(values, 2, 0)
        known = None if known is None else np.moveaxis(known, 2, 0)
    values, leading, words = _slices(path, values, how, name)
    files.check_volume(values.shape, path)
    what = f"{name} {values.dtype.name}".strip() + words
    nans = fill(values) if how.nan_as_zero else 0
    check_size(path, *values.shape)
    found = Survey("", (False, False), False, None)
    if values.dtype.kind == "c":
        found = survey(path, len(values), _reader(values), what, how.order, name)
        note = found.note
    elif name.startswith("kspace"):
        raise InputError(
            f"{path} holds real numbers ({values.dtype}) as {name}, but k-space is complex; save "
            "real and imaginary parts, as complex64, or images under another name"
        )
    else:
        note = f"images ({what}): {counted(len(values), 'slice')}"
        files.check_magnitudes(_parts(values), path)
    note += f", {counted(nans, 'NaN')} as zero" if nans else ""
    height, width = values.shape[:0:-1] if found.by_columns else values.shape[1:]
    return ArrayScan(
        path=path, count=len(values), height=height, width=width, note=note,
        has_phase=values.dtype.kind == "c", measured=found.measured, peak=found.peak,
        values=values, known=known, result=np.zeros_like(values.real), leading=leading, last=last,
        by_columns=found.by_columns, size=size, order=found.order,
    )  # fmt: skip


def _slices(path: Path, values, how: Reading, name: str) -> tuple[np.ndarray, tuple, str]:
    """An array as slices (n, h, w), the axes before (h, w) that they come from, and words.

    An axis of one before the slices, or after them, counts for nothing; of several volumes
    ``how.volume`` chooses. Pairs (n, h, w, 2) of real and imaginary parts become complex numbers.
    """
    if values.ndim == 4 and values.dtype.kind != "c" and coil_scan.is_interleaved(values.shape):
        values = values[..., 0] + np.complex64(1j) * values[..., 1]
    if values.ndim not in (2, 3, 4):
        raise InputError(
            f"{path} has shape {values.shape}; pass (slices, height, width), or k-space of "
            "several coils (slices, coils, height, width)"
        )
    leading = values.shape[:-2]
    words = ""
    if values.ndim == 4 and 1 not in leading:
        chosen, words = chosen_volume(path, len(values), how.volume)
        words = f", volume{words}" if words else ""
        values = values[chosen]
        leading = leading if how.volume == "all" else leading[1:]
    elif how.volume not in (None, "all"):
        raise InputError(f"{path} is no series of volumes; leave --volume {how.volume} out")
    return values.reshape(prod(leading), *values.shape[-2:]), leading, words


def _reader(values: np.ndarray) -> Callable[[int, int], np.ndarray]:
    return lambda first, last: values[first:last]


def _parts(values: np.ndarray) -> Iterator[np.ndarray]:
    """A few slices at a time."""
    return (values[first : first + BATCH] for first in range(0, len(values), BATCH))
