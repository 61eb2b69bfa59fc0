"""Probabilistic knowledge transfer (PKT): neighbourhoods as probabilities.

Passalis and Tefas (2018), with the cosine kernel.
"""

import torch
from torch import Tensor

from sftkd_core.distillation.correlation import cosines
from sftkd_core.distillation.method import Method
from sftkd_core.system import Float


def neighbour_probabilities(cosine: Float[Tensor, "b b"]) -> Float[Tensor, "b b-1"]:
    """``p(j | i)`` of the other slices of a batch: (b, b) cosines -> (b, b - 1), rows sum to 1.

    The kernel is ``(cos + 1) / 2``; a slice is no neighbour of its own.
    """
    count = len(cosine)
    others = ~torch.eye(count, dtype=torch.bool, device=cosine.device)
    kernel = ((cosine + 1) / 2)[others].view(count, count - 1)
    # opposite features have kernel 0: the smallest normal number keeps the logarithm finite
    kernel = kernel.clamp(min=torch.finfo(kernel.dtype).tiny)
    return kernel / kernel.sum(1, keepdim=True)


def divergence(
    student_cosines: Float[Tensor, "b b"], teacher_cosines: Float[Tensor, "b b"]
) -> Float[Tensor, ""]:
    """Kullback-Leibler divergence from the teacher's probabilities to the student's, (b, b) each.

    Summed over slices and their neighbours. With two slices there is one neighbour, whose
    probability is 1 in both networks, so that the divergence is 0.
    """
    student = neighbour_probabilities(student_cosines)
    teacher = neighbour_probabilities(teacher_cosines)
    return (teacher * (teacher.log() - student.log())).sum()


ROWS = {
    "cited": Method(
        taps="last hidden",
        summary=cosines,
        distance=divergence,
        why="The last stage only: the publication compares representations at the end of a "
        "network.",
        relational=True,
        spatial=False,
        smallest=3,
    ),
}
