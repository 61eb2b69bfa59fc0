"""The losses that networks are trained for, and how an epoch is judged.

A *loss* is a function ``(network, indices of slices) -> scalar`` and a *validation* one
``network -> {"loss": ..., "psnr": ...}``, for the loop in ``training.fit``.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sftkd_core import models, sft
from sftkd_core.consistency import Measurement
from sftkd_core.distillation import Distiller, Memory, Method
from sftkd_core.distillation.factors import Paraphraser
from sftkd_core.distillation.method import resize, tapped
from sftkd_core.sft import Norm, l1
from sftkd_core.system import InputError, autocast

Loss = Callable[[Any, Tensor], Tensor]  # (a network of its kind, indices of slices) -> scalar
Validation = Callable[[nn.Module], dict[str, float]]


@dataclass(frozen=True)
class Examples:
    """Slices to learn from: their measurement, and the targets (n, 1, h, w) behind it."""

    measurement: Measurement
    targets: Tensor


def reconstruction(train: Examples, norm: Norm = l1) -> Loss:
    """``L_rec``: a network alone."""
    return lambda network, indices: norm(
        network(train.measurement[indices]), train.targets[indices]
    )


def validate_image(validation: Examples, norm: Norm = l1) -> Validation:
    """``L_rec`` and PSNR (data range 1, mean over slices) of a network's images."""

    def loss_and_image(network: nn.Module, part: slice) -> tuple[Tensor, Tensor]:
        image = network(validation.measurement[part])
        return norm(image, validation.targets[part]), image

    return lambda network: _scores(network, validation, loss_and_image)


def student_friendly(
    train: Examples,
    weights: tuple[float, float, float] = (1, 1, 1),
    released: bool = False,
    norm: Norm = l1,
    detached: str | None = None,
) -> Loss:
    """``L_SFTN``, equations (3)-(5), of a ``sft.StudentFriendlyTeacher``."""

    def loss(network: sft.StudentFriendlyTeacher, indices: Tensor) -> Tensor:
        images, branches = network(train.measurement[indices])
        target = train.targets[indices]
        return sft.loss(images, branches, target, weights, released, norm, detached).total

    return loss


def validate_joint(
    validation: Examples,
    weights: tuple[float, float, float] = (1, 1, 1),
    released: bool = False,
    norm: Norm = l1,
) -> Validation:
    """``L_SFTN`` of a joint network, and the PSNR of its teacher's images."""

    def loss_and_image(network: nn.Module, part: slice) -> tuple[Tensor, Tensor]:
        image, branches = network(validation.measurement[part])
        terms = sft.loss(image, branches, validation.targets[part], weights, released, norm)
        return terms.total, image

    return lambda network: _scores(network, validation, loss_and_image)


def distillation(
    train: Examples,
    memory: Memory,
    method: Method,
    weight: float,
    joint: bool = True,
    norm: Norm = l1,
) -> Loss:
    """``L_rec + weight * L_KD`` of a ``Distiller``.

    memory  the teacher's summaries of the training slices, see ``remember``
    joint   False leaves ``L_KD`` alone: the first phase of the released code's two
    """

    def loss(network: Distiller, indices: Tensor) -> Tensor:
        images, kd = _image_and_kd(network, train, memory, method, indices)
        return norm(images, train.targets[indices]) + weight * kd if joint else kd

    return loss


def validate_distillation(validation: Examples, memory: Memory, method: Method) -> Validation:
    """``L_KD`` alone, and PSNR: for the phase of the released code that trains features only."""

    def loss_and_image(network: Distiller, part: slice) -> tuple[Tensor, Tensor]:
        indices = torch.arange(len(validation.targets))[part]
        image, kd = _image_and_kd(network, validation, memory, method, indices)
        return kd, image

    return lambda network: _scores(network, validation, loss_and_image, method.smallest)


def starting_weight(
    network: Distiller,
    train: Examples,
    memory: Memory,
    method: Method,
    share: float,
    batch: int = 4,
    precision: str = "auto",
    norm: Norm = l1,
) -> float:
    """The weight at which the KD gradient is ``share`` of the reconstruction gradient.

    Both are measured in the student's weights as they are, and averaged over the first batches (at
    most four) of training slices. Raises ``InputError`` where the KD loss has no gradient, and for
    a network that is no ``Distiller``.
    """
    if not isinstance(network, Distiller):
        raise InputError(
            f"the network is a {type(network).__name__}; pass distillation.Distiller(student, "
            "parts), with the student behind distillation.tap_modules where it is not ours"
        )
    pulls = torch.zeros(2, dtype=torch.float64)
    for indices in torch.arange(len(train.targets))[: 4 * batch].split(batch):
        if len(indices) >= method.smallest:
            pulls += gradient_norms(network, train, memory, method, indices, precision, norm)
    reconstruction_pull, kd_pull = pulls.tolist()
    if not kd_pull > 0:
        raise InputError(
            "the KD loss has no gradient in the student's weights: teacher and student already "
            "agree, or the method cannot tell them apart; choose other taps, or give a weight"
        )
    return share * reconstruction_pull / kd_pull


def gradient_norms(
    network: Distiller,
    train: Examples,
    memory: Memory,
    method: Method,
    indices: Tensor,
    precision: str = "auto",
    norm: Norm = l1,
) -> Tensor:
    """L2 norms of the gradients of ``L_rec`` and ``L_KD`` in the student: (2,) float64."""
    with autocast(train.targets.device, precision):
        images, kd = _image_and_kd(network, train, memory, method, indices)
        losses = norm(images, train.targets[indices]), kd
    weights = list(network.student.parameters())
    norms = []
    for value in losses:
        found = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True)
        squares = [g.cpu().double().square().sum() for g in found if g is not None]
        norms.append(sum(squares, torch.zeros((), dtype=torch.float64)).sqrt())
    return torch.stack(norms)


def _image_and_kd(network, examples, memory, method, indices) -> tuple[Tensor, Tensor]:
    images, groups = network.groups(examples.measurement[indices], method.taps)
    mine = method.summaries(resize(groups, memory.sizes))
    return images, method.compare(mine, memory(indices))


def paraphrase(train: Examples, teacher: models.Staged, method: Method) -> Loss:
    """The paraphrasers of a frozen teacher's tapped layers learn to give them back (FT)."""

    def loss(network: Iterable[Paraphraser], indices: Tensor) -> Tensor:
        with torch.no_grad():
            _, groups = tapped(teacher, train.measurement[indices], method.taps)
        layers = [layer for group in groups for layer in group]
        pairs = zip(network, layers, strict=True)
        return sum((part.reconstruct(x).float() - x.float()).square().mean() for part, x in pairs)  # type: ignore[return-value]

    return loss


def validate_paraphrase(validation: Examples, teacher: models.Staged, method: Method) -> Validation:
    """The loss of ``paraphrase``; a network of features has no PSNR."""
    loss = paraphrase(validation, teacher, method)
    count = len(validation.targets)

    def validate(network: nn.Module) -> dict[str, float]:
        few = torch.arange(count).split(8)
        return {"loss": sum(loss(network, p).item() * len(p) / count for p in few)}

    return validate


def imitation(
    train: Examples, teacher: models.Staged, weight: float = 1.0, labelled: int | None = None
) -> Loss:
    """``L_rec + weight * L_imit``: a student beside a frozen teacher; both terms are L1 means.

    labelled  how many slices, from the first, have a target; the teacher's image is all that the
              student is shown of the others. None: all

    Murugesan et al., "KD-MRI" (MIDL 2020). Their released code divides the imitation term by the
    number of pixels once more, after which little of it is left; here both terms count alike.
    """
    examples = range(0, len(train.targets), 8)
    with torch.no_grad():  # masks are fixed: the teacher says the same in every epoch
        shown = torch.cat([teacher(train.measurement[i : i + 8]) for i in examples])

    def loss(network: nn.Module, indices: Tensor) -> Tensor:
        image = network(train.measurement[indices])
        imitated = weight * l1(image, shown[indices])
        if labelled is None:
            return l1(image, train.targets[indices]) + imitated
        known = (indices < labelled).to(image).view(-1, 1, 1, 1)
        # a mean over the batch, as above: a slice without a target adds nothing
        return (known * (image - train.targets[indices]).abs()).mean() + imitated

    return loss


def _scores(network, validation: Examples, loss_and_image, smallest: int = 1) -> dict[str, float]:
    loss = psnr = 0.0
    count = len(validation.targets)
    for start, stop in _parts(count, 8, smallest):
        part = slice(start, stop)
        target = validation.targets[part]
        value, image = loss_and_image(network, part)
        loss += value.item() * len(target) / count
        error = (image - target).square().flatten(1).mean(1)
        psnr -= 10 * torch.log10(error).sum().item() / count
    return {"loss": loss, "psnr": psnr}


def _parts(count: int, size: int, smallest: int) -> list[tuple[int, int]]:
    """Ranges of ``size`` slices; a last one of fewer than ``smallest`` joins the one before."""
    starts = list(range(0, count, size))
    if len(starts) > 1 and count - starts[-1] < smallest:
        starts.pop()
    return list(zip(starts, [*starts[1:], count], strict=True))
