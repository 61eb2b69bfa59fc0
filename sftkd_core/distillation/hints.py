"""FitNets: a hint from the middle of the teacher. Romero et al. (2015), equation (3)."""

import torch
from torch import Tensor, nn

from sftkd_core.distillation.attention import activity, released_distance
from sftkd_core.distillation.method import Method
from sftkd_core.system import Float


def regressor(student_channels: int, teacher_channels: int) -> nn.Module:
    """The paper's regressor: a learnt convolution from the student's channels to the teacher's.

    1 x 1, since both feature maps have the same size here; it learns beside the student and is
    dropped afterwards.
    """
    return nn.Conv2d(student_channels, teacher_channels, kernel_size=1)


def hint(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """The features themselves, (b, c, h, w)."""
    return features


def hint_distance(
    guided: Float[Tensor, "b c h w"], hints: Float[Tensor, "b c h w"]
) -> Float[Tensor, ""]:
    """``1/2 ||hint - regressor(guided)||_2^2`` per sample, mean over the batch; (b, c, h, w)."""
    dtype = torch.promote_types(guided.dtype, hints.dtype)
    return activity(guided.to(dtype) - hints.to(dtype)).sum(1).mean() / 2


ROWS = {
    "cited": Method(
        taps="central hidden",
        summary=hint,
        distance=hint_distance,
        why="One hint from the middle of the whole network, as the publication has it: earlier it "
        "would say little, later it would leave the student no freedom.",
        channels=True,
        student_part=regressor,
    ),
    "released": Method(
        taps="central image",
        summary=activity,
        distance=released_distance,
        smallest=2,
        why="As released: attention transfer on the one-channel output of the middle stage.",
    ),
}
