"""From k-space to complex images, wherever their origins are; twelve coils to one."""

import numpy as np

_LOW = 24  # central lines from which coil sensitivities are estimated


def energies(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energy of each row (h,) and of each column (w,) of values (..., h, w), in all of them."""
    energy = np.abs(values.astype(np.complex128)) ** 2
    energy = energy.reshape(-1, *values.shape[-2:]).sum(0)
    return energy.sum(1), energy.sum(0)


def in_middle(rows: np.ndarray, columns: np.ndarray) -> bool | None:
    """Whether ``energies`` gather in the middle of both axes, or at their ends; None for neither.

    Of k-space that tells where its zero frequency is, of an image where its origin is: an object
    fills the middle of its field of view.
    """
    shares = []
    for energy in (rows, columns):
        quarter = len(energy) // 4
        shares.append(energy[quarter : len(energy) - quarter].sum() / (energy.sum() or np.nan))
    if min(shares) > 0.6:
        return True
    return False if max(shares) < 0.4 else None


def order_of(kspace: np.ndarray, centred: bool | None = None) -> tuple[bool, bool] | None:
    """Whether the origins of k-space (..., h, w) and its image lie in the middle, or in a corner.

    Both of the usual orders and both mixed ones are told apart by where the energy is. None where
    that of k-space is in neither place, unless ``centred`` says so; an image without a clear place
    is taken for one of the usual orders, with both origins in one place.
    """
    centred = in_middle(*energies(kspace)) if centred is None else centred
    if centred is None:
        return None
    plain = in_middle(*energies(image_of(kspace, (centred, False))))
    return centred, centred if plain is None else not plain


def image_of(kspace: np.ndarray, order: tuple[bool, bool]) -> np.ndarray:
    """Complex images (..., h, w) of k-space stored in this ``order_of``; orthonormal, complex64."""
    if order[0]:
        kspace = np.fft.ifftshift(kspace, (-2, -1))
    images = np.fft.ifft2(kspace, norm="ortho")
    if order[1]:
        images = np.fft.fftshift(images, (-2, -1))
    return images.astype(np.complex64)


def combine(coils: np.ndarray) -> np.ndarray:
    """One complex image (h, w) from those of several coils (c, h, w), each weighted by its own
    sensitivity.

    Sensitivities are the coils' low-resolution images over their root sum of squares; their common
    phase is that of the strongest coil, so the object keeps its phase relative to that coil
    (Roemer et al., 1990, with sensitivities from the centre of k-space).
    """
    low = _low_resolution(coils)
    strongest = low[np.argmax((np.abs(low) ** 2).sum(axis=(1, 2)))]
    weight = np.sqrt((np.abs(low) ** 2).sum(axis=0))
    weight = np.maximum(weight, 1e-6 * weight.max() + np.finfo(np.float32).tiny)
    phase = np.exp(-1j * np.angle(strongest))
    return ((low * phase / weight).conj() * coils).sum(axis=0).astype(np.complex64)


def _low_resolution(images: np.ndarray) -> np.ndarray:
    """Images (c, h, w) from their ``_LOW`` x ``_LOW`` lowest frequencies, smoothly cut off."""
    kspace = np.fft.fft2(images)
    for axis in (-2, -1):
        extent = images.shape[axis]
        frequency = np.abs(np.fft.fftfreq(extent)) * extent
        half = min(_LOW, extent) / 2
        window = np.where(frequency < half, np.cos(np.pi * frequency / (2 * half)) ** 2, 0)
        kspace = kspace * (window[:, None] if axis == -2 else window)
    return np.fft.ifft2(kspace)
