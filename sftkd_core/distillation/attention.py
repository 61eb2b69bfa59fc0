"""Attention transfer (AT): where a layer is active. Zagoruyko and Komodakis (2017)."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def attention_map(features: Tensor) -> Tensor:
    """Where a layer is active: the sum over channels of squared features, of unit length.

    features (b, c, h, w), any float dtype. Returns (b, h * w), at least float32, each row of L2
    norm 1 (0 where a sample's features are all zero): F_sum^2 of the paper.
    """
    return normalize(activity(features), dim=1)


def activity(features: Tensor) -> Tensor:
    """The sum over channels of squared features: (b, c, h, w) -> (b, h * w), at least float32."""
    return _SumOfSquares.apply(features).flatten(1)


def attention_distance(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    """``||Q_S/||Q_S|| - Q_T/||Q_T||||_2`` per sample, mean over the batch; maps (b, h * w)."""
    return torch.linalg.vector_norm(student_map - teacher_map, dim=1).mean()


def released_distance(student_activity: Tensor, teacher_activity: Tensor) -> Tensor:
    """The released code's distance of activities (b, h * w): L1, normalised *across the batch*.

    Pixel by pixel, the b activities of a batch are scaled to unit length; what is compared is
    which slice of the batch is the most active there. With one slice it is 0 whatever happens.
    """
    pair = (normalize(x, dim=0) for x in (student_activity, teacher_activity))
    return torch.nn.functional.l1_loss(*pair)


class _SumOfSquares(torch.autograd.Function):
    """``(b, c, h, w) -> (b, h, w)``, the sum over channels of squares, accumulated in float32.

    Written out because it is bound by memory: one pass over half-precision features each way,
    where ``features.float().square().sum(1)`` takes six, most of them in float32. Slice by slice,
    so that what is converted to float32 stays small.
    """

    @staticmethod
    def forward(context, features: Tensor) -> Tensor:
        context.save_for_backward(features)
        precise = torch.promote_types(features.dtype, torch.float32)
        parts = [torch.linalg.vector_norm(x, dim=0, dtype=precise) for x in features]
        return torch.stack(parts).square_()

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        (features,) = context.saved_tensors
        return features * (2 * gradient).to(features.dtype).unsqueeze(1)
