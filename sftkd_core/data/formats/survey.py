"""What k-space in a file is like: its origins, the lines that it lacks, its padding.

k-space is orthonormal, ``numpy.fft.fft2(image, norm="ortho")``, with its zero frequency and the
origin of its image each in a corner or in the centre, which ``kspace.order_of`` finds. Lines that
are zero in every slice are taken for not measured; they may be rows or columns, but not both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sftkd_core import masks
from sftkd_core.data.formats.kspace import energies, in_middle, order_of
from sftkd_core.data.formats.scan import BATCH
from sftkd_core.system import InputError, counted, files

ORDERS = ("auto", "corner", "centre")
_LOOKED_AT = 8  # slices that show where the origin of an image is


@dataclass(frozen=True)
class Survey:
    """What was found.

    note        in words
    order       of k-space and its image, as ``kspace.order_of`` gives it
    by_columns  the missing lines are columns: rows and columns are to be exchanged
    measured    (h,) bool, the lines that are there, the zero frequency first; None for all
    peak        of these the one with the most energy
    """

    note: str
    order: tuple[bool, bool]
    by_columns: bool
    measured: np.ndarray | None
    peak: int = 0


def survey(
    path: Path,
    count: int,
    read: Callable[[int, int], np.ndarray],
    what: str,
    order: str = "auto",
    name: str = "",
) -> Survey:
    """Look at all slices of k-space, a few at a time.

    count  of slices
    read   first index, one beyond the last -> (b, h, w) or (b, coils, h, w) complex
    what   the values are, in words
    name   of the data set in an HDF5 file
    """
    rows: np.ndarray | float = 0.0  # their energies, over all slices
    columns: np.ndarray | float = 0.0
    for first in range(0, count, BATCH):
        part = read(first, min(first + BATCH, count))
        files.check_finite(part.reshape(-1, *part.shape[-2:]), path)
        some = energies(part)
        rows, columns = rows + some[0], columns + some[1]
    rows, columns = np.asarray(rows), np.asarray(columns)
    if not rows.any():
        raise InputError(f"{path} is 0 everywhere; there is nothing to reconstruct")
    first = max(0, (count - _LOOKED_AT) // 2)
    middle = read(first, min(first + _LOOKED_AT, count))
    places = _order(path, middle, in_middle(rows, columns), order)
    in_words = ["centre" if place else "corner" for place in places]
    note = f"k-space ({what}), zero frequency in the {in_words[0]}"
    if places[0] != places[1]:
        note += f", origin of the image in the {in_words[1]}"
    note += f": {counted(count, 'slice')}"
    middle_first = np.fft.ifftshift if places[0] else np.asarray
    energy = [middle_first(rows), middle_first(columns)]
    lines, by_columns, padded = _lines(path, energy[0] > 0, energy[1] > 0, name)
    if padded:
        note += f", with a border of zeros ({padded}), which is taken for padding"
    if lines is None:
        return Survey(note, places, by_columns, None)
    note += f", {lines.sum()} of {len(lines)} {'columns' if by_columns else 'rows'} measured"
    return Survey(note, places, by_columns, lines, int(energy[by_columns].argmax()))


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
    places = order_of(kspace, centred)
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
