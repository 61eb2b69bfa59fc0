"""Similarity-preserving distillation (SP): which slices look alike. Tung and Mori (2019)."""

from torch import Tensor
from torch.nn.functional import normalize

from sftkd_core.distillation.precision import precise


def gram(rows: Tensor, columns: Tensor) -> Tensor:
    """Inner products of the flattened features of slices: (m, ...), (n, ...) -> (m, n)."""
    return precise(rows).flatten(1) @ precise(columns).flatten(1).T


def similarity_distance(student_gram: Tensor, teacher_gram: Tensor) -> Tensor:
    """``1/b^2 ||G_S - G_T||_F^2`` with rows scaled to unit length; both (b, b). Equation (4)."""
    difference = normalize(student_gram, dim=1) - normalize(teacher_gram, dim=1)
    return difference.square().sum() / len(difference) ** 2
