"""Synthetic short-axis hearts: ellipses with soft edges, a new subject for each seed."""

import numpy as np
import torch
from torch import Tensor

from sftkd_core.data.phantoms.texture import as_scanned, scaled, shaded, smooth_field
from sftkd_core.data.slices import Volume
from sftkd_core.system import InputError


def cardiac_phantom(seed: int = 0, size: int = 150, slices: int = 10) -> Volume:
    """A synthetic cine short-axis stack from base to apex: ``(slices, size, size)``.

    Bright blood in two ventricles, dark muscle and lungs, as balanced SSFP shows them. Raises
    ``InputError`` for sizes below 16 or no slices.
    """
    signal, generator = _painted(seed, size, slices)
    return Volume(f"synthetic heart {seed}", as_scanned(signal, generator), synthetic=True)


def heart_phantom(seed: int = 0, size: int = 150, slices: int = 10) -> Volume:
    """``cardiac_phantom`` without noise: that belongs to the measurement."""
    signal, generator = _painted(seed, size, slices)
    return Volume(f"synthetic heart {seed}", scaled(shaded(signal, generator)), synthetic=True)


def _painted(seed: int, size: int, slices: int) -> tuple[Tensor, np.random.Generator]:
    """The signal (slices, size, size), and the generator that painted it."""
    if size < 16 or slices < 1:
        raise InputError(f"a phantom of {slices} slices of {size} pixels; use >= 1 and >= 16")
    generator = np.random.default_rng([seed, 2])
    draw = generator.uniform
    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    wobble = 0.02 * smooth_field(generator, (slices, size, size), 7, channels=2)
    centre = draw(-0.08, 0.08, size=2)
    tilt, muscle, stretch = draw(-0.5, 0.5), draw(0.07, 0.11), draw(0.9, 1.12)
    tissue = {"chest": draw(0.4, 0.6), "fat": draw(0.8, 1.0), "lung": draw(0.04, 0.1)}
    tissue |= {"blood": draw(0.8, 1.0), "muscle": draw(0.2, 0.32), "liver": draw(0.35, 0.5)}
    planes = []
    for plane in range(slices):
        depth = plane / max(1, slices - 1)  # 0 at the base, 1 at the apex
        radius = 0.27 * stretch * np.sqrt(1 - 0.75 * depth**2)
        shift_y, shift_x = y + wobble[0, plane] - centre[0], x + wobble[1, plane] - centre[1]

        def inside(row, column, height, width, angle=0.0, y=shift_y, x=shift_x):
            """A soft ellipse: 1 inside, 0 outside, an edge of about a pixel."""
            u, v = y - row, x - column
            a, b = np.cos(angle) * u + np.sin(angle) * v, np.cos(angle) * v - np.sin(angle) * u
            distance = torch.hypot(a / height, b / width) - 1
            return torch.sigmoid(-distance * min(height, width) * size)

        image = tissue["fat"] * inside(0, 0, 1.15, 1.3)
        image = _over(image, tissue["chest"], inside(0, 0, 1.02, 1.16))
        image = _over(image, tissue["lung"], inside(-0.15, 0.78, 0.62, 0.34, -0.2))
        image = _over(image, tissue["lung"], inside(-0.35, -0.72, 0.45, 0.3, 0.3))
        image = _over(image, tissue["liver"], inside(0.75, -0.55, 0.35, 0.5, 0.3))
        # right ventricle: a crescent, what the left ventricle's wall leaves of an ellipse
        right = inside(0.02, -0.30 * (1 - 0.3 * depth), 1.05 * radius, 0.95 * radius, tilt)
        wall = inside(0.02, -0.30 * (1 - 0.3 * depth), 1.2 * radius, 1.1 * radius, tilt)
        image = _over(image, tissue["muscle"], wall)
        image = _over(image, tissue["blood"], right)
        outer = radius + muscle
        image = _over(image, tissue["muscle"], inside(0, 0.05, outer, outer * 1.05, tilt))
        image = _over(image, tissue["blood"], inside(0, 0.05, radius, radius * 1.05, tilt))
        for side in (-1, 1):  # papillary muscles
            papillary = inside(0.55 * side * radius, 0.1, 0.16 * radius, 0.2 * radius)
            image = _over(image, tissue["muscle"], papillary)
        planes.append(image)
    texture = 1 + 0.06 * smooth_field(generator, (slices, size, size), 20)[0]
    return torch.stack(planes).float() * texture, generator


def _over(below, value: float, cover):
    """Paint ``value`` where ``cover`` is 1."""
    return below * (1 - cover) + value * cover
