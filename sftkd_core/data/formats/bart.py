"""BART's files: k-space in a .cfl, whose shape stands in the .hdr of the same name.

Of BART's axes the first two are those of a slice, the fourth is the coils, the fourteenth the
slices (Uecker et al., 2015). Others must be of one entry.
"""

from math import prod
from pathlib import Path

import numpy as np

from sftkd_core.system import InputError, files

_COIL, _SLICE = 3, 13
_LONGEST = 1 << 20  # bytes of a header


def open_cfl(path: Path) -> np.ndarray:
    """(slices, coils, h, w) complex64, mapped: no value is read before it is used."""
    path = files.check_regular(path)
    shape = _shape(path.with_suffix(".hdr"))
    strange = [axis for axis, n in enumerate(shape) if n > 1 and axis not in (0, 1, _COIL, _SLICE)]
    if strange:
        raise InputError(
            f"{path} has {shape[strange[0]]} entries along BART's axis {strange[0]}; pass slices "
            "(a 3-D scan: bart fft -i along axis 2 first, then bart transpose 2 13)"
        )
    files.check_volume(shape, path)
    if path.stat().st_size != 8 * prod(shape):
        raise InputError(
            f"{path} has {path.stat().st_size} bytes, but its header says {8 * prod(shape)}; it "
            "may be truncated"
        )
    values = np.memmap(path, np.complex64, "r", shape=shape, order="F")
    width, height = values.shape[:2]
    slices = np.asarray(values).reshape(width, height, shape[_COIL], shape[_SLICE], order="F")
    return slices.transpose(3, 2, 1, 0)  # the first axis is the readout: columns


def _shape(path: Path) -> tuple[int, ...]:
    """The sixteen extents that a header gives."""
    text = bytes(files.contents(files.check_regular(path, "BART header"), _LONGEST)).decode(
        "ascii", "replace"
    )
    lines = text.splitlines()
    try:
        place = next(i for i, line in enumerate(lines) if line.startswith("# Dimensions"))
        shape = [int(word) for word in lines[place + 1].split()]
    except (StopIteration, IndexError, ValueError):
        raise InputError(f"{path} is no header of BART's; it gives no '# Dimensions'") from None
    if not 1 <= len(shape) <= 16 or min(shape) < 1:
        raise InputError(f"{path} gives the dimensions {shape[:17]}; expected up to 16, from 1")
    return (*shape, *[1] * (16 - len(shape)))
