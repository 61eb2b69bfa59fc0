"""What a student is asked to share with its teacher besides the image.

Each method is a file: its pure functions, and beside them its rows of taps and defaults, "cited" as
the publication has it that is cited for it, and "released" where the published SFT-KD-Recon scripts
depart from that. (The SFT-KD-Recon paper itself gives no formula of any of them.)
To add a method, write such a file and name it in ``METHODS``. A network that is not ours takes part
behind ``tap_modules``, and ``Pair`` is a student beside its teacher in a training loop of your own.

``LOSSES`` holds each method's loss by name, of layers ``(b, c, h, w)`` of both networks. Attention
transfer minds where a layer is active, not how many channels it has, nor how strong they are:

>>> student, teacher = torch.rand(2, 8, 6, 6), torch.rand(2, 16, 6, 6)
>>> LOSSES["at"](student, teacher).item() > 0
True
>>> LOSSES["at"](3 * teacher, teacher).item() < 1e-6
True
>>> ", ".join(METHODS)
'at, fitnets, sp, fsp, cc, pkt, ft, nst, output, stages'
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from sftkd_core.distillation import (
    attention,
    correlation,
    factors,
    flow,
    hints,
    images,
    probabilities,
    selectivity,
    similarity,
)
from sftkd_core.distillation.attention import attention_distance, attention_map
from sftkd_core.distillation.method import CONSISTENT, SHARE, TAPS, Method, tap
from sftkd_core.distillation.modules import Tapped, tap_modules
from sftkd_core.distillation.pair import Pair
from sftkd_core.distillation.teacher import Distiller, Memory, parts, probe, remember
from sftkd_core.system import InputError

__all__ = [
    "CONSISTENT", "LOSSES", "METHODS", "SHARE", "TAPS", "VARIANTS", "Distiller", "Memory", "Method",
    "Pair", "Tapped", "attention_distance", "attention_map", "loss", "method", "parts", "probe",
    "remember", "tap", "tap_modules",
]  # fmt: skip

METHODS: dict[str, dict[str, Method]] = {
    "at": attention.ROWS,
    "fitnets": hints.ROWS,
    "sp": similarity.ROWS,
    "fsp": flow.ROWS,
    "cc": correlation.ROWS,
    "pkt": probabilities.ROWS,
    "ft": factors.ROWS,
    "nst": selectivity.ROWS,
    "output": images.OUTPUT,
    "stages": images.STAGES,
}
VARIANTS = ("cited", "released")


def method(name: str, variant: str = "cited", taps: str | None = None) -> Method:
    """A row of ``METHODS``, tapped elsewhere if ``taps`` is given; ``InputError`` if unknown."""
    if name not in METHODS:
        raise InputError(f"unknown KD method {name!r}; choose one of {', '.join(METHODS)}")
    if variant not in METHODS[name]:
        known = ", ".join(METHODS[name])
        raise InputError(f"KD method {name!r} has no variant {variant!r}; choose one of {known}")
    row = METHODS[name][variant]
    if taps is None:
        return row
    moved = replace(row, taps=taps)
    places = (*TAPS, *CONSISTENT)
    if taps not in places or moved.layers != row.layers:
        fitting = [t for t in places if replace(row, taps=t).layers == row.layers]
        raise InputError(f"taps {taps!r} do not fit {name!r}; choose one of {', '.join(fitting)}")
    return moved


def loss(
    name: str,
    student_features,
    teacher_features,
    variant: str = "cited",
    student_parts: Sequence[nn.Module] | None = None,
    teacher_parts: Sequence[nn.Module] | None = None,
) -> torch.Tensor:
    """The KD loss of a method by name; see ``Method.loss``."""
    row = method(name, variant)
    return row.loss(student_features, teacher_features, student_parts, teacher_parts)


class _Losses(dict[str, Callable[..., torch.Tensor]]):
    """A table of losses in which an unknown name is an ``InputError``."""

    def __missing__(self, name: str):
        raise InputError(f"unknown KD loss {name!r}; choose one of {', '.join(self)}")


LOSSES = _Losses({name: partial(loss, name) for name in METHODS})
