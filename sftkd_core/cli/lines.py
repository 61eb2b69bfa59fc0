"""Which part of k-space ``reconstruct`` takes for measured, by option or as the scan says."""

import argparse

import numpy as np

from sftkd_core import masks
from sftkd_core.book.setting import Setting
from sftkd_core.data.formats import Scan
from sftkd_core.data.formats.kspace import unshifted
from sftkd_core.experiments.experiment import Sampling
from sftkd_core.system import InputError, counted

NAMED = {
    "cartesian": "lines at random, denser towards the centre (the default)",
    "equispaced": "evenly spaced lines and a full centre, as fastMRI's",
    "centre": "the low frequencies along both axes, as for super-resolution",
}


def mask_of(scan: Scan, setting: Setting, given: str | None, order: str) -> tuple[np.ndarray, str]:
    """What is measured, the peak of k-space first, and what is to be said of it.

    (height,) lines, or (height, width) points. They are those of the file, of ``--mask`` (a name
    of ``NAMED`` or a file), or of the acceleration.
    """
    if given is None or given in NAMED:
        if order != "auto" and not scan.has_phase:
            raise InputError(f"{scan.path} holds images, not k-space; leave --order out")
        if given is not None and scan.measured is not None:
            raise InputError(
                f"{scan.path} lacks lines already, as it was measured; leave --mask {given} out"
            )
        mask = _named(given, scan, setting) if scan.measured is None else scan.measured
        return np.roll(mask, -scan.peak, 0), _peak_in_words(scan)
    mask, note = _from_file(scan, given, order)
    return np.roll(mask, -scan.peak, 0), note + _peak_in_words(scan)


def _named(name: str | None, scan: Scan, setting: Setting) -> np.ndarray:
    height, acceleration = scan.height, setting.acceleration
    if name == "centre":
        return masks.central_mask(height, scan.width, acceleration)
    if name == "equispaced":
        centre = min(10, max(1, masks.line_count(height, acceleration) // 2))
        return masks.equispaced_mask(height, acceleration, centre)
    return setting.sampling.mask(height)


def _from_file(scan: Scan, path: str, order: str) -> tuple[np.ndarray, str]:
    """The mask of a file in the scan's order, and what is to be said of it."""
    given = masks.load_points(path)
    if given.ndim == 2:
        return _points(scan, given, path, order)
    given = masks.check_mask(given, scan.height)
    mask, turned = unshifted(given, scan.measured)
    if order != "auto" and (order == "centre") != turned:
        mask, turned = np.fft.ifftshift(given) if order == "centre" else given, order == "centre"
    if not mask[0]:
        raise InputError(
            f"mask {path} leaves out the zero frequency, line 0 (or line {len(mask) // 2} with "
            "--order centre), without which no image has its brightness; pass the mask that was "
            "measured with"
        )
    if scan.measured is not None:
        beyond = int((scan.measured & ~mask).sum())
        if beyond:
            raise InputError(
                f"{scan.path} holds {beyond} lines that {path} says were not measured; pass its "
                "own mask, or none"
            )
        scan.measured = mask  # some of its lines may be zero
    return mask, ", the mask's zero frequency in the centre" if turned else ""


def _points(scan: Scan, given: np.ndarray, path: str, order: str) -> tuple[np.ndarray, str]:
    """The same for a mask of two dimensions, which measures full sampling anew."""
    if scan.measured is not None:
        raise InputError(
            f"{scan.path} lacks lines already, as it was measured, and {path} is a mask of points; "
            "pass its lines, or no mask"
        )
    shape = (scan.height, scan.width)
    if given.shape != shape:
        raise InputError(
            f"mask {path} has {given.shape[0]} x {given.shape[1]} points, but the slices of "
            f"{scan.path} have {shape[0]} x {shape[1]}; pass one of that size"
        )
    middle = given[shape[0] // 2, shape[1] // 2]
    turned = bool(middle and not given[0, 0]) if order == "auto" else order == "centre"
    mask = np.fft.ifftshift(given) if turned else given
    if order == "auto" and middle and given[0, 0]:
        # both places are measured: the centre is where more is, close by
        near = [_around(each) for each in (given, np.fft.ifftshift(given))]
        turned = near[1] > near[0]
        mask = np.fft.ifftshift(given) if turned else given
    if not mask[0, 0]:
        raise InputError(
            f"mask {path} leaves out the zero frequency, at [0, 0] (or in the middle with "
            "--order centre); pass the mask that was measured with"
        )
    return mask, ", the mask's zero frequency in the centre" if turned else ""


def _around(mask: np.ndarray) -> int:
    """How many of the lowest frequencies are measured."""
    rows, columns = (np.abs(np.fft.fftfreq(n)) < 0.125 for n in mask.shape)
    return int(mask[np.ix_(rows, columns)].sum())


def _peak_in_words(scan: Scan) -> str:
    if not scan.peak:
        return ""
    lines = min(scan.peak, scan.height - scan.peak)
    return f", the peak {counted(lines, 'line')} off the zero frequency and shifted there"


def check_acceleration(scan: Scan, mask: np.ndarray, options: argparse.Namespace) -> None:
    """Raise ``InputError`` where ``--acceleration`` can have no effect on the lines."""
    actual = mask.size / mask.sum()
    fixed = scan.path if scan.measured is not None else options.mask
    fixed = None if options.mask in NAMED and scan.measured is None else fixed
    asked = options.acceleration
    if fixed and asked is not None and abs(actual / asked - 1) > 0.15:
        raise InputError(
            f"{fixed} fixes the {'lines' if mask.ndim == 1 else 'points'}, {mask.sum()} of "
            f"{mask.size} ({actual:.1f}x); leave --acceleration {asked:g} out"
        )


def check_pattern(name: str, sampling: Sampling, mask: str | None) -> None:
    """Raise ``InputError`` for a network that learnt on another pattern than is measured."""
    if sampling.pattern != "lines" and mask != sampling.pattern:
        raise InputError(
            f"{name} learnt on another part of k-space (pattern {sampling.pattern!r}) than the "
            "lines that are measured here; choose another --model, such as student; the command "
            "evaluate tests this one as it was trained"
        )
