"""Arrays in .npy and HDF5 files: images, or k-space with all or some of its lines.

k-space is orthonormal, ``numpy.fft.fft2(image, norm="ortho")``, with its zero frequency and the
origin of its image each in a corner or in the centre, which ``kspace.order_of`` finds. Lines that
are zero in every slice are taken for not measured; they may be rows or columns, but not both.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sftkd_core import masks
from sftkd_core.data.formats import hdf5
from sftkd_core.data.formats.kspace import energies, image_of, in_middle, order_of
from sftkd_core.data.formats.scan import BATCH, Scan, as_dtype, check_size
from sftkd_core.system import InputError, counted, files

ORDERS = ("auto", "corner", "centre")
_LOOKED_AT = 8  # slices that show where the origin of an image is


@dataclass(kw_only=True)
class ArrayScan(Scan):
    """Slices of an array in a file.

    values      (n, h, w) as in the file: images, or k-space
    known       magnitudes of the same slices, fully sampled, or None
    result      (n, h, w), the reconstruction
    layout      of the file: "hw", "nhw" or "hwn"
    by_columns  the missing lines are columns: rows and columns are exchanged
    order       of k-space and its image, as ``kspace.order_of`` gives it
    size        (h, w) of the middle part that is written, None for all of it
    """

    values: np.ndarray
    known: np.ndarray | None
    result: np.ndarray
    layout: str
    by_columns: bool = False
    order: tuple[bool, bool] = (False, False)
    size: tuple[int, int] | None = None

    def images(self, first: int, last: int) -> np.ndarray:
        values = self.values[first:last]
        if self.has_phase:
            values = np.abs(image_of(values, self.order))
        return np.clip(self._turned(values).astype(np.float32), 0, None)

    def kspace(self, first: int, last: int) -> np.ndarray:
        # of the image the right way round, so that a shift of the image does not come with it
        image = self._turned(image_of(self.values[first:last], self.order))
        assert self.measured is not None  # only a scan that lacks lines is asked
        kspace = np.fft.fft2(image, norm="ortho") * self.measured[:, None]
        return kspace.astype(np.complex64)

    def target(self, first: int, last: int) -> np.ndarray | None:
        if self.measured is None:
            return self.images(first, last)
        if self.known is None:
            return None
        return self._turned(self.known[first:last]).astype(np.float32)

    def put(self, indices: np.ndarray, images: np.ndarray) -> None:
        self.result[indices] = as_dtype(self._turned(images), self.result.dtype)

    def payload(self, path: Path) -> bytes:
        buffer = io.BytesIO()
        result = self.result
        if self.size:
            top, left = ((n - m) // 2 for n, m in zip(result.shape[1:], self.size, strict=True))
            result = result[:, top : top + self.size[0], left : left + self.size[1]]
        result = result[0] if self.layout == "hw" else result
        result = np.moveaxis(result, 0, 2) if self.layout == "hwn" else result
        if files.ending(path) == ".npy":
            np.save(buffer, result, allow_pickle=False)
        else:
            with h5py.File(buffer, "w") as file:
                file["reconstruction"] = result
        return buffer.getvalue()

    def _turned(self, images: np.ndarray) -> np.ndarray:
        return images.swapaxes(1, 2) if self.by_columns else images


def open_npy(path: Path, order: str = "auto") -> ArrayScan:
    """A .npy array of two or three dimensions; pickled files are refused."""
    values = files.open_npy(path)
    return _open(path, values, "hw" if values.ndim == 2 else "nhw", order)


def open_hdf5(path: Path, dataset: str | None = None, order: str = "auto") -> ArrayScan:
    """A data set of an HDF5 file; None takes KD-MRI's k-space, ``kspace``, or ``volfs``."""
    known = size = None
    with hdf5.opened(path) as file:
        name = _choose(path, list(file)) if dataset is None else dataset
        values = hdf5.array_of(file, name, 3, "iufc")[...]
        if name.startswith("kspace_volus_") and "volfs" in file:
            known = hdf5.array_of(file, "volfs", 3)[...]
        if name == "kspace" and (cut := {"reconstruction_esc", "reconstruction_rss"} & {*file}):
            size = hdf5.array_of(file, min(cut), 3).shape[1:]
            size = None if any(np.greater(size, values.shape[1:])) else size
    if known is not None and known.shape != values.shape:
        raise InputError(
            f"{path} holds volfs of shape {known.shape} and {name} of shape {values.shape}; they "
            "must agree"
        )
    of_kdmri = name == "volfs" or name.startswith(("kspace_volus_", "img_volus_"))
    return _open(path, values, "hwn" if of_kdmri else "nhw", order, name, known=known, size=size)


def _choose(path: Path, arrays: list[str]) -> str:
    """The name of the data set to reconstruct."""
    undersampled = [name for name in arrays if name.startswith("kspace_volus_")]
    if len(undersampled) > 1:
        raise InputError(f"{path} holds {', '.join(undersampled)}; choose one with --dataset")
    for name in (*undersampled, "kspace", "volfs"):
        if name in arrays:
            return name
    raise InputError(
        f"{path} holds no kspace, kspace_volus_* or volfs; choose a data set with --dataset "
        f"(it holds {', '.join(arrays[:8]) or 'nothing'})"
    )


def _open(
    path: Path, values: np.ndarray, layout: str, order: str, name: str = "", known=None, size=None
) -> ArrayScan:
    """Survey the values, and find out what is stored how."""
    if values.dtype.kind not in "iufc":
        raise InputError(f"{path} holds {values.dtype} values; pass numbers")
    if values.ndim not in (2, 3):
        parts = values.dtype.kind != "c" and values.shape[-1:] == (2,)
        raise InputError(
            f"{path} has shape {values.shape}; pass (slices, height, width), of one coil or with "
            "the coils combined"
            + (", and real and imaginary parts as complex numbers, a[..., 0] + 1j * a[..., 1]")
            * parts
        )
    files.check_volume(values.shape, path)
    what = f"{name} {values.dtype.name}".strip()
    if layout == "hwn":
        values = np.moveaxis(values, 2, 0)
        known = None if known is None else np.moveaxis(known, 2, 0)
    values = values.reshape(-1, *values.shape[-2:])
    check_size(path, *values.shape)
    details: dict[str, Any] = {"by_columns": False}
    if values.dtype.kind == "c":
        note, details = _survey(path, values, what, order, name)
    elif name.startswith("kspace"):
        raise InputError(
            f"{path} holds real numbers ({values.dtype}) as {name}, but k-space is complex; save "
            "real and imaginary parts, as complex64, or images under another name"
        )
    else:
        note = f"images ({what}): {counted(len(values), 'slice')}"
        files.check_magnitudes(_parts(values), path)
    height, width = values.shape[:0:-1] if details["by_columns"] else values.shape[1:]
    return ArrayScan(
        path=path, count=len(values), height=height, width=width, note=note,
        has_phase=values.dtype.kind == "c", values=values, known=known, layout=layout, size=size,
        result=np.zeros_like(values.real), **details,
    )  # fmt: skip


def _survey(path: Path, kspace: np.ndarray, what: str, order: str, name: str) -> tuple[str, dict]:
    """What is said of k-space, and what the scan of it has to know."""
    height, width = kspace.shape[1:]
    rows, columns = np.zeros(height), np.zeros(width)  # their energies, over all slices
    for part in _parts(kspace):
        files.check_finite(part, path)
        some = energies(part)
        rows, columns = rows + some[0], columns + some[1]
    if not rows.any():
        raise InputError(f"{path} is 0 everywhere; there is nothing to reconstruct")
    places = _order(path, kspace, in_middle(rows, columns), order)
    in_words = ["centre" if place else "corner" for place in places]
    note = f"k-space ({what}), zero frequency in the {in_words[0]}"
    if places[0] != places[1]:
        note += f", origin of the image in the {in_words[1]}"
    note += f": {counted(len(kspace), 'slice')}"
    middle_first = np.fft.ifftshift if places[0] else np.asarray
    energy = [middle_first(rows), middle_first(columns)]
    lines, by_columns, padded = _lines(path, energy[0] > 0, energy[1] > 0, name)
    if padded:
        note += f", with a border of zeros ({padded}), which is taken for padding"
    details = {"order": places, "by_columns": by_columns, "measured": lines}
    if lines is not None:
        note += f", {lines.sum()} of {len(lines)} {'columns' if by_columns else 'rows'} measured"
        details["peak"] = int(energy[by_columns].argmax())
    return note, details


def _order(path: Path, kspace, centred: bool | None, order: str) -> tuple[bool, bool]:
    """Where k-space has its zero frequency, and its image the origin."""
    if order not in ORDERS:
        raise InputError(f"unknown order {order!r}; choose one of {', '.join(ORDERS)}")
    centred = centred if order == "auto" else order == "centre"
    if centred is None:
        raise InputError(
            f"k-space of {path} peaks neither in the corner nor in the centre; say where its zero "
            "frequency is with --order corner or --order centre"
        )
    first = max(0, (len(kspace) - _LOOKED_AT) // 2)
    places = order_of(kspace[first : first + _LOOKED_AT], centred)
    assert places is not None  # for the centre is known
    return places


def _lines(
    path: Path, rows: np.ndarray, columns: np.ndarray, name: str
) -> tuple[np.ndarray | None, bool, str]:
    """Which lines were measured, or None for all; whether they are columns; what is padding.

    rows, columns  whether they hold anything, the zero frequency first
    name           of the data set: KD-MRI's ``kspace_volus_*`` always lacks lines

    Zeros outside one band that holds the centre, and at least half of the lines, are no sampling
    pattern but padding: interpolation, a partial echo, a scanner's filter. Zero lines inside the
    band were not measured, along one axis; along the other a single one counts as measured: a
    Nyquist frequency that a simulation leaves out, or chance. More of them are a pattern in two
    dimensions, and raise ``InputError``.
    """
    axes = (rows, columns)
    padding = [not name.startswith("kspace_volus_") and _is_band(axis) for axis in axes]
    holes = [0 if pad else int((~axis).sum()) for axis, pad in zip(axes, padding, strict=True)]
    if min(holes) > 1:
        raise InputError(
            f"k-space of {path} is zero in {holes[0]} of {len(rows)} rows and in {holes[1]} of "
            f"{len(columns)} columns, which are no border; only rows or columns may be left out "
            "here, so pass k-space that was sampled line by line"
        )
    kinds = ("rows", "columns")
    padded = " and ".join(
        f"{(~axis).sum()} of {len(axis)} {kind}"
        for axis, pad, kind in zip(axes, padding, kinds, strict=True)
        if pad and not axis.all()
    )
    if not any(holes):
        return None, name == "kspace", padded  # fastMRI leaves out columns
    by_columns = holes[1] > holes[0]
    return masks.check_mask(axes[by_columns]), by_columns, padded


def _is_band(lines: np.ndarray) -> bool:
    """Whether lines, the zero frequency first, are one band around it, of half of them or more."""
    centred = np.fft.fftshift(lines)
    first, last = np.flatnonzero(centred)[[0, -1]]
    return bool(centred[first : last + 1].all() and lines[0] and 2 * lines.sum() >= len(lines))


def _parts(values: np.ndarray) -> Iterator[np.ndarray]:
    """A few slices at a time."""
    return (values[first : first + BATCH] for first in range(0, len(values), BATCH))
