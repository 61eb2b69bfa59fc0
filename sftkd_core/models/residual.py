"""The residual network of the original student-friendly training, without data consistency.

Park et al., "Learning student-friendly teacher networks" (NeurIPS 2021) train residual networks
that classify. SFT-KD-Recon (its Tables 2 and 4) compares with "only residual layers and no
intermediate image outputs", 25 convolutions for the teacher and 15 for the student, as many as
D5C5 and D3C5. It says no more; 32 channels and five stages follow DC-CNN here.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import relu

from sftkd_core.consistency import Measurement
from sftkd_core.models.staged import Staged
from sftkd_core.system import Float, InputError


class ResidualStage(nn.Module):
    """``state + f(state)``: f is ReLU and 3x3 convolution in turn, widths[1] -> widths[1].

    Where ``widths`` starts with another number (the first stage), a convolution before the sum
    lifts the image to features; where it ends with another (the last), one after the sum makes
    the image.
    """

    def __init__(self, widths: list[int]):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel_size=3, padding=1) for before, after in pairwise(widths)
        )
        self.lifts, self.projects = widths[0] != widths[1], widths[-1] != widths[-2]

    def forward(
        self,
        state: Float[Tensor, "*branches b c h w"],
        measurement: Measurement,
        keep: list[Tensor] | None = None,
    ) -> Float[Tensor, "*branches b _ h w"]:
        """``(..., b, c, h, w) -> (..., b, c', h, w)``; ``keep`` collects convolution outputs."""
        outputs = [] if keep is None else keep
        hidden = state.flatten(0, -4)  # branches join the batch
        inner = list(self.convolutions)
        if self.lifts:
            hidden = inner.pop(0)(hidden)
            outputs.append(hidden)
        last = inner.pop() if self.projects else None
        change = hidden
        for convolution in inner:
            change = convolution(relu(change))
            outputs.append(change)
        hidden = hidden + change
        if last is not None:
            hidden = last(relu(hidden))
            outputs.append(hidden)
        return hidden.reshape(*state.shape[:-3], *hidden.shape[-3:])


class ResidualCNN(Staged):
    """``stages`` residual stages of ``convolutions / stages`` convolutions each.

    From the zero-filled image to an image; between stages, features of ``channels`` channels.
    25 and 15 convolutions have 213,313 and 120,833 parameters.
    """

    def __init__(self, convolutions: int, stages: int = 5, channels: int = 32):
        super().__init__()
        each = convolutions // max(stages, 1)
        if stages < 2 or each < 2 or each * stages != convolutions or channels < 2:
            raise InputError(
                f"a residual network of {convolutions} convolutions of {channels} channels in "
                f"{stages} stages cannot be built; use at least 2 stages of at least 2 "
                "convolutions, equally many in each, and 2 channels"
            )
        self.state_channels = channels
        inner = [channels] * each
        self.stages = nn.ModuleList(
            [
                ResidualStage([1, *inner]),
                *(ResidualStage([channels, *inner]) for _ in range(stages - 2)),
                ResidualStage([*inner, 1]),
            ]
        )

    def head(
        self, state: Float[Tensor, "*branches b 1 h w"], measurement: Measurement
    ) -> Float[Tensor, "*branches b 1 h w"]:
        """The image, in the measurement's precision whatever the stage's: (..., b, 1, h, w)."""
        return state.to(measurement.zero_filled.dtype)
