"""What a student is asked to share with its teacher besides the image.

``METHODS`` is the one table of taps and weights: for each method a row "paper", as its own
publication has it, and a row "released" where the published SFT-KD-Recon code departs from that.
To add a method, write its pure functions in a file and its row here.
"""

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
    probabilities,
    selectivity,
    similarity,
)
from sftkd_core.distillation.attention import attention_distance, attention_map
from sftkd_core.distillation.distiller import Distiller, parts
from sftkd_core.distillation.method import TAPS, Method, tap
from sftkd_core.errors import InputError

__all__ = [
    "LOSSES",
    "METHODS",
    "TAPS",
    "VARIANTS",
    "Distiller",
    "Method",
    "attention_distance",
    "attention_map",
    "method",
    "parts",
    "tap",
]

VARIANTS = ("paper", "released")
# One share for all: when training starts, the KD loss pulls at the student's weights as hard as the
# reconstruction loss does. A chapter shows how much hangs on it.
SHARE = 1.0

_AT = Method(
    taps="hidden",
    summary=attention.attention_map,
    distance=attention_distance,
    share=SHARE,
    why="The middle of every stage, before its ReLU: there both networks have gone the same share "
    "of the way, and a map does not mind how many channels there are.",
)
_FITNETS = Method(
    taps="central hidden",
    summary=hints.hint,
    distance=hints.hint_distance,
    share=SHARE,
    why="One hint from the middle of the whole network, as the publication has it: earlier it "
    "would say little, later it would leave the student no freedom.",
    channels=True,
    student_part=hints.regressor,
)
_SP = Method(
    taps="hidden",
    summary=similarity.gram,
    distance=similarity.similarity_distance,
    share=SHARE,
    why="The middle of every stage; the publication sums over the ends of a network's blocks.",
    relational=True,
    spatial=False,
    smallest=2,
)
_FSP = Method(
    taps="flow",
    summary=flow.flow_matrix,
    distance=flow.flow_distance,
    share=SHARE,
    why="The first and the last hidden layer of every stage: what a stage does in between is the "
    "flow.",
    spatial=False,
    channels=True,
    student_part=flow.channel_adapter,
)
_CC = Method(
    taps="last hidden",
    summary=correlation.cosines,
    distance=correlation.correlation_distance,
    share=SHARE,
    why="The last stage only: the publication correlates embeddings, at the end of a network.",
    relational=True,
    spatial=False,
    smallest=2,
)
_PKT = replace(
    _CC,
    distance=probabilities.divergence,
    why="The last stage only: the publication compares representations at the end of a network.",
    smallest=3,
)
_FT = Method(
    taps="last hidden",
    summary=factors.unit_factor,
    distance=factors.factor_distance,
    share=SHARE,
    why="The last stage only, where the publication puts its paraphraser; a translator costs a "
    "third of what the student costs.",
    channels=True,
    student_part=factors.translator,
    teacher_part=factors.Paraphraser,
)
_NST = Method(
    taps="hidden",
    summary=selectivity.channels,
    distance=selectivity.maximum_mean_discrepancy,
    share=SHARE,
    why="The middle of every stage, as for attention transfer, whose cousin it is.",
)

METHODS: dict[str, dict[str, Method]] = {
    "at": {
        "paper": _AT,
        "released": replace(
            _AT,
            summary=attention.activity,
            distance=attention.released_distance,
            mean=True,
            smallest=2,
            why="As released: the same layers, normalised across the batch, L1, mean over stages.",
        ),
    },
    "fitnets": {
        "paper": _FITNETS,
        "released": Method(
            taps="central image",
            summary=attention.activity,
            distance=attention.released_distance,
            share=SHARE,
            smallest=2,
            why="As released: attention transfer on the one-channel output of the middle stage.",
        ),
    },
    "sp": {
        "paper": _SP,
        "released": replace(
            _SP,
            taps="early images",
            mean=True,
            why="As released: the one-channel outputs of all stages but the last, mean over them.",
        ),
    },
    "fsp": {
        "paper": _FSP,
        "released": replace(
            _FSP,
            taps="image flow",
            summary=flow.released_flow,
            mean=True,
            student_part=None,
            why="As released: squared one-channel outputs of neighbouring stages, the last left "
            "out; each flow is a single number.",
        ),
    },
    "cc": {
        "paper": _CC,
        "released": Method(
            taps="images",
            summary=correlation.image,
            distance=correlation.released_distance,
            share=SHARE,
            channels=True,
            mean=True,
            smallest=2,
            why="As released: products of neighbouring slices' differences in the one-channel "
            "output of every stage.",
        ),
    },
    "pkt": {"paper": _PKT},
    "ft": {"paper": _FT},
    "nst": {"paper": _NST},
}


def method(name: str, variant: str = "paper", taps: str | None = None) -> Method:
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
    if taps not in TAPS or moved.layers != row.layers:
        fitting = [t for t in TAPS if replace(row, taps=t).layers == row.layers]
        raise InputError(f"taps {taps!r} do not fit {name!r}; choose one of {', '.join(fitting)}")
    return moved


def loss(
    name: str,
    student_features,
    teacher_features,
    variant: str = "paper",
    student_parts: list[nn.Module] | None = None,
    teacher_parts: list[nn.Module] | None = None,
) -> torch.Tensor:
    """The KD loss of a method by name; see ``Method.loss``."""
    row = method(name, variant)
    return row.loss(student_features, teacher_features, student_parts, teacher_parts)


LOSSES = {name: partial(loss, name) for name in METHODS}
