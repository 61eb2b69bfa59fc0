"""Networks: teachers and students in stages, and what the paper compares them with."""

from functools import lru_cache
from math import inf

import torch

from sftkd_core.models.cascade import Cascade, CascadeStage, ComplexCascade, PaddedCascade
from sftkd_core.models.cost import multiply_adds, parameter_count
from sftkd_core.models.dagan import DAGAN
from sftkd_core.models.mac import MACReconNet
from sftkd_core.models.own import OwnCascade
from sftkd_core.models.rdn import DCRDN
from sftkd_core.models.residual import ResidualCNN
from sftkd_core.models.staged import Staged
from sftkd_core.models.unet import DCUNet, UNet
from sftkd_core.models.vdsr import VDSR
from sftkd_core.system import InputError

__all__ = [
    "DAGAN", "DCRDN", "NAMES", "VDSR", "Cascade", "CascadeStage", "ComplexCascade", "DCUNet",
    "MACReconNet", "OwnCascade", "PaddedCascade", "ResidualCNN", "Staged", "UNet", "build",
    "check_name", "definitions", "multiply_adds", "parameter_count", "structure",
]  # fmt: skip

_RECIPES = {
    "D7C5": lambda: Cascade(convolutions=7),  # a teacher larger than the paper's
    "D5C5": lambda: Cascade(convolutions=5),
    "D4C5": lambda: Cascade(convolutions=4),
    "D3C5": lambda: Cascade(convolutions=3),
    "D2C5": lambda: Cascade(convolutions=2),
    "D5C1": lambda: Cascade(convolutions=5, cascades=1),  # how many stages are enough?
    "D5C2": lambda: Cascade(convolutions=5, cascades=2),
    "D5C3": lambda: Cascade(convolutions=5, cascades=3),
    "D5C8": lambda: Cascade(convolutions=5, cascades=8),
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

    >>> teacher, student = build("D5C5"), build("D3C5")
    >>> parameter_count(teacher), parameter_count(student)
    (141765, 49285)
    >>> len(teacher.stages), len(student.stages)
    (5, 5)
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
    """A network's layers in words, for the seal of its results; our own classes have no name in it.

    With the data consistency of each stage that has another than the usual one: no layer shows it.
    """
    network = build(name, 0)
    text = str(network)
    for own in definitions(name):
        if own.__module__.startswith(f"{__name__.partition('.')[0]}."):
            text = text.replace(f"{own.__name__}(", "(")
    stages = {where: part for where, part in network.named_modules() if hasattr(part, "lam")}
    found = {where: (part.lam, getattr(part, "form", None)) for where, part in stages.items()}
    unusual = {where: one for where, one in found.items() if one != (inf, None)}
    return f"{text} {unusual}" if unusual else text


@lru_cache(maxsize=32)
def definitions(name: str) -> tuple[type, ...]:
    """The classes that a network is made of, from which a seal of its results starts."""
    return tuple({type(part): None for part in build(name, 0).modules()})
