"""Similarity-preserving distillation (SP): which slices look alike. Tung and Mori (2019)."""

from dataclasses import replace

from torch import Tensor
from torch.nn.functional import normalize

from sftkd_core.distillation.method import Method
from sftkd_core.distillation.products import slice_products
from sftkd_core.system import Float


def gram(rows: Float[Tensor, "m c h w"], columns: Float[Tensor, "n c h w"]) -> Float[Tensor, "m n"]:
    """Inner products of the features of slices: (m, c, h, w), (n, c, h, w) -> (m, n)."""
    return slice_products(rows, columns)


def similarity_distance(
    student_gram: Float[Tensor, "b b"], teacher_gram: Float[Tensor, "b b"]
) -> Float[Tensor, ""]:
    """``1/b^2 ||G_S - G_T||_F^2`` with rows scaled to unit length; both (b, b)."""
    difference = normalize(student_gram, dim=1) - normalize(teacher_gram, dim=1)
    return difference.square().sum() / len(difference) ** 2


_ROW = Method(
    taps="hidden",
    summary=gram,
    distance=similarity_distance,
    why="The middle of every stage; the publication sums over the ends of a network's blocks.",
    relational=True,
    spatial=False,
    smallest=2,
)
ROWS = {
    "cited": _ROW,
    "released": replace(
        _ROW,
        taps="early images",
        mean=True,
        why="As released: the one-channel outputs of all stages but the last, mean over them.",
    ),
}
