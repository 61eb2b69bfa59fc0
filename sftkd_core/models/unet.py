"""The U-Net, and DC-UNet: a cascade of U-Nets with data consistency between them.

Ronneberger, Fischer and Brox (2015) in the form of the first fastMRI baseline (Zbontar et al.,
2018): bilinear upsampling, so that 32 channels and 4 poolings make 3,348,227 parameters. The
later baseline upsamples with transposed convolutions and has more than twice as many.
"""

from math import inf

import torch
from torch import Tensor, nn
from torch.nn.functional import instance_norm, interpolate, max_pool2d, pad, relu

from sftkd_core.consistency import Measurement
from sftkd_core.models.staged import BlockCascade, Staged
from sftkd_core.system import Float, InputError


class UNetBlock(nn.Module):
    """1 -> 1 channel: ``pools`` levels down, one at the bottom, ``pools`` up, three 1x1.

    A level is two 3x3 convolutions, each followed by instance normalisation (nothing to learn)
    and ReLU. The biases before a normalisation are cancelled by it, but counted as published.

    Images of any size: they are padded with zeros around to a multiple of ``2 ** pools`` (and
    two cells at the bottom, which needs a variance), and the output is cropped again.
    """

    def __init__(self, channels: int = 32, pools: int = 4):
        super().__init__()
        if channels < 2 or pools < 1:
            raise InputError(
                f"a U-Net of {channels} channels and {pools} poolings cannot be built; "
                "use at least 2 channels and 1 pooling"
            )
        widths = [channels * 2**level for level in range(pools)]
        self.down = nn.ModuleList(
            _Pair(before, after) for before, after in zip([1, *widths], widths, strict=False)
        )
        self.bottom = _Pair(widths[-1], widths[-1])
        # upwards each level takes as many channels from below as from its own way down
        narrower = [channels, *widths[:-1]]
        self.up = nn.ModuleList(
            _Pair(2 * before, after)
            for before, after in zip(widths[::-1], narrower[::-1], strict=True)
        )
        self.last = nn.ModuleList(
            nn.Conv2d(before, after, kernel_size=1)
            for before, after in ((channels, channels // 2), (channels // 2, 1), (1, 1))
        )

    def forward(
        self,
        image: Float[Tensor, "b 1 h w"],
        measurement: Measurement | None = None,
        keep: list[Tensor] | None = None,
    ) -> Float[Tensor, "b 1 h w"]:
        """``(b, 1, h, w) -> (b, 1, h, w)``.

        ``keep`` collects convolution outputs before normalisation, in the order they are
        computed: those of full resolution cropped to (b, c, h, w), the others as they are,
        padding included. The last four are of full resolution, the first of these with
        ``channels`` channels.
        """
        multiple = 2 ** len(self.down)
        top, bottom = _padding(image.shape[-2], multiple)
        left, right = _padding(image.shape[-1], multiple)
        height, width = image.shape[-2:]

        def crop(hidden: Tensor) -> Tensor:
            return hidden[..., top : top + height, left : left + width]

        hidden = pad(image, (left, right, top, bottom))
        skips = []
        for level, pair in enumerate(self.down):
            hidden = pair(hidden, keep, None if level else crop)
            skips.append(hidden)
            hidden = max_pool2d(hidden, 2)
        hidden = self.bottom(hidden, keep)
        for pair in self.up:
            hidden = interpolate(hidden, scale_factor=2.0, mode="bilinear", align_corners=False)
            hidden = torch.cat([hidden, skips.pop()], dim=1)
            hidden = pair(hidden, keep, None if skips else crop)
        for convolution in self.last:
            hidden = convolution(hidden)
            if keep is not None:
                keep.append(crop(hidden))
        return crop(hidden)


class UNet(Staged):
    """A U-Net alone, of the zero-filled image: one stage, no data consistency.

    32 channels and 4, 3, 2 poolings have 3,348,227, 840,451, 213,251 parameters; the first is
    what Table 7 of SFT-KD-Recon counts as DAGAN.
    """

    def __init__(self, channels: int = 32, pools: int = 4):
        super().__init__()
        self.stages = nn.ModuleList([UNetBlock(channels, pools)])

    def head(
        self, state: Float[Tensor, "*branches b 1 h w"], measurement: Measurement
    ) -> Float[Tensor, "*branches b 1 h w"]:
        """The image, in the measurement's precision whatever the stage's: (b, 1, h, w)."""
        return state.to(measurement.zero_filled.dtype)


class DCUNet(BlockCascade):
    """DC-UNet: ``cascades`` U-Nets of weights of their own, each with data consistency.

    The heterogeneous teacher of the paper's Table 6; without a residual connection around a
    U-Net. 5 cascades have 16,741,135 parameters, 3 have 10,044,681.
    """

    def __init__(
        self,
        cascades: int = 5,
        channels: int = 32,
        pools: int = 4,
        lam: float = inf,
        form: str | None = None,
    ):
        super().__init__((UNetBlock(channels, pools) for _ in range(cascades)), lam, form)


class _Pair(nn.Module):
    """Two 3x3 convolutions, each followed by instance normalisation and ReLU."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(width, after, kernel_size=3, padding=1) for width in (before, after)
        )

    def forward(self, hidden: Tensor, keep: list[Tensor] | None, crop=None) -> Tensor:
        for convolution in self.convolutions:
            hidden = convolution(hidden)
            if keep is not None:
                keep.append(hidden if crop is None else crop(hidden))
            hidden = relu(instance_norm(hidden))
        return hidden


def _padding(size: int, multiple: int) -> tuple[int, int]:
    """Zeros before and after, to the next multiple and at least twice it."""
    missing = max(-(-size // multiple), 2) * multiple - size
    return missing // 2, missing - missing // 2
