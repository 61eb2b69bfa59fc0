"""Arrays in .npy and HDF5 files: images, or k-space with all or some of its lines.

k-space is orthonormal, ``numpy.fft.fft2(image, norm="ortho")``, with its zero frequency in the
corner; or in the centre, then of a centred image, ``fftshift(fft2(ifftshift(image)))`` as fastMRI
stores it. Where the larger values are says which. Lines that are zero in every slice are taken for
not measured; they may be rows or columns, but not both.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from sftkd_core import masks
from sftkd_core.data.formats import files, hdf5
from sftkd_core.data.formats.kspace import image_of
from sftkd_core.data.formats.scan import BATCH, Scan, Span, as_dtype, check_size, ending, first_line
from sftkd_core.system import InputError

ORDERS = ("auto", "corner", "centre")


@dataclass(frozen=True)
class Source:
    """An array in a file, read a few slices at a time.

    array        (n, h, w), or (h, w, n) where ``slices_last``, or one slice (h, w)
    known        fully sampled magnitudes of the same slices in the same layout, or None
    """

    path: Path
    array: object
    slices_last: bool = False
    known: object = None

    @property
    def is_kspace(self) -> bool:
        """Complex values are k-space, real ones images."""
        return self.array.dtype.kind == "c"

    @property
    def image_dtype(self) -> np.dtype:
        """Of the reconstruction: that of the images, or of k-space's real part."""
        return np.zeros(0, self.array.dtype).real.dtype

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, h, w), whatever the layout."""
        shape = tuple(self.array.shape)
        if len(shape) == 2:
            return (1, *shape)
        return (shape[2], *shape[:2]) if self.slices_last else shape

    def read(self, first: int, last: int, known: bool = False) -> np.ndarray:
        """Some slices (b, h, w) of the array, or of the known magnitudes."""
        array = self.known if known else self.array
        try:
            if len(array.shape) == 2:
                return np.asarray(array[:, :])[None]
            if self.slices_last:
                return np.moveaxis(np.asarray(array[:, :, first:last]), 2, 0)
            return np.asarray(array[first:last])
        except Exception as error:  # of a damaged HDF5 file, noticed only now
            raise InputError(f"{self.path} cannot be read ({first_line(error)})") from None

    def in_layout(self, images: np.ndarray) -> np.ndarray:
        """(n, h, w) in the layout of the file."""
        if len(self.array.shape) == 2:
            return images[0]
        return np.moveaxis(images, 0, 2) if self.slices_last else images


@dataclass(kw_only=True)
class ArrayScan(Scan):
    """Slices of an array in a file; only the reconstruction is held."""

    source: Source
    result: np.ndarray  # (n, h, w) as in the file
    by_columns: bool = False  # the missing lines are columns: rows and columns are exchanged
    centred: bool = False

    def images(self, first: int, last: int) -> np.ndarray:
        values = self.source.read(first, last)
        if self.source.is_kspace:
            values = np.abs(self._image(values))
        return np.clip(self._turned(values).astype(np.float32), 0, None)

    def kspace(self, first: int, last: int) -> np.ndarray:
        # of the image the right way round, so that a shift of the image does not come with it
        image = self._turned(self._image(self.source.read(first, last)))
        kspace = np.fft.fft2(image, norm="ortho") * self.measured[:, None]
        return kspace.astype(np.complex64)

    def target(self, first: int, last: int) -> np.ndarray | None:
        if self.measured is None:
            return self.images(first, last)
        if self.source.known is None:
            return None
        return self._turned(self.source.read(first, last, known=True)).astype(np.float32)

    def put(self, indices: np.ndarray, images: np.ndarray) -> None:
        self.result[indices] = as_dtype(self._turned(images), self.result.dtype)

    def payload(self, path: Path) -> bytes:
        buffer = io.BytesIO()
        result = self.source.in_layout(self.result)
        if ending(path) == ".npy":
            np.save(buffer, result, allow_pickle=False)
        else:
            with h5py.File(buffer, "w") as file:
                file["reconstruction"] = result
        return buffer.getvalue()

    def _image(self, kspace: np.ndarray) -> np.ndarray:
        return image_of(kspace, (self.centred, self.centred))

    def _turned(self, images: np.ndarray) -> np.ndarray:
        return images.swapaxes(1, 2) if self.by_columns else images


def open_npy(path: Path, order: str = "auto") -> ArrayScan:
    """A .npy array of two or three dimensions; pickled files are refused."""
    return _open(Source(path, files.open_npy(path)), order)


def open_hdf5(path: Path, dataset: str | None = None, order: str = "auto") -> ArrayScan:
    """A data set of an HDF5 file; None takes KD-MRI's k-space, ``kspace``, or ``volfs``."""
    try:
        file = h5py.File(path, "r", locking=False)  # stays open while slices are read
        names = list(file)
        name = _choose(path, names, dataset)
        array = hdf5.array_of(file, name, 3, "iufc")
        of_kdmri = name == "volfs" or name.startswith(("kspace_volus_", "img_volus_"))
        known = None
        if name.startswith("kspace_volus_") and "volfs" in names:
            known = hdf5.array_of(file, "volfs", 3)
    except InputError:
        raise
    except Exception as error:  # damaged files make h5py raise nearly anything
        raise InputError(
            f"{path} cannot be read as HDF5 ({first_line(error)}); it may be truncated or another "
            "format"
        ) from None
    if known is not None and known.shape != array.shape:
        raise InputError(
            f"{path} holds volfs of shape {known.shape} and {name} of shape {array.shape}; they "
            "must agree"
        )
    return _open(Source(path, array, of_kdmri, known), order, name)


def _choose(path: Path, arrays: list[str], wanted: str | None) -> str:
    """The name of the data set to reconstruct."""
    if wanted is not None:
        return wanted
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


def _open(source: Source, order: str, name: str = "") -> ArrayScan:
    """Survey the values, and find out what is stored how."""
    dtype, shape = source.array.dtype, tuple(source.array.shape)
    if dtype.kind not in "iufc":
        raise InputError(f"{source.path} holds {dtype} values; pass numbers")
    files.check_volume(shape, source.path)
    if len(shape) not in (2, 3):
        raise InputError(
            f"{source.path} has shape {shape}; pass (slices, height, width), of one coil or "
            "with the coils combined"
        )
    check_size(source.path, *source.shape)
    what = f"{name} {dtype.name}".strip()
    return (_open_kspace if source.is_kspace else _open_images)(source, what, order)


def _open_images(source: Source, what: str, order: str) -> ArrayScan:
    if order != "auto":
        raise InputError(f"{source.path} holds real images, not k-space; leave --order out")
    scan = _scan(source, f"images ({what}): {source.shape[0]} slices")
    span = Span(source.path)
    for first, last in scan.batches():
        span.add(source.read(first, last))
    span.close()
    return scan


def _open_kspace(source: Source, what: str, order: str) -> ArrayScan:
    rows, columns = _energies(source)
    centred = _is_centred(source.path, rows, columns, order)
    place = "centre" if centred else "corner"
    note = f"k-space ({what}), zero frequency in the {place}: {source.shape[0]} slices"
    lines, by_columns = _lines(source.path, rows > 0, columns > 0)
    if lines is None:
        return _scan(source, note, centred=centred)
    note += f", {lines.sum()} of {len(lines)} {'columns' if by_columns else 'rows'} measured"
    measured = np.fft.ifftshift(lines) if centred else lines
    return _scan(source, note, centred=centred, by_columns=by_columns, measured=measured)


def _scan(source: Source, note: str, by_columns: bool = False, **details) -> ArrayScan:
    count, height, width = source.shape
    if by_columns:
        height, width = width, height
    result = np.zeros(source.shape, source.image_dtype)
    return ArrayScan(
        path=source.path, count=count, height=height, width=width, note=note,
        has_phase=source.is_kspace, source=source, by_columns=by_columns, result=result, **details,
    )  # fmt: skip


def _energies(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Energy of each row (h,) and of each column (w,) of k-space, over all slices."""
    count, height, width = source.shape
    rows, columns = np.zeros(height), np.zeros(width)
    for first in range(0, count, BATCH):
        kspace = source.read(first, first + BATCH)
        if not np.isfinite(kspace).all():
            raise InputError(f"{source.path} holds NaN or infinite values; replace them, by 0")
        energy = np.abs(kspace.astype(np.complex128)) ** 2
        rows += energy.sum((0, 2))
        columns += energy.sum((0, 1))
    if not rows.any():
        raise InputError(f"{source.path} is 0 everywhere; there is nothing to reconstruct")
    return rows, columns


def _is_centred(path: Path, rows: np.ndarray, columns: np.ndarray, order: str) -> bool:
    """Whether the zero frequency is in the centre: the strongest row and column lie there."""
    if order not in ORDERS:
        raise InputError(f"unknown order of k-space {order!r}; choose one of {', '.join(ORDERS)}")
    if order != "auto":
        return order == "centre"
    near_centre = []
    for energy in (rows, columns):
        peak, lines = int(energy.argmax()), len(energy)
        near_centre.append(abs(peak - lines // 2) < min(peak, lines - peak))
    if near_centre[0] != near_centre[1]:
        raise InputError(
            f"k-space of {path} peaks neither in the corner nor in the centre; say where its zero "
            "frequency is with --order corner or --order centre"
        )
    return near_centre[0]


def _lines(path: Path, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray | None, bool]:
    """Which lines were measured in the file's order, or None for all; whether they are columns.

    Along the axis that lacks fewer, a single zero line counts as measured: a Nyquist frequency that
    a scanner or a simulation leaves out, or chance. More of them are no chance but a zero border (a
    partial echo, zero-filled interpolation) or a pattern in two dimensions. What was not measured
    there would count as measured zeros, so this raises ``InputError``.
    """
    if rows.all() and columns.all():
        return None, False
    no_rows, no_columns = int((~rows).sum()), int((~columns).sum())
    if min(no_rows, no_columns) > 1:
        raise InputError(
            f"k-space of {path} is zero in {no_rows} of {len(rows)} rows and in {no_columns} of "
            f"{len(columns)} columns, but only one of both may lack lines; crop the zero border "
            "along the axis that was fully sampled, the zero frequency staying in its place"
        )
    by_columns = no_columns > no_rows
    return masks.check_mask(columns if by_columns else rows), by_columns
