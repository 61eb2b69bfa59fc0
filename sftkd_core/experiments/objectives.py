"""What a network is trained for: one row of ``OBJECTIVES`` each.

A row says what is trained and by which losses. What an experiment builds on is handed in; nothing
is trained here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sftkd_core import models, sft
from sftkd_core.distillation import Distiller, Memory, parts, probe, remember
from sftkd_core.distillation.teacher import common_sizes
from sftkd_core.experiments.losses import (
    Examples,
    Loss,
    Validation,
    distillation,
    imitation,
    paraphrase,
    reconstruction,
    starting_weight,
    student_friendly,
    validate_distillation,
    validate_image,
    validate_joint,
    validate_paraphrase,
)
from sftkd_core.experiments.training import fit
from sftkd_core.models.dagan import Adversaries, Discriminator, game
from sftkd_core.sft import NORMS
from sftkd_core.system import InputError, Line


@dataclass(frozen=True)
class Task:
    """What ``fit`` needs besides the network, and the weight of the KD term (None without one)."""

    loss: Loss
    validate: Validation
    weight: float | None = None


@dataclass(frozen=True)
class Objective:
    """One objective of ``Experiment``.

    network  experiment -> what is trained, with the initial weights of the experiment's seed
    task     (experiment, network, train, validation, teacher, its paraphrasers) -> ``Task``
    uses     fields of ``Experiment`` that decide something here; all others decide always
    needs    of those, the ones that must be given
    part     where in what is trained the network lies that reconstructs; "" is all of it
    onward   the same of the network that a later training goes on with
    starts   the same of what an initial experiment's network is loaded into
    goes_on  whether an initial experiment of the same objective gives all of its weights
    """

    network: Callable[..., nn.Module]
    task: Callable[..., Task]
    uses: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    part: str = ""
    onward: str = ""
    starts: str = ""
    goes_on: bool = False


def _alone(experiment) -> nn.Module:
    return models.build(experiment.model, experiment.seed)


def _reconstruct(experiment, network, train, validation, teacher, paraphrasers) -> Task:
    norm = NORMS[experiment.norm]
    return Task(reconstruction(train, norm), validate_image(validation, norm))


def _joint(experiment) -> nn.Module:
    teacher = models.build(experiment.model, experiment.seed)
    student = models.build(experiment.student, experiment.seed + 2_000_003 * experiment.apart)
    return sft.StudentFriendlyTeacher(teacher, student, experiment.seed, experiment.branches)


def _student_friendly(experiment, network, train, validation, teacher, paraphrasers) -> Task:
    terms = experiment.sft_weights, experiment.released, NORMS[experiment.norm]
    loss = student_friendly(train, *terms, experiment.detached)
    return Task(loss, validate_joint(validation, *terms))


def _beside_teacher(experiment) -> tuple[models.Staged, list[nn.Module], list[nn.Module]]:
    """The student, and the learnt parts of the method for its layers and for the teacher's."""
    student = models.build(experiment.model, experiment.seed)
    teacher = models.build(experiment.teacher.model, experiment.seed)  # only its shapes count
    ours, theirs = (len(probe(experiment.row, network)) for network in (student, teacher))
    if ours != theirs:
        raise InputError(
            f'"{experiment.method}" taps {ours} places of {experiment.model} and {theirs} of '
            f"{experiment.teacher.model}; take a teacher of as many stages, or other taps"
        )
    return student, *parts(experiment.row, student, teacher, experiment.seed)


def _distiller(experiment) -> nn.Module:
    student, student_parts, _ = _beside_teacher(experiment)
    return Distiller(student, student_parts)


def _distil(experiment, network, train, validation, teacher, paraphrasers) -> Task:
    method, precision, norm = experiment.row, experiment.precision, NORMS[experiment.norm]

    def memory(examples: Examples) -> Memory:
        sizes = common_sizes(method, network.student, teacher, examples.targets.shape[-2:])
        return remember(teacher, examples.measurement, method, paraphrasers, sizes, precision)

    known = memory(train)
    if not experiment.joint:
        return Task(
            distillation(train, known, method, 1.0, joint=False),
            validate_distillation(validation, memory(validation), method),
        )
    weight = experiment.weight
    if weight is None:
        share = method.share if experiment.share is None else experiment.share
        batch = experiment.schedule.batch
        weight = starting_weight(network, train, known, method, share, batch, precision, norm)
    return Task(
        distillation(train, known, method, weight, norm=norm),
        validate_image(validation, norm),
        weight,
    )


def _paraphrasers(experiment) -> nn.Module:
    return nn.ModuleList(_beside_teacher(experiment)[2])


def _paraphrase(experiment, network, train, validation, teacher, paraphrasers) -> Task:
    pair = teacher, experiment.row
    return Task(paraphrase(train, *pair), validate_paraphrase(validation, *pair))


def _imitate(experiment, network, train, validation, teacher, paraphrasers) -> Task:
    weight = 1.0 if experiment.weight is None else experiment.weight
    known = experiment.labelled and experiment.labelled * experiment.data.slices
    return Task(imitation(train, teacher, weight, known), validate_image(validation))


def _adversaries(experiment) -> nn.Module:
    generator = models.build(experiment.model, experiment.seed)
    if not isinstance(generator, models.DAGAN):
        raise InputError(
            f'objective "adversarial" trains a DAGAN, not a {type(generator).__name__}; take '
            '"DAGAN" or "DAGAN-narrow"'
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.seed + 1_000_003)
        # as wide beside a narrow generator as the original beside its own
        return Adversaries(generator, Discriminator(2 * generator.channels))


def _adversarial(experiment, network, train, validation, teacher, paraphrasers) -> Task:
    def loss(network: Adversaries, indices: Tensor) -> Tensor:
        return game(network, train.measurement[indices], train.targets[indices])

    # by the generator's images: the losses of two players choose no best epoch
    return Task(loss, validate_image(validation))


_BY_METHOD = ("teacher", "method", "variant", "taps")
_OF_SFT = ("student", "sft_weights", "released", "branches", "apart", "norm", "detached")
OBJECTIVES = {
    "reconstruct": Objective(_alone, _reconstruct, uses=("norm",)),
    "sft": Objective(
        _joint, _student_friendly, _OF_SFT, needs=("student",),
        part="teacher", onward="student", goes_on=True,
    ),
    "distil": Objective(
        _distiller, _distil, (*_BY_METHOD, "weight", "share", "joint", "norm"),
        needs=("teacher", "method"), part="student", onward="student", starts="student",
    ),
    "paraphrase": Objective(
        _paraphrasers, _paraphrase, _BY_METHOD, needs=("teacher", "method"),
    ),
    "imitate": Objective(_alone, _imitate, ("teacher", "weight", "labelled"), needs=("teacher",)),
    "adversarial": Objective(
        _adversaries, _adversarial,
        part="generator", onward="generator", starts="generator", goes_on=True,
    ),
}  # fmt: skip


def network(experiment) -> nn.Module:
    """What an experiment trains, with the initial weights of its seed."""
    return OBJECTIVES[experiment.objective].network(experiment)


def task(experiment, network, train, validation, teacher=None, paraphrasers=()) -> Task:
    """The loss and validation of an experiment; its frozen teacher and that one's parts."""
    aim = OBJECTIVES[experiment.objective]
    return aim.task(experiment, network, train, validation, teacher, paraphrasers)


def start(network: nn.Module, experiment, earlier: nn.Module) -> None:
    """Load what the experiment's ``initial`` has trained, or would train, into a new network."""
    aim, before = OBJECTIVES[experiment.objective], OBJECTIVES[experiment.initial.objective]
    if aim is before and aim.goes_on:
        target, source = network, earlier
    else:
        target, source = part_of(network, aim.starts), part_of(earlier, before.onward)
    try:
        target.load_state_dict(source.state_dict())  # strict: every weight or an error
    except RuntimeError as error:
        raise InputError(
            f"the weights of {experiment.initial.name} do not fit {experiment.name}; give an "
            "initial experiment of the same network"
        ) from error


def learn(
    network: nn.Module,
    experiment,
    precision: str,
    teacher: nn.Module | None,
    paraphrasers: Sequence[nn.Module],
    folder: Path,
    line: Line | None = None,
) -> tuple[list[dict], float | None]:
    """Train a network, on the device where it is: the history, and the weight of the KD term."""
    device = next(network.parameters()).device
    train, validation = (examples(experiment, split, device) for split in ("train", "validation"))
    experiment = replace(experiment, precision=precision)
    # looked up, not called by its name: one objective's change is no other's
    aim = OBJECTIVES[experiment.objective]
    task = aim.task(experiment, network, train, validation, teacher, paraphrasers)
    count, schedule, seed = len(train.targets), experiment.schedule, experiment.seed
    history = fit(network, task.loss, task.validate, count, schedule, folder, seed, precision, line)
    return history, task.weight


def examples(experiment, split: str, device: torch.device) -> Examples:
    """The slices of a split, measured as the experiment says, on a device."""
    images = experiment.data.load(split).images
    return Examples(experiment.sampling.measure(images, split).to(device), images.to(device))


def part_of(network: nn.Module, name: str) -> Any:
    """A part of what is trained; "" is all of it."""
    return getattr(network, name) if name else network
