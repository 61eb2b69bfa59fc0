"""FitNets: a hint from the middle of the teacher. Romero et al. (2015), equation (3)."""

import torch
from torch import Tensor, nn

from sftkd_core.distillation.attention import activity


def regressor(student_channels: int, teacher_channels: int) -> nn.Module:
    """The paper's regressor: a learnt convolution from the student's channels to the teacher's.

    1 x 1, since both feature maps have the same size here; it learns beside the student and is
    dropped afterwards.
    """
    return nn.Conv2d(student_channels, teacher_channels, kernel_size=1)


def hint(features: Tensor) -> Tensor:
    """The features themselves, (b, c, h, w)."""
    return features


def hint_distance(guided: Tensor, hints: Tensor) -> Tensor:
    """``1/2 ||hint - regressor(guided)||_2^2`` per sample, mean over the batch; (b, c, h, w)."""
    dtype = torch.promote_types(guided.dtype, hints.dtype)
    return activity(guided.to(dtype) - hints.to(dtype)).sum(1).mean() / 2
