"""VDSR: a plain deep network that adds detail to a low-resolution image.

Kim, Lee and Lee, "Accurate image super-resolution using very deep convolutional networks" (CVPR
2016), ``x + f(x)``. With 64 channels 12 / 11 / 7 / 4 convolutions have 370,497 / 333,569 / 185,857
/ 75,073 parameters; SFT-KD-Recon distils 12 into 4 (Appendix B), KD-MRI 11 into 7.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import relu

from sftkd_core.consistency import Measurement
from sftkd_core.models.staged import Staged
from sftkd_core.system import Float, InputError


class FeatureStage(nn.Module):
    """A run of 3x3 convolutions of these widths, a ReLU before each.

    ``first``: the stage takes an image, so no ReLU before its first convolution.
    """

    def __init__(self, widths: list[int], first: bool):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel_size=3, padding=1) for before, after in pairwise(widths)
        )
        self.first = first

    def forward(
        self,
        state: Float[Tensor, "*branches b c h w"],
        measurement: Measurement,
        keep: list[Tensor] | None = None,
    ) -> Float[Tensor, "*branches b _ h w"]:
        """``(..., b, c, h, w) -> (..., b, c', h, w)``, before the ReLU; ``keep`` as everywhere."""
        hidden = state.flatten(0, -4)  # branches join the batch
        for index, convolution in enumerate(self.convolutions):
            hidden = convolution(hidden if self.first and not index else relu(hidden))
            if keep is not None:
                keep.append(hidden)
        return hidden.reshape(*state.shape[:-3], *hidden.shape[-3:])


class VDSR(Staged):
    """``convolutions`` 3x3 convolutions, 1 -> channels -> ... -> 1, split into ``stages``.

    As evenly as can be, the later stages taking what is left over: 12 in 3 stages are 4 each, 4
    are 1, 1, 2, and 11 in 5 stages are 2, 2, 2, 2, 3. The first convolution belongs to the first
    stage, the last to the last; the head adds the zero-filled image. So a student-friendly branch
    runs through every convolution of the student behind its stage, the last one included; and
    with fewer stages than convolutions, each has a layer of ``channels`` features to distil.
    """

    def __init__(self, convolutions: int, stages: int = 5, channels: int = 64):
        super().__init__()
        if not 1 <= stages <= convolutions or convolutions < 2 or channels < 1:
            raise InputError(
                f"a VDSR of {convolutions} convolutions of {channels} channels in {stages} stages "
                "cannot be built; use at least 2 convolutions, and at least 1 in each stage"
            )
        self.state_channels = channels
        widths = [1, *[channels] * (convolutions - 1), 1]
        each, left_over = divmod(convolutions, stages)
        starts = [each * k + max(0, k - stages + left_over) for k in range(stages + 1)]
        self.stages = nn.ModuleList(
            FeatureStage(widths[start : end + 1], first=start == 0)
            for start, end in pairwise(starts)
        )

    def head(
        self, state: Float[Tensor, "*branches b 1 h w"], measurement: Measurement
    ) -> Float[Tensor, "*branches b 1 h w"]:
        """``x + f(x)``: (..., b, 1, h, w)."""
        return measurement.zero_filled + state
