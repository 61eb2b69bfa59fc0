"""Correlation congruence (CC): how slices correlate under a kernel. Peng et al. (2019)."""

from math import exp, factorial

from torch import Tensor

from sftkd_core.distillation.method import Method
from sftkd_core.distillation.products import precise, slice_products
from sftkd_core.system import Float

GAMMA, ORDER = 0.4, 2
TINY = 1e-24  # squared length of features that are taken for zero


def cosines(
    rows: Float[Tensor, "m c h w"], columns: Float[Tensor, "n c h w"]
) -> Float[Tensor, "m n"]:
    """Cosines between the features of slices: (m, c, h, w), (n, c, h, w) -> (m, n)."""
    products = slice_products(rows, columns)
    if rows is columns:
        lengths = products.diagonal().clamp(min=TINY).sqrt()
        return products / (lengths[:, None] * lengths)
    lengths = (slice_products(x, x).diagonal().clamp(min=TINY).sqrt() for x in (rows, columns))  # type: ignore[assignment]
    row_lengths, column_lengths = lengths
    return products / (row_lengths[:, None] * column_lengths)


def rbf_correlation(cosine: Float[Tensor, "m n"]) -> Float[Tensor, "m n"]:
    """A Gaussian kernel of unit vectors from their cosines, as a Taylor series.

    ``exp(-gamma |u - v|^2) = exp(-2 gamma) * sum_p (2 gamma)^p / p! (u.v)^p``, here up to p = 2.
    """
    terms = ((2 * GAMMA) ** p / factorial(p) * cosine**p for p in range(ORDER + 1))
    return exp(-2 * GAMMA) * sum(terms)  # type: ignore[return-value]


def correlation_distance(
    student_cosines: Float[Tensor, "b b"], teacher_cosines: Float[Tensor, "b b"]
) -> Float[Tensor, ""]:
    """``1/b^2 ||C_S - C_T||_2^2`` of the kernel's correlations; cosines (b, b)."""
    difference = rbf_correlation(student_cosines) - rbf_correlation(teacher_cosines)
    return difference.square().sum() / len(difference) ** 2


def image(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """The features in full precision, (b, c, h, w): the released code taps one-channel images."""
    return precise(features)


def released_distance(
    student: Float[Tensor, "b c h w"], teacher: Float[Tensor, "b c h w"]
) -> Float[Tensor, ""]:
    """The released code's form, from a common library; not the paper's. (b, c, h, w) each.

    ``D_i D_{i+1}`` with ``D = |student - teacher|``, summed over channels, mean over pixels and
    neighbours in the batch: it asks that neighbours do not err at the same pixels.
    """
    difference = (student - teacher).abs()
    return (difference[:-1] * difference[1:]).sum(1).mean()


ROWS = {
    "cited": Method(
        taps="last hidden",
        summary=cosines,
        distance=correlation_distance,
        why="The last stage only: the publication correlates embeddings, at the end of a network.",
        relational=True,
        spatial=False,
        smallest=2,
    ),
    "released": Method(
        taps="images",
        summary=image,
        distance=released_distance,
        channels=True,
        mean=True,
        smallest=2,
        why="As released: products of neighbouring slices' differences in the one-channel output "
        "of every stage.",
    ),
}
