"""MAC-ReconNet: convolutions whose weights are predicted from the acquisition's context.

Ramanarayanan, Murugesan, Ram and Sivaprakasam (MIDL 2020): one network for several accelerations,
mask types and anatomies. Five blocks as published hold 565,760 parameters (113,152 a block), four
for each of the 28,224 weights of a block's convolutions; Table 7 of SFT-KD-Recon counts 141,765.
"""

from itertools import pairwise
from math import inf, sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, relu

from sftkd_core.consistency import Measurement
from sftkd_core.models.staged import BlockCascade
from sftkd_core.system import Float


class ContextBlock(nn.Module):
    """Five 3x3 convolutions without bias, 1 -> channels -> ... -> 1, around them a residual.

    Instance normalisation (with learnt scale and shift) and ReLU follow all but the last. Each
    convolution's weights are a linear function of the context (acceleration, mask type, data).
    """

    def __init__(self, context: tuple[float, float] = (0.0, 0.0), channels: int = 32):
        super().__init__()
        widths = [1, *[channels] * 4, 1]
        self.shapes = [(after, before, 3, 3) for before, after in pairwise(widths)]
        self.predictors = nn.ModuleList(_predictor(shape) for shape in self.shapes)
        self.norms = nn.ModuleList(nn.InstanceNorm2d(channels, affine=True) for _ in range(4))
        self.context = context

    def weights(self, measurement: Measurement) -> list[Tensor]:
        """The weights (after, before, 3, 3) of each convolution for this measurement."""
        rate = acceleration(measurement).to(self.predictors[0].weight.dtype)  # type: ignore[arg-type]
        fixed = rate.new_tensor(self.context)
        context = torch.cat([rate.reshape(1), fixed]).unsqueeze(0)  # (1, 3)
        return [
            predictor(context).reshape(shape)
            for predictor, shape in zip(self.predictors, self.shapes, strict=True)
        ]

    def forward(
        self,
        image: Float[Tensor, "b 1 h w"],
        measurement: Measurement,
        keep: list[Tensor] | None = None,
    ) -> Float[Tensor, "b 1 h w"]:
        """``(b, 1, h, w) -> (b, 1, h, w)``; ``keep`` collects outputs before normalisation."""
        outputs = [] if keep is None else keep
        hidden = image
        for index, weight in enumerate(self.weights(measurement)):
            if index:
                hidden = relu(self.norms[index - 1](hidden))
            hidden = conv2d(hidden, weight, padding=1)
            outputs.append(hidden)
        return image + hidden


class MACReconNet(BlockCascade):
    """``cascades`` context blocks, each followed by data consistency.

    The acceleration is read from the measurement's mask: all points over measured ones. What a
    mask does not tell is fixed here, in the numbers of the published training:

    mask_type  0 for Cartesian masks, 1 for Gaussian ones
    dataset    0 for MRBrainS T1, 1 for cardiac
    """

    def __init__(
        self,
        cascades: int = 5,
        mask_type: float = 0.0,
        dataset: float = 0.0,
        channels: int = 32,
        lam: float = inf,
        form: str | None = None,
    ):
        blocks = (ContextBlock((mask_type, dataset), channels) for _ in range(cascades))
        super().__init__(blocks, lam, form)


def acceleration(measurement: Measurement) -> Float[Tensor, ""]:
    """All points of the mask over measured ones; a float32 scalar on the mask's device."""
    return measurement.mask.numel() / measurement.mask.sum(dtype=torch.float32)


def _predictor(shape: tuple[int, int, int, int]) -> nn.Linear:
    """Context -> weights, at first as torch draws a convolution's, the context mattering little.

    torch's own start of a ``Linear`` of three inputs would make weights tenfold too large. The
    convolution that makes the image starts tenfold smaller: after normalised features it would
    else add an image as large as the one that came in.
    """
    after, before, height, width = shape
    layer = nn.Linear(3, after * before * height * width)
    bound = (0.1 if after == 1 else 1) / sqrt(before * height * width)
    nn.init.uniform_(layer.bias, -bound, bound)
    nn.init.uniform_(layer.weight, -bound / 10, bound / 10)
    return layer
