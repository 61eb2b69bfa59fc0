"""Neuron selectivity transfer (NST): channels as samples. Huang and Wang (2017)."""

from torch import Tensor
from torch.nn.functional import normalize

from sftkd_core.distillation.precision import precise


def selectivity(features: Tensor) -> Tensor:
    """Each channel's map, of unit length: (b, c, h, w) -> (b, c, h * w)."""
    return normalize(precise(features).flatten(2), dim=2)


def maximum_mean_discrepancy(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared MMD between two sets of maps, (b, c, h * w), with the kernel ``(x . y)^2``.

    Equation (5) with the polynomial kernel of degree 2 and c = 0 (Section 4.2.2); mean over the
    batch. Matrix products of maps, so that memory grows with the features.
    """

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.transpose(1, 2)).square().mean()

    return kernel(teacher, teacher) + kernel(student, student) - 2 * kernel(student, teacher)
