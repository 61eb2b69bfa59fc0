"""From k-space to complex images; twelve coils to one."""

import numpy as np

_LOW = 24  # central lines from which coil sensitivities are estimated


def centred_image(kspace: np.ndarray) -> np.ndarray:
    """Complex images (..., h, w) of k-space, the origin of both in the middle; orthonormal."""
    images = np.fft.ifft2(np.fft.ifftshift(kspace, (-2, -1)), norm="ortho")
    return np.fft.fftshift(images, (-2, -1)).astype(np.complex64)


def order_of(kspace: np.ndarray) -> tuple[bool, bool]:
    """Whether the origins of k-space and of its image lie in the middle, or in a corner.

    kspace (..., h, w) of an object that fills the middle of its field of view. Seen from where the
    energy is, so that both of the usual orders, and their mixture, give the same image.
    """
    in_middle = _middle_is_stronger(kspace)
    images = image_of(kspace, (in_middle, False))
    return in_middle, not _middle_is_stronger(images)


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


def _middle_is_stronger(values: np.ndarray) -> bool:
    """Whether the middle quarter holds more energy than the corners' quarters."""
    height, width = values.shape[-2:]
    energy = (np.abs(values) ** 2).reshape(-1, height, width).sum(axis=0)
    inner = energy[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None].sum()
    outer = np.roll(energy, (height // 2, width // 2), (0, 1))
    outer = outer[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None].sum()
    return bool(inner > outer)
