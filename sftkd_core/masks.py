"""Which k-space lines are measured.

A line mask is a boolean vector along the phase-encoding axis (axis 0 of an image), *un-shifted*:
entry 0 is the zero frequency, as ``numpy.fft.fft`` orders it.
"""

from pathlib import Path

import numpy as np

from sftkd_core.system import Bool, InputError, files


def line_count(lines: int, acceleration: float) -> int:
    """Number of lines measured at this acceleration: ``floor(lines / acceleration)``."""
    if not np.isfinite(acceleration) or acceleration < 1:
        raise InputError(f"acceleration is {acceleration}; it must be a finite number >= 1")
    if lines < 1:
        raise InputError(f"a mask of {lines} lines is empty; ask for at least 1 line")
    return int(lines / acceleration + 1e-9)


def cartesian_mask(
    lines: int = 240, acceleration: float = 4, seed: int = 0, centre_lines: int = 10
) -> Bool[np.ndarray, " {lines}"]:
    """Variable-density Cartesian mask of Schlemper et al. (2017).

    The ``centre_lines`` lowest frequencies are always measured; the others are drawn without
    replacement from a Gaussian density of standard deviation ``lines / 10`` plus a constant.

    Returns ``(lines,)`` bool with exactly ``floor(lines / acceleration)`` lines, un-shifted.
    Raises ``InputError`` for an acceleration below 1 or above what the centre lines allow.

    >>> mask = cartesian_mask(lines=240, acceleration=4, seed=0)
    >>> int(mask.sum()), mask[:5].tolist()  # line 0 is the zero frequency
    (60, [True, True, True, True, True])
    """
    count = _checked_count(lines, acceleration, centre_lines)
    distance = np.arange(lines) - lines // 2
    # the constant keeps the outermost lines reachable; it is half the share that is measured
    density = np.exp(-0.5 * (10 * distance / lines) ** 2) + 1 / (2 * acceleration)
    mask = _centre(lines, centre_lines)
    outer = np.flatnonzero(~mask)
    if outer.size:
        chance = density[outer] / density[outer].sum()
        generator = np.random.default_rng(seed)
        mask[generator.choice(outer, count - mask.sum(), replace=False, p=chance)] = True
    return np.fft.ifftshift(mask)


def equispaced_mask(
    lines: int = 240, acceleration: float = 4, centre_lines: int = 10, offset: float = 0
) -> Bool[np.ndarray, " {lines}"]:
    """Evenly spaced lines plus the fully measured centre, as fastMRI uses.

    The spacing outside the centre is chosen so that the total is exact:
    ``floor(lines / acceleration)`` lines. ``offset`` in [0, 1) slides the comb by that share of
    its spacing. Returns ``(lines,)`` bool, un-shifted.
    """
    count = _checked_count(lines, acceleration, centre_lines)
    mask = _centre(lines, centre_lines)
    outer = np.flatnonzero(~mask)
    comb = count - int(mask.sum())
    if comb:
        mask[outer[((np.arange(comb) + offset % 1) * outer.size / comb).astype(int)]] = True
    return np.fft.ifftshift(mask)


def central_mask(
    height: int, width: int, factor: float = 4
) -> Bool[np.ndarray, "{height} {width}"]:
    """The low frequencies in both directions: what a scan of lower resolution measures.

    Kept are ``floor(height / factor)`` rows and ``floor(width / factor)`` columns around the zero
    frequency, the central 64 x 64 of 256 x 256 at ``factor`` 4, for super-resolution. Images
    from it keep their size and lose their detail.

    Returns ``(height, width)`` bool, un-shifted. Raises ``InputError`` as ``line_count`` does, and
    where nothing would be left.
    """
    sides = []
    for size in (height, width):
        count = line_count(size, factor)
        if not count:
            raise InputError(f"factor {factor} leaves nothing of {size} lines; use at most {size}")
        sides.append(np.fft.ifftshift(_centre(size, count)))
    return np.outer(*sides)


def load_mask(path: str | Path) -> Bool[np.ndarray, " lines"]:
    """Load a published ``.npy`` mask: 1-D, or 2-D and constant along one axis.

    Returns ``(lines,)`` bool in the file's own order (the published masks are un-shifted).
    Raises ``InputError`` for anything else; pickled files are refused.
    """
    array = load_points(path)
    if array.ndim != 1:
        raise InputError(
            f"mask file {path} has shape {array.shape} and is constant along no axis; "
            "a line mask is 1-D, or 2-D with equal columns or equal rows"
        )
    return array


def load_points(path: str | Path) -> Bool[np.ndarray, "..."]:
    """Load a ``.npy`` mask: its lines as ``load_mask``, or else its points (height, width).

    In the file's own order. Raises ``InputError`` for anything that is no mask.
    """
    array = files.open_npy(path, "mask file")
    files.check_volume(array.shape, path)
    if array.ndim == 2 and (array == array[:, :1]).all():
        array = array[:, 0]
    elif array.ndim == 2 and (array == array[:1]).all():
        array = array[0]
    if array.ndim not in (1, 2):
        raise InputError(
            f"mask file {path} has shape {array.shape}; pass (lines,) or (height, width)"
        )
    return check_mask(array.copy())


def check_mask(mask, lines: int | None = None) -> Bool[np.ndarray, "..."]:
    """Return ``mask`` as a bool array; raise ``InputError`` unless it is a usable mask.

    ``lines``: the number of rows of the images that it will measure, checked when given.

    >>> check_mask([1, 0, 0, 1])
    array([ True, False, False,  True])
    """
    array = np.asarray(mask)
    if array.dtype != bool:
        if array.dtype.kind not in "iuf":
            raise InputError(f"mask has dtype {array.dtype}; pass booleans or zeros and ones")
        strange = array[(array != 0) & (array != 1)]
        if strange.size:
            raise InputError(f"mask holds the value {strange[0]}; a mask is made of 0 and 1 only")
        array = array.astype(bool)
    if array.ndim not in (1, 2):
        raise InputError(f"mask has shape {array.shape}; pass (lines,) or (height, width)")
    if not array.any():
        raise InputError(f"mask of shape {array.shape} measures nothing; set at least one line")
    if lines is not None and array.shape[0] != lines:
        raise InputError(
            f"mask has {array.shape[0]} lines but the images have {lines} rows; "
            f"pass a mask for {lines} lines"
        )
    return array


def _centre(lines: int, centre_lines: int) -> np.ndarray:
    """The always measured centre, in centred order."""
    mask = np.zeros(lines, dtype=bool)
    start = lines // 2 - centre_lines // 2
    mask[start : start + centre_lines] = True
    return mask


def _checked_count(lines: int, acceleration: float, centre_lines: int) -> int:
    count = line_count(lines, acceleration)
    if not 0 <= centre_lines <= lines:
        raise InputError(f"centre_lines is {centre_lines}; it must lie between 0 and {lines}")
    if count < max(centre_lines, 1):
        highest = lines / max(centre_lines, 1)
        raise InputError(
            f"acceleration {acceleration} leaves {count} of {lines} lines, fewer than the "
            f"{centre_lines} centre lines; use at most {highest:g}, or fewer centre lines"
        )
    return count
