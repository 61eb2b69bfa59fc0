"""Coils around a phantom: smooth sensitivities of a birdcage, and a smooth phase of the object.

With ``coils.measure``, which adds noise in k-space, that is a scan of several coils without a
download.
"""

import numpy as np

_RADIUS = 1.5  # of the ring of coils; the field of view reaches from -1 to 1


def birdcage(
    coils: int, height: int, width: int, radius: float = _RADIUS, turn: float = 0.0
) -> np.ndarray:
    """Sensitivities (c, h, w) complex64 of coils in a ring, scaled to sum_c |S_c|^2 = 1.

    Each falls off with the distance from its coil, and turns its phase around it, as the field of
    a straight wire does.

    turn  of the ring, in radians
    """
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (height, width)), indexing="ij")
    angles = 2 * np.pi * np.arange(coils) / coils + turn
    right = x - radius * np.cos(angles)[:, None, None]
    down = y - radius * np.sin(angles)[:, None, None]
    # the field of a wire, 1 / distance, circling it; each coil's phase from its own place
    maps = np.exp(1j * (np.arctan2(down, right) - angles[:, None, None])) / np.hypot(right, down)
    return (maps / np.sqrt((np.abs(maps) ** 2).sum(0))).astype(np.complex64)


def smooth_phase(height: int, width: int, seed: int = 0, size: float = 0.5) -> np.ndarray:
    """A phase map (h, w) float32 in radians, of the lowest frequencies, of deviation ``size``."""
    generator = np.random.default_rng([seed, 7])
    y, x = np.meshgrid(*(np.linspace(0, np.pi, n) for n in (height, width)), indexing="ij")
    weights = generator.standard_normal((3, 3))
    waves = sum(w * np.cos(i * y) * np.cos(j * x) for (i, j), w in np.ndenumerate(weights))
    waves = waves - np.mean(waves)
    return (size * waves / (np.std(waves) or 1)).astype(np.float32)


def coil_kspace(
    slices: np.ndarray, coils: int = 8, phase: float = 0.5, noise: float = 0.0, seed: int = 0
) -> np.ndarray:
    """What a ring of coils measures of magnitude slices (n, h, w), all lines: (n, c, h, w).

    phase  deviation of the object's phase in radians
    noise  standard deviation in k-space, per real and imaginary part, in units of the slices

    complex64, orthonormal, zero frequency at [0, 0].
    """
    generator = np.random.default_rng([seed, 11])
    _, height, width = slices.shape
    maps = birdcage(coils, height, width)
    kspace = np.empty((len(slices), coils, height, width), np.complex64)
    for index, image in enumerate(slices):
        turned = image * np.exp(1j * smooth_phase(height, width, 1000 * seed + index, phase))
        kspace[index] = np.fft.fft2(maps * turned, norm="ortho")
        if noise:
            draw = generator.standard_normal((2, coils, height, width), np.float32)
            kspace[index] += noise * (draw[0] + 1j * draw[1])
    return kspace
