"""A network of one coil on the data of several.

A ``ComplexCascade`` learnt on one coil that sees everywhere alike. Its convolutions take an image,
and do not ask who measured it: each stage here is the stage's convolutions, then the consistency of
several coils in place of that of one. Nothing is trained for this, so what it gains is to be
measured, and beside it what the coils determine without a network (``coils.sense``).
"""

import torch
from torch import Tensor, nn

from sftkd_core.consistency import Measurement
from sftkd_core.consistency.coils import CoilMeasurement, coil_consistency
from sftkd_core.models.cascade import ComplexCascade
from sftkd_core.system import Float, InputError


class OfCoils(nn.Module):
    """A complex cascade for the measurements of several coils.

    model  a ``ComplexCascade``
    steps  of ``coil_consistency`` after each stage

    Raises ``InputError`` for another network.
    """

    def __init__(self, model: nn.Module, steps: int = 3):
        super().__init__()
        if not isinstance(model, ComplexCascade):
            raise InputError(
                f"{type(model).__name__} cannot take the complex image of several coils; choose a "
                "complex network, such as phase-student"
            )
        self.model, self.steps = model, steps

    def forward(self, measurement: CoilMeasurement) -> Float[Tensor, "b 1 h w"]:
        """The magnitude image; the combined image should have values up to about 1."""
        nothing = _nothing_measured(measurement)
        state = _parts(measurement.combined)
        for stage in self.model.stages:
            state = stage(state, nothing)
            image = torch.complex(state[:, :1], state[:, 1:])
            state = _parts(coil_consistency(image, measurement, self.steps))
        return self.model.head(state, nothing)


def _parts(image: Tensor) -> Tensor:
    """(b, 1, h, w) complex -> (b, 2, h, w) real."""
    return torch.cat([image.real, image.imag], dim=1)


def _nothing_measured(measurement: CoilMeasurement) -> Measurement:
    """A measurement of no line, which leaves a stage's image as the convolutions made it."""
    kspace = torch.zeros_like(measurement.combined)
    mask = torch.zeros_like(measurement.mask)
    return Measurement(kspace, mask, kspace.abs(), kspace.real, None)
