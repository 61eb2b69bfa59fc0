"""The sensitivities of coils, estimated from the fully measured centre of their own k-space.

"centre"   the coils' low-resolution images over their root sum of squares (McKenzie et al., 2002)
"espirit"  eigenvectors of the calibration matrix (Uecker et al., 2014), by sigpy

Both are scaled to sum_c |S_c|^2 = 1. Sensitivities and image share a phase that nothing fixes: here
the sensitivities take as much of it as the centre shows, so that the image is left nearly real.

>>> image = np.outer(np.hanning(32), np.hanning(32)) * 1j  # seen by two coils, half and half
>>> kspace = np.fft.fft2(np.stack([image, -image]), norm="ortho")
>>> np.abs(estimate(kspace, np.ones(32, bool))[:, 16, 16]).round(3)
array([0.707, 0.707], dtype=float32)
"""

import warnings

import numpy as np

from sftkd_core.system import Bool, Complex, InputError

METHODS = ("centre", "espirit")
WIDTH = 24  # central lines and columns at most
_KERNEL = 6  # of ESPIRiT
_LEAST = {"centre": 2, "espirit": 8}  # lines


def estimate(
    kspace: Complex[np.ndarray, "c h w"], mask: Bool[np.ndarray, "..."], method: str = "centre"
) -> Complex[np.ndarray, "c h w"]:
    """The sensitivities of coils in one slice, complex64.

    kspace  zero frequency at [0, 0], zero where not measured
    mask    (h,) lines or (h, w) points, un-shifted

    Raises ``InputError`` for an unknown method, where sigpy is missing, and for a centre that is
    too narrow.
    """
    if method not in METHODS:
        raise InputError(f"unknown maps {method!r}; choose one of {', '.join(METHODS)}")
    points = np.broadcast_to(mask if mask.ndim == 2 else mask[:, None], kspace.shape[-2:])
    width = min(centre_width(points), WIDTH)
    if width < _LEAST[method]:
        raise InputError(
            f"the centre of k-space is measured {width} lines wide; {_LEAST[method]} are needed "
            f"to estimate sensitivities of coils ({method})"
        )
    low = low_resolution(kspace, width)
    if method == "centre":
        return _over_root_sum_of_squares(low).astype(np.complex64)
    maps = _espirit(kspace, width)
    common = np.angle((maps.conj() * low).sum(0))
    return (maps * np.exp(1j * common)).astype(np.complex64)


def centre_width(points: Bool[np.ndarray, "h w"]) -> int:
    """The side of the largest square around the zero frequency in which all is measured."""
    centred = np.fft.fftshift(points)
    height, width = centred.shape
    for half in range(1, min(height, width) // 2 + 1):
        rows = slice(height // 2 - half, height // 2 + half)
        if not centred[rows, width // 2 - half : width // 2 + half].all():
            return 2 * (half - 1)
    return 2 * (min(height, width) // 2)


def low_resolution(
    kspace: Complex[np.ndarray, "c h w"], width: int
) -> Complex[np.ndarray, "c h w"]:
    """Images of the ``width`` lowest frequencies along both axes, smoothly cut off."""
    for axis in (-2, -1):
        extent = kspace.shape[axis]
        frequency = np.abs(np.fft.fftfreq(extent)) * extent
        window = np.where(frequency < width / 2, np.cos(np.pi * frequency / width) ** 2, 0)
        kspace = kspace * (window[:, None] if axis == -2 else window)
    return np.fft.ifft2(kspace, norm="ortho")


def _over_root_sum_of_squares(images: np.ndarray) -> np.ndarray:
    total = np.sqrt((np.abs(images) ** 2).sum(0))
    return images / np.maximum(total, 1e-6 * total.max() + np.finfo(np.float32).tiny)


def _espirit(kspace: np.ndarray, width: int) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from sigpy.mri.app import EspiritCalib
    except ImportError:
        raise InputError(
            "sensitivities by ESPIRiT need sigpy, not installed here; python -m pip install sigpy, "
            "or choose --maps centre, which takes low-resolution images"
        ) from None
    app = EspiritCalib(
        np.fft.fftshift(kspace, (-2, -1)).astype(np.complex64), calib_width=width,
        kernel_width=min(_KERNEL, width // 2), crop=0, max_iter=30, show_pbar=False,
    )  # fmt: skip
    return np.fft.ifftshift(np.asarray(app.run()), (-2, -1))  # sigpy's origin is in the middle
