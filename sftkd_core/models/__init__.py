"""Staged networks: teachers and students."""

import torch
from torch import nn

from sftkd_core.errors import InputError
from sftkd_core.models.cascade import Cascade, CascadeStage
from sftkd_core.models.staged import Staged

__all__ = ["NAMES", "Cascade", "CascadeStage", "Staged", "build", "check_name", "parameter_count"]

_RECIPES = {
    "D5C5": lambda: Cascade(convolutions=5),
    "D4C5": lambda: Cascade(convolutions=4),
    "D3C5": lambda: Cascade(convolutions=3),
    "D2C5": lambda: Cascade(convolutions=2),
}
NAMES = tuple(_RECIPES)


def build(name: str, seed: int | None = None) -> Staged:
    """A new network by name, in training mode, on the CPU, float32.

    ``seed`` fixes the initial weights without touching torch's global random state.
    Raises ``InputError`` for an unknown name.
    """
    check_name(name)
    if seed is None:
        return _RECIPES[name]()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _RECIPES[name]()


def check_name(name: str) -> None:
    """Raise ``InputError`` unless ``build`` knows the name."""
    if name not in _RECIPES:
        raise InputError(f"unknown model {name!r}; choose one of {', '.join(NAMES)}")


def parameter_count(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
