"""What a network costs: parameters, and multiply-adds a slice."""

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sftkd_core.consistency import measure


def parameter_count(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@torch.no_grad()
def multiply_adds(model: nn.Module, height: int, width: int) -> int:
    """Multiply-adds of reconstructing one slice of ``height`` x ``width`` pixels.

    Counted are convolutions, linear layers and matrix products, so also data consistency in its
    matrix forms. Not counted: Fourier transforms, additions, activations, normalisation.
    """
    device = next(model.parameters()).device
    blank = torch.zeros(1, 1, height, width, device=device)
    measurement = measure(blank, np.ones(height, dtype=bool))
    with FlopCounterMode(display=False) as counter:
        model(measurement)
    return counter.get_total_flops() // 2  # the library counts a multiplication and an addition
