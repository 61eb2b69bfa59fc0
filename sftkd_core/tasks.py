"""From an experiment to what ``training.fit`` needs: a network, an objective, a validation.

One function an objective; what an experiment builds on is handed in, nothing is trained here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from sftkd_core import adversarial, distillation, imitation, models, objectives, sft
from sftkd_core.distillation.distiller import common_sizes, probe
from sftkd_core.distillation.memory import Memory, remember
from sftkd_core.errors import InputError
from sftkd_core.models.dagan import Discriminator
from sftkd_core.norms import NORMS
from sftkd_core.objectives import Examples

if TYPE_CHECKING:
    from sftkd_core.experiments import Experiment


@dataclass(frozen=True)
class Task:
    """What ``fit`` needs besides the network, and the weight of the KD term (None without one)."""

    objective: objectives.Objective
    validate: objectives.Validation
    weight: float | None = None


def network(experiment: Experiment) -> nn.Module:
    """What is trained, with the initial weights of the experiment's seed."""
    model = models.build(experiment.model, experiment.seed)
    if experiment.objective in ("reconstruct", "imitate"):
        return model
    if experiment.objective == "adversarial":
        return _against_discriminator(model, experiment.seed)
    if experiment.objective == "sft":
        student = models.build(experiment.student, experiment.seed)
        return sft.StudentFriendlyTeacher(model, student, experiment.seed, experiment.branches)
    teacher = models.build(experiment.teacher.model, experiment.seed)  # only its shapes count
    ours, theirs = (len(probe(experiment.row, network)) for network in (model, teacher))
    if ours != theirs:
        raise InputError(
            f'"{experiment.method}" taps {ours} places of {experiment.model} and {theirs} of '
            f"{experiment.teacher.model}; take a teacher of as many stages, or other taps"
        )
    student_parts, teacher_parts = distillation.parts(
        experiment.row, model, teacher, experiment.seed
    )
    if experiment.objective == "paraphrase":
        return nn.ModuleList(teacher_parts)
    return distillation.Distiller(model, student_parts)


def task(
    experiment: Experiment,
    network: nn.Module,
    train: Examples,
    validation: Examples,
    teacher: nn.Module | None = None,
    paraphrasers: Sequence[nn.Module] = (),
) -> Task:
    """The objective and validation of an experiment; its frozen teacher and that one's parts."""
    norm = NORMS[experiment.norm]
    if experiment.objective == "reconstruct":
        return Task(
            objectives.reconstruction(train, norm), objectives.validate_image(validation, norm)
        )
    if experiment.objective == "sft":
        terms = experiment.sft_weights, experiment.released, norm
        return Task(
            objectives.student_friendly(train, *terms),
            objectives.validate_joint(validation, *terms),
        )
    if experiment.objective == "adversarial":
        return Task(adversarial.adversarial(train), adversarial.validate_adversaries(validation))
    if experiment.objective == "imitate":
        weight = 1.0 if experiment.weight is None else experiment.weight
        return Task(
            imitation.imitation(train, teacher, weight), objectives.validate_image(validation)
        )
    if experiment.objective == "paraphrase":
        pair = teacher, experiment.row
        return Task(
            objectives.paraphrase(train, *pair), objectives.validate_paraphrase(validation, *pair)
        )
    return _distillation(experiment, network, train, validation, teacher, paraphrasers)


def _distillation(experiment, network, train, validation, teacher, paraphrasers) -> Task:
    method, precision, norm = experiment.row, experiment.precision, NORMS[experiment.norm]

    def memory(examples: Examples) -> Memory:
        sizes = common_sizes(method, network.student, teacher, examples.targets.shape[-2:])
        return remember(teacher, examples.measurement, method, paraphrasers, sizes, precision)

    known = memory(train)
    if not experiment.joint:
        return Task(
            objectives.distillation(train, known, method, 1.0, joint=False),
            objectives.validate_distillation(validation, memory(validation), method),
        )
    weight = experiment.weight
    if weight is None:
        share = method.share if experiment.share is None else experiment.share
        weight = objectives.starting_weight(
            network, train, known, method, share, experiment.schedule.batch, precision, norm
        )
    return Task(
        objectives.distillation(train, known, method, weight, norm=norm),
        objectives.validate_image(validation, norm),
        weight,
    )


def _against_discriminator(generator: models.Staged, seed: int) -> nn.Module:
    if not isinstance(generator, models.DAGAN):
        raise InputError(
            f'objective "adversarial" trains a DAGAN, not a {type(generator).__name__}; take '
            '"DAGAN" or "DAGAN-narrow"'
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1_000_003)
        # as wide beside a narrow generator as the original beside its own
        return adversarial.Adversaries(generator, Discriminator(2 * generator.channels))


_ROOTS = {  # what decides the weights of an objective, besides the networks and the loop
    "reconstruct": (objectives.reconstruction, objectives.validate_image),
    "sft": (objectives.student_friendly, objectives.validate_joint, sft.StudentFriendlyTeacher),
    "distil": (_distillation, distillation.parts, distillation.Distiller),
    "paraphrase": (objectives.paraphrase, objectives.validate_paraphrase, distillation.parts),
    "imitate": (imitation.imitation, objectives.validate_image),
    "adversarial": (
        adversarial.adversarial,
        adversarial.validate_adversaries,
        _against_discriminator,
    ),
}


def roots(objective: str) -> tuple:
    """The definitions of an objective that a seal of its results starts from."""
    return _ROOTS[objective]
