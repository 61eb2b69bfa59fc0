"""DC-CNN for complex images: two channels, and data consistency by Fourier transform.

Scanners deliver complex images. A network that keeps the real part, as the published ones do, is
right only where there is no phase; this one keeps both parts (Schlemper et al. 2017 do so).
"""

from itertools import pairwise
from math import inf

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from sftkd_core.consistency import Measurement, data_consistency
from sftkd_core.models.staged import Staged


class ComplexStage(nn.Module):
    """``CascadeStage`` with a real and an imaginary channel: 2 -> channels -> ... -> 2."""

    def __init__(self, convolutions: int, channels: int, lam: float):
        super().__init__()
        widths = [2, *[channels] * (convolutions - 1), 2]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel_size=3, padding=1) for before, after in pairwise(widths)
        )
        self.lam = lam

    def forward(
        self, state: Tensor, measurement: Measurement, keep: list[Tensor] | None = None
    ) -> Tensor:
        """``(..., b, 2, h, w) -> (..., b, 2, h, w)``; ``keep`` collects convolution outputs."""
        hidden = state.flatten(0, -4)  # branches join the batch
        for index, convolution in enumerate(self.convolutions):
            hidden = convolution(relu(hidden) if index else hidden)
            if keep is not None:
                keep.append(hidden)
        image = _complex(hidden.float().reshape(state.shape))
        return _parts(data_consistency(image, measurement, self.lam, "fft"))


class ComplexCascade(Staged):
    """``Cascade`` from the complex zero-filled image to the magnitude of a complex one.

    With two channels at both ends of a stage, D3C5 has 52,170 parameters and D5C5 144,650.
    """

    state_channels = 2

    def __init__(self, convolutions: int, cascades: int = 5, channels: int = 32, lam: float = inf):
        super().__init__()
        self.stages = nn.ModuleList(
            ComplexStage(convolutions, channels, lam) for _ in range(cascades)
        )

    def stem(self, measurement: Measurement) -> Tensor:
        """The complex zero-filled image, (b, 2, h, w)."""
        return _parts(torch.fft.ifft2(measurement.kspace, norm="ortho"))

    def head(self, state: Tensor, measurement: Measurement) -> Tensor:
        """The magnitude, (..., b, 1, h, w)."""
        # a root has no slope at zero: the smallest value keeps its gradient finite
        return state.square().sum(dim=-3, keepdim=True).clamp_min(1e-12).sqrt()


def _parts(image: Tensor) -> Tensor:
    """(..., 1, h, w) complex -> (..., 2, h, w) real."""
    return torch.cat([image.real, image.imag], dim=-3)


def _complex(parts: Tensor) -> Tensor:
    """(..., 2, h, w) real -> (..., 1, h, w) complex."""
    return torch.complex(parts[..., :1, :, :], parts[..., 1:, :, :])
