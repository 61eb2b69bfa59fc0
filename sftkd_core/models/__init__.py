"""Staged networks: teachers and students."""

from functools import lru_cache

import torch
from torch import nn

from sftkd_core.errors import InputError
from sftkd_core.models.cascade import Cascade, CascadeStage
from sftkd_core.models.staged import Staged

__all__ = [
    "NAMES",
    "Cascade",
    "CascadeStage",
    "Staged",
    "build",
    "check_name",
    "parameter_count",
    "source_files",
    "structure",
]

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


@lru_cache(maxsize=32)
def structure(name: str) -> str:
    """A network's layers in words, for the fingerprint of its results."""
    return str(build(name, 0))


@lru_cache(maxsize=32)
def source_files(name: str) -> frozenset[str]:
    """The files of this package that define a network, for the fingerprint of its results."""
    package = __name__.partition(".")[0]
    network = build(name, 0)
    modules = {type(module).__module__ for module in network.modules()}
    modules |= {base.__module__ for base in type(network).__mro__}
    modules.add(f"{package}.models.thin")
    own = {name.split(".", 1)[1] for name in modules if name.startswith(f"{package}.")}
    return frozenset(f"{name.replace('.', '/')}.py" for name in own)


def parameter_count(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
