"""Random fields on a stack of planes, by Fourier transform: smooth ones, and fine texture."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Fields:
    """Random fields of one subject, drawn in order from its generator.

    shape    of a field: (planes, rows, columns)
    spacing  between neighbours along each axis, mm
    seeds    of the subject, from which each step of painting it has a generator of its own: what
             one step draws, or leaves out, changes no other
    """

    generator: np.random.Generator
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    seeds: tuple[int, ...] = ()

    def step(self, number: int) -> "Fields":
        """The fields of one step of painting, with its own generator."""
        return replace(self, generator=np.random.default_rng([*self.seeds, number]))

    def smooth(self, length: float, channels: int = 1) -> Tensor:
        """Fields that vary over about ``length`` mm: (channels, *shape) float32, deviation 1."""
        return self._shaped(torch.exp(-0.5 * (length * self._frequencies()) ** 2), channels)

    def rough(self, length: float, power: float = 1.5, channels: int = 1) -> Tensor:
        """Fields with detail of all sizes below ``length`` mm, a power law: as ``smooth``."""
        return self._shaped((1 + (length * self._frequencies()) ** 2) ** (-power / 2), channels)

    def _frequencies(self) -> Tensor:
        """Angular frequency of each coefficient of the real transform, 1/mm."""
        axes = [
            2 * torch.pi * torch.fft.fftfreq(n, d)
            for n, d in zip(self.shape, self.spacing, strict=True)
        ]
        axes[2] = axes[2][: self.shape[2] // 2 + 1]
        z, y, x = torch.meshgrid(*axes, indexing="ij")
        return torch.sqrt(z * z + y * y + x * x)

    def _shaped(self, spectrum: Tensor, channels: int) -> Tensor:
        white = self.generator.standard_normal((channels, *self.shape), dtype=np.float32)
        field = torch.fft.irfftn(
            torch.fft.rfftn(torch.from_numpy(white), dim=(1, 2, 3)) * spectrum,
            s=self.shape,
            dim=(1, 2, 3),
        )
        # what a field should have in the mean over all fields, not what this one happens to have
        full = torch.fft.irfftn(spectrum**2, s=self.shape)[0, 0, 0]
        return field / torch.sqrt(full)
