"""Flow of the solution procedure (FSP): how one layer leads to another. Yim et al. (2017)."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from sftkd_core.distillation.method import Method
from sftkd_core.distillation.products import channel_products, precise
from sftkd_core.system import Float, InputError


def flow_matrix(
    first: Float[Tensor, "b c1 _ _"], second: Float[Tensor, "b c2 _ _"]
) -> Float[Tensor, "b c1 c2"]:
    """``G_ij``, the mean over pixels of ``first_i * second_j``: equation (1).

    first (b, c1, h, w), second (b, c2, h, w). Returns (b, c1, c2). One matrix product, so that
    memory grows with the features and not with c1 * c2 * h * w.
    """
    if first.shape[2:] != second.shape[2:]:
        raise InputError(
            f"layers of {tuple(first.shape[2:])} and {tuple(second.shape[2:])} pixels have no flow "
            "in common; tap two layers of one size"
        )
    pixels = first.shape[2] * first.shape[3]
    return channel_products(first, second) / pixels


def flow_distance(
    student_flow: Float[Tensor, "b c1 c2"], teacher_flow: Float[Tensor, "b c1 c2"]
) -> Float[Tensor, ""]:
    """Mean squared difference of flow matrices (b, c1, c2): equation (2), as a mean."""
    return (student_flow - teacher_flow).square().mean()


def channel_adapter(student_channels: int, teacher_channels: int) -> nn.Module | None:
    """A learnt 1 x 1 convolution where channel counts differ (the paper has them equal)."""
    if student_channels == teacher_channels:
        return None
    return nn.Conv2d(student_channels, teacher_channels, kernel_size=1, bias=False)


def released_flow(
    first: Float[Tensor, "b c1 _ _"], second: Float[Tensor, "b c2 _ _"]
) -> Float[Tensor, "b c1 c2"]:
    """The released code's flow: of *squared* one-channel images of two stages, (b, 1, 1)."""
    return flow_matrix(torch.square(precise(first)), torch.square(precise(second)))


_ROW = Method(
    taps="flow",
    summary=flow_matrix,
    distance=flow_distance,
    why="The first and the last hidden layer of every stage: what a stage does in between is the "
    "flow.",
    spatial=False,
    channels=True,
    student_part=channel_adapter,
)
ROWS = {
    "cited": _ROW,
    "released": replace(
        _ROW,
        taps="image flow",
        summary=released_flow,
        mean=True,
        student_part=None,
        why="As released: squared one-channel outputs of neighbouring stages, the last left out; "
        "each flow is a single number.",
    ),
}
