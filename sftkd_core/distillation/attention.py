"""Attention transfer (AT): where a layer is active. Zagoruyko and Komodakis (2017)."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from sftkd_core.distillation.method import Method
from sftkd_core.distillation.products import sum_of_squares
from sftkd_core.system import Float


def attention_map(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h*w"]:
    """Where a layer is active: the sum over channels of squared features, of unit length.

    features (b, c, h, w), any float dtype. Returns (b, h * w), at least float32, each row of L2
    norm 1 (0 where a sample's features are all zero): F_sum^2 of the paper.
    """
    return normalize(activity(features), dim=1)


def activity(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h*w"]:
    """The sum over channels of squared features: (b, c, h, w) -> (b, h * w), at least float32."""
    return sum_of_squares(features).flatten(1)


def attention_distance(
    student_map: Float[Tensor, "b hw"], teacher_map: Float[Tensor, "b hw"]
) -> Float[Tensor, ""]:
    """``||Q_S/||Q_S|| - Q_T/||Q_T||||_2`` per sample, mean over the batch; maps (b, h * w)."""
    return torch.linalg.vector_norm(student_map - teacher_map, dim=1).mean()


def released_distance(
    student_activity: Float[Tensor, "b hw"], teacher_activity: Float[Tensor, "b hw"]
) -> Float[Tensor, ""]:
    """The released code's distance of activities (b, h * w): L1, normalised *across the batch*.

    Pixel by pixel, the b activities of a batch are scaled to unit length; what is compared is
    which slice of the batch is the most active there. With one slice it is 0 whatever happens.
    """
    pair = (normalize(x, dim=0) for x in (student_activity, teacher_activity))
    return torch.nn.functional.l1_loss(*pair)  # type: ignore[arg-type]


ROWS = {
    "cited": Method(
        taps="hidden",
        summary=attention_map,
        distance=attention_distance,
        why="The middle of every stage, before its ReLU: there both networks have gone the same "
        "share of the way, and a map does not mind how many channels there are.",
    ),
    "released": Method(
        taps="active hidden",
        summary=activity,
        distance=released_distance,
        mean=True,
        smallest=2,
        why="As released: the same layers after their ReLU, normalised across the batch, L1, mean "
        "over stages.",
    ),
}
