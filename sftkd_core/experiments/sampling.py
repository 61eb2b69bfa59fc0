"""Which part of k-space is measured, and with how much noise."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sftkd_core import masks
from sftkd_core.consistency import Measurement, measure
from sftkd_core.data import SPLITS
from sftkd_core.system import InputError

PATTERNS = ("lines", "centre")


@dataclass(frozen=True)
class Sampling:
    """Which part of k-space is measured, for images of any size.

    acceleration  "lines": lines over measured lines; "centre": the same in both directions
    seed          of the lines, the noise and the phase
    pattern       "lines": a ``masks.cartesian_mask``, its ten central lines always measured, or
                  half of all where that is fewer; "centre": a ``masks.central_mask``, the
                  low-resolution scan of super-resolution
    noise         standard deviation of the noise in k-space, see ``consistency.measure``
    phase         standard deviation, in radians, of a smooth random phase that each slice is
                  given before it is measured: 0 leaves the images real
    """

    acceleration: float = 4
    seed: int = 0
    pattern: str = "lines"
    noise: float = 0.0
    phase: float = 0.0

    def __post_init__(self):
        if self.pattern not in PATTERNS:
            raise InputError(
                f"unknown pattern {self.pattern!r}; choose one of {', '.join(PATTERNS)}"
            )
        for name in ("noise", "phase"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{name} is {getattr(self, name)}; it must be a number >= 0")

    def mask(self, lines: int, columns: int | None = None) -> np.ndarray:
        """(lines,) bool of "lines", (lines, columns) of "centre" (default: as many); un-shifted."""
        if self.pattern == "centre":
            return masks.central_mask(lines, columns or lines, self.acceleration)
        centre = min(10, max(1, masks.line_count(lines, self.acceleration) // 2))
        return masks.cartesian_mask(lines, self.acceleration, self.seed, centre)

    def measure(self, images: Tensor, split: str = "test") -> Measurement:
        """Measure the slices (n, 1, h, w) of a split; noise and phase differ between splits."""
        number = SPLITS.index(split)
        if self.phase:
            images = images * torch.exp(1j * self._phases(images.shape, number))
        mask = self.mask(*images.shape[-2:])
        return measure(images, mask, self.noise, seed=1000 * self.seed + number)

    def _phases(self, shape: tuple[int, ...], number: int) -> Tensor:
        """Smooth random maps in radians, one a slice: (n, 1, h, w) float32."""
        generator = np.random.default_rng([self.seed, number])
        coarse = generator.standard_normal((shape[0], 1, 4, 4)).astype(np.float32)
        smooth = interpolate(
            torch.from_numpy(coarse), size=shape[-2:], mode="bicubic", align_corners=True
        )
        smooth = smooth - smooth.mean(dim=(2, 3), keepdim=True)
        return self.phase * smooth / smooth.std(dim=(2, 3), keepdim=True)
