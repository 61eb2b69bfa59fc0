"""Losses are computed in at least float32, whatever precision the networks run in."""

import torch
from torch import Tensor


def precise(features: Tensor) -> Tensor:
    """Half-precision features as float32; others as they are."""
    return features.to(torch.promote_types(features.dtype, torch.float32))


def full_precision(tensor: Tensor):
    """A context without autocast on the tensor's device."""
    return torch.autocast(tensor.device.type, enabled=False)
