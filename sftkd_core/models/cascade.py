"""DC-CNN: a cascade of small convolutional networks, each followed by data consistency."""

from itertools import pairwise
from math import inf

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from sftkd_core.consistency import Measurement, data_consistency
from sftkd_core.models.staged import Staged
from sftkd_core.models.thin import convolve
from sftkd_core.system import Float, InputError


class CascadeStage(nn.Module):
    """One block of the cascade: ``n`` 3x3 convolutions (ReLU between), then data consistency.

    1 -> channels -> ... -> channels -> 1, with bias, without a residual connection (Schlemper et
    al. 2017 add one; SFT-KD-Recon does not).
    """

    def __init__(self, convolutions: int, channels: int, lam: float, form: str | None):
        super().__init__()
        widths = [1, *[channels] * (convolutions - 1), 1]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel_size=3, padding=1) for before, after in pairwise(widths)
        )
        self.lam, self.form = lam, form

    def forward(
        self,
        image: Float[Tensor, "*branches b 1 h w"],
        measurement: Measurement,
        keep: list[Tensor] | None = None,
    ) -> Float[Tensor, "*branches b 1 h w"]:
        """``(..., b, 1, h, w) -> (..., b, 1, h, w)``; ``keep`` collects convolution outputs."""
        hidden = image.flatten(0, -4)  # branches join the batch: (... b, 1, h, w)
        for index, convolution in enumerate(self.convolutions):
            # what nobody keeps is overwritten: a convolution's output is not needed again
            active = relu(hidden, inplace=keep is None) if index else hidden
            hidden = convolve(convolution, active)  # type: ignore[arg-type]
            if keep is not None:
                keep.append(hidden)
        return data_consistency(hidden.view(image.shape), measurement, self.lam, self.form)


class Cascade(Staged):
    """DnCm of the paper: ``cascades`` stages of ``convolutions`` convolutions each.

    It starts from the zero-filled magnitude image and keeps the real part after each consistency
    step, as the released code does. D5C5, the teacher, has 141,765 parameters; D3C5 has 49,285.
    """

    def __init__(
        self,
        convolutions: int,
        cascades: int = 5,
        channels: int = 32,
        lam: float = inf,
        form: str | None = None,
    ):
        super().__init__()
        if convolutions < 2 or cascades < 1:
            raise InputError(
                f"a cascade of {cascades} blocks with {convolutions} convolutions cannot be built; "
                "use at least 1 block and 2 convolutions"
            )
        self.stages = nn.ModuleList(
            CascadeStage(convolutions, channels, lam, form) for _ in range(cascades)
        )


MARGIN = 5


class PaddedStage(CascadeStage):
    """``CascadeStage`` on the padded image; cropped again before data consistency."""

    def forward(
        self,
        image: Float[Tensor, "*branches b 1 h w"],
        measurement: Measurement,
        keep: list[Tensor] | None = None,
    ) -> Float[Tensor, "*branches b 1 h w"]:
        """As ``CascadeStage``; ``keep`` collects outputs of the padded size."""
        hidden = pad(image.flatten(0, -4), (MARGIN,) * 4)
        for index, convolution in enumerate(self.convolutions):
            hidden = convolve(convolution, hidden.relu() if index else hidden)  # type: ignore[arg-type]
            if keep is not None:
                keep.append(hidden)
        inner = hidden[..., MARGIN:-MARGIN, MARGIN:-MARGIN].reshape(image.shape)
        return data_consistency(inner, measurement, self.lam, self.form)


class PaddedCascade(Staged):
    """``Cascade`` of ``PaddedStage``: the same weights, another edge."""

    def __init__(self, convolutions: int, cascades: int = 5, channels: int = 32, lam: float = inf):
        super().__init__()
        self.stages = nn.ModuleList(
            PaddedStage(convolutions, channels, lam, form=None) for _ in range(cascades)
        )


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
        self,
        state: Float[Tensor, "*branches b 2 h w"],
        measurement: Measurement,
        keep: list[Tensor] | None = None,
    ) -> Float[Tensor, "*branches b 2 h w"]:
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

    def stem(self, measurement: Measurement) -> Float[Tensor, "b 2 h w"]:
        """The complex zero-filled image, (b, 2, h, w)."""
        return _parts(torch.fft.ifft2(measurement.kspace, norm="ortho"))

    def head(
        self, state: Float[Tensor, "*branches b 2 h w"], measurement: Measurement
    ) -> Float[Tensor, "*branches b 1 h w"]:
        """The magnitude, (..., b, 1, h, w)."""
        # a root has no slope at zero: the smallest value keeps its gradient finite
        return state.square().sum(dim=-3, keepdim=True).clamp_min(1e-12).sqrt()


def _parts(image: Tensor) -> Tensor:
    """(..., 1, h, w) complex -> (..., 2, h, w) real."""
    return torch.cat([image.real, image.imag], dim=-3)


def _complex(parts: Tensor) -> Tensor:
    """(..., 2, h, w) real -> (..., 1, h, w) complex."""
    return torch.complex(parts[..., :1, :, :], parts[..., 1:, :, :])
