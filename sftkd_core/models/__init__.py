"""Networks: teachers and students in stages, and what the paper compares them with."""

from functools import lru_cache
from math import inf

import torch

from sftkd_core.errors import InputError
from sftkd_core.models.cascade import Cascade, CascadeStage
from sftkd_core.models.complex_cascade import ComplexCascade
from sftkd_core.models.cost import multiply_adds, parameter_count
from sftkd_core.models.dagan import DAGAN
from sftkd_core.models.mac import MACReconNet
from sftkd_core.models.padded import PaddedCascade
from sftkd_core.models.rdn import DCRDN
from sftkd_core.models.residual import ResidualCNN
from sftkd_core.models.staged import Staged
from sftkd_core.models.unet import DCUNet, UNet
from sftkd_core.models.vdsr import VDSR

__all__ = [
    "DAGAN", "DCRDN", "NAMES", "VDSR", "Cascade", "CascadeStage", "ComplexCascade", "DCUNet",
    "MACReconNet", "PaddedCascade", "ResidualCNN", "Staged", "UNet", "build", "check_name",
    "multiply_adds", "parameter_count", "source_files", "structure",
]  # fmt: skip

_RECIPES = {
    "D5C5": lambda: Cascade(convolutions=5),
    "D4C5": lambda: Cascade(convolutions=4),
    "D3C5": lambda: Cascade(convolutions=3),
    "D2C5": lambda: Cascade(convolutions=2),
    "D3C5-padded": lambda: PaddedCascade(convolutions=3),
    "D3C5-hermitian": lambda: Cascade(convolutions=3, form="hermitian"),
    "D3C5-free": lambda: Cascade(convolutions=3, lam=0.0),  # without data consistency
    "D5C5-complex": lambda: ComplexCascade(convolutions=5),
    "D3C5-complex": lambda: ComplexCascade(convolutions=3),
    "DC-UNet": DCUNet,
    "DC-UNet-3": lambda: DCUNet(cascades=3),
    "DC-UNet-tiny": lambda: DCUNet(channels=8, pools=2),  # for two processor cores
    "DC-RDN": DCRDN,
    "MAC-ReconNet": MACReconNet,
    "DAGAN": DAGAN,
    "DAGAN-narrow": lambda: DAGAN(channels=8),  # for two processor cores, as the other narrow ones
    "UNet": UNet,
    "UNet-3-pools": lambda: UNet(pools=3),
    "UNet-2-pools": lambda: UNet(pools=2),
    "VDSR-12": lambda: VDSR(convolutions=12, stages=3),
    "VDSR-11": lambda: VDSR(convolutions=11),
    "VDSR-7": lambda: VDSR(convolutions=7),
    "VDSR-4": lambda: VDSR(convolutions=4, stages=3),
    "VDSR-12-narrow": lambda: VDSR(convolutions=12, stages=3, channels=32),
    "VDSR-4-narrow": lambda: VDSR(convolutions=4, stages=3, channels=32),
    "ResCNN-25": lambda: ResidualCNN(convolutions=25),
    "ResCNN-15": lambda: ResidualCNN(convolutions=15),
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
        torch.default_generator.manual_seed(seed)
        return _RECIPES[name]()


def check_name(name: str) -> None:
    """Raise ``InputError`` unless ``build`` knows the name."""
    if name not in _RECIPES:
        raise InputError(f"unknown model {name!r}; choose one of {', '.join(NAMES)}")


@lru_cache(maxsize=32)
def structure(name: str) -> str:
    """A network's layers in words, for the fingerprint of its results.

    With the data consistency of each stage that has another than the usual one: no layer shows it.
    """
    network = build(name, 0)
    stages = {where: part for where, part in network.named_modules() if hasattr(part, "lam")}
    found = {where: (part.lam, getattr(part, "form", None)) for where, part in stages.items()}
    unusual = {where: one for where, one in found.items() if one != (inf, None)}
    return f"{network} {unusual}" if unusual else str(network)


@lru_cache(maxsize=32)
def source_files(name: str) -> frozenset[str]:
    """The files of this package that define a network, for the fingerprint of its results."""
    package = __name__.partition(".")[0]
    network = build(name, 0)
    modules = {base.__module__ for part in network.modules() for base in type(part).__mro__}
    modules.add(f"{package}.models.thin")
    own = {name.split(".", 1)[1] for name in modules if name.startswith(f"{package}.")}
    return frozenset(f"{name.replace('.', '/')}.py" for name in own)
