"""From k-space to complex images: where their origins are, their phase, twelve coils to one."""

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


def unshifted(lines: np.ndarray, measured: np.ndarray | None = None) -> tuple[np.ndarray, bool]:
    """A mask of lines (h,) with the zero frequency first, and whether it stood in the middle.

    Of a mask whose order is not known that is where more lines follow each other without a gap, or,
    with lines that were ``measured`` for certain, where the mask covers these.
    """
    turned = np.fft.ifftshift(lines)
    if measured is not None:
        fits = [not (measured & ~mask).any() for mask in (lines, turned)]
        if fits[0] != fits[1]:
            return (turned, True) if fits[1] else (lines, False)
    runs = []
    for mask in (lines, turned):  # lines before the first gap, on both sides together
        gaps = np.flatnonzero(~mask)
        runs.append(gaps[0] + len(mask) - 1 - gaps[-1] if len(gaps) and mask[0] else 0)
    return (turned, True) if runs[1] > runs[0] else (lines, False)


def image_of(kspace: np.ndarray, order: tuple[bool, bool]) -> np.ndarray:
    """Complex images (..., h, w) of k-space stored in this ``order_of``; orthonormal, complex64."""
    if order[0]:
        kspace = np.fft.ifftshift(kspace, (-2, -1))
    with np.errstate(all="ignore"):  # of a damaged file; what is not finite is told by its reader
        images = np.fft.ifft2(kspace, norm="ortho")
        if order[1]:
            images = np.fft.fftshift(images, (-2, -1))
        return images.astype(np.complex64)


def remove_phase(kspace: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Rotate each column of the image so that it is as real as it can be.

    kspace  (b, h, w) complex, zero outside the rows of ``mask`` (h,); zero frequency at [0, 0]

    A phase that depends on the column alone commutes with leaving out rows, so the result is what
    would have been measured without it. It is estimated from the central rows that are measured
    with their mirrors, which give a real image for a real one. Returns the rotated k-space, the
    energy of the central image that stays imaginary, and all of that energy.
    """
    centre = _symmetric_centre(mask)
    image = np.fft.ifft2(kspace, norm="ortho")
    blurred = np.fft.ifft2(kspace * centre[:, None], norm="ortho")
    # the angle that leaves the least imaginary energy, up to its sign
    angle = np.angle((blurred**2).sum(1, keepdims=True)) / 2
    total = (blurred * np.exp(-1j * angle)).real.sum(1, keepdims=True)
    turn = np.exp(-1j * angle) * np.where(total < 0, -1, 1)
    blurred = blurred * turn
    rotated = np.fft.fft2(image * turn, norm="ortho") * mask[:, None]
    imaginary, energy = (blurred.imag**2).sum(), (np.abs(blurred) ** 2).sum()
    return rotated, float(imaginary), float(energy)


def _symmetric_centre(mask: np.ndarray) -> np.ndarray:
    """The measured lines around the zero frequency, up to the first whose mirror is missing."""
    both = mask & np.roll(mask[::-1], 1)
    centre = np.zeros_like(mask)
    for line in range(len(mask) // 2 + 1):
        if not both[line]:
            break
        centre[[line, -line]] = True
    return centre


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
