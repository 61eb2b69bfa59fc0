"""Neuron selectivity transfer (NST): channels as samples. Huang and Wang (2017)."""

from torch import Tensor

from sftkd_core.distillation.method import Method
from sftkd_core.distillation.products import channel_products
from sftkd_core.system import Float

TINY = 1e-24  # squared length of a channel that is taken for zero


def channels(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """The features themselves, (b, c, h, w): their lengths follow from the products below."""
    return features


def maximum_mean_discrepancy(
    student: Float[Tensor, "b c1 h w"], teacher: Float[Tensor, "b c2 h w"]
) -> Float[Tensor, ""]:
    """Squared MMD between two sets of unit maps, one a channel, with the kernel ``(x . y)^2``.

    Features (b, c, h, w), equal b, h, w. The publication's polynomial kernel of degree 2 with
    c = 0; mean over the batch. All inner products of maps come from matrix
    products of features, so that memory grows with the features and not with c * c * h * w.
    """
    own, theirs = channel_products(student, student), channel_products(teacher, teacher)
    lengths, their_lengths = _lengths(own), _lengths(theirs)
    between = channel_products(student, teacher)

    def kernel(products: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        return (products / (rows[:, :, None] * columns[:, None])).square().mean()

    return (
        kernel(theirs, their_lengths, their_lengths)
        + kernel(own, lengths, lengths)
        - 2 * kernel(between, lengths, their_lengths)
    )


def _lengths(products: Tensor) -> Tensor:
    return products.diagonal(dim1=1, dim2=2).clamp(min=TINY).sqrt()


ROWS = {
    "cited": Method(
        taps="hidden",
        summary=channels,
        distance=maximum_mean_discrepancy,
        why="The middle of every stage, as for attention transfer, whose cousin it is.",
    ),
}
