"""What a network is trained for, as functions of the network and a few slices.

Each function below returns an objective ``(network, indices) -> scalar loss`` or a validation
``network -> {"loss": ..., "psnr": ...}``, for the loop in ``training.fit``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sftkd_core import sft
from sftkd_core.consistency import Measurement
from sftkd_core.distillation import Method, tap
from sftkd_core.models import Staged
from sftkd_core.training import autocast

Objective = Callable[[nn.Module, Tensor], Tensor]
Validation = Callable[[nn.Module], dict[str, float]]


@dataclass(frozen=True)
class Examples:
    """Slices to learn from: their measurement, and the targets (n, 1, h, w) behind it."""

    measurement: Measurement
    targets: Tensor


def l1(image: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference: the paper's reconstruction loss, over the number of pixels."""
    return (image - target).abs().mean()


def reconstruction(train: Examples) -> Objective:
    """``L_rec``: a network alone."""
    return lambda network, indices: l1(network(train.measurement[indices]), train.targets[indices])


def student_friendly(
    train: Examples, weights: tuple[float, float, float] = (1, 1, 1), released: bool = False
) -> Objective:
    """``L_SFTN``, equations (3)-(5): a ``sft.StudentFriendlyTeacher``; Algorithm 1, step 1."""

    def objective(network: sft.StudentFriendlyTeacher, indices: Tensor) -> Tensor:
        images, branches = network(train.measurement[indices])
        return sft.loss(images, branches, train.targets[indices], weights, released).total

    return objective


def distillation(
    train: Examples, teacher_summaries: Sequence[Tensor], method: Method, weight: float
) -> Objective:
    """``L_rec + weight * L_KD``: a student beside a frozen teacher; Algorithm 1, step 2.

    teacher_summaries  of every training slice, as ``teacher_summaries`` computes them
    """

    def objective(network: Staged, indices: Tensor) -> Tensor:
        images, features = network.features(train.measurement[indices])
        mine = method.summaries(tap(features, method.student_taps))
        kd = method.compare(mine, [layer[indices] for layer in teacher_summaries])
        return l1(images, train.targets[indices]) + weight * kd

    return objective


@torch.no_grad()
def teacher_summaries(
    teacher: Staged,
    measurement: Measurement,
    method: Method,
    precision: str = "auto",
    batch: int = 8,
) -> list[Tensor]:
    """A frozen teacher's summaries of every slice, one tensor a tapped layer.

    Masks are fixed and nothing is augmented, so they are the same in every epoch.
    """
    rows = []
    for start in range(0, len(measurement), batch):
        with autocast(measurement.zero_filled.device, precision):
            _, features = teacher.features(measurement[start : start + batch])
        rows.append(method.summaries(tap(features, method.teacher_taps)))
    return [torch.cat(layer) for layer in zip(*rows, strict=True)]


def validate_image(validation: Examples) -> Validation:
    """``L_rec`` and PSNR (data range 1, mean over slices) of a network's images."""

    def loss_and_image(network: nn.Module, part: slice) -> tuple[Tensor, Tensor]:
        image = network(validation.measurement[part])
        return l1(image, validation.targets[part]), image

    return lambda network: _scores(network, validation, loss_and_image)


def validate_joint(
    validation: Examples, weights: tuple[float, float, float] = (1, 1, 1), released: bool = False
) -> Validation:
    """``L_SFTN`` of a joint network, and the PSNR of its teacher's images."""

    def loss_and_image(network: nn.Module, part: slice) -> tuple[Tensor, Tensor]:
        image, branches = network(validation.measurement[part])
        terms = sft.loss(image, branches, validation.targets[part], weights, released)
        return terms.total, image

    return lambda network: _scores(network, validation, loss_and_image)


def _scores(network: nn.Module, validation: Examples, loss_and_image) -> dict[str, float]:
    loss = psnr = 0.0
    count = len(validation.targets)
    for start in range(0, count, 8):
        part = slice(start, start + 8)
        target = validation.targets[part]
        value, image = loss_and_image(network, part)
        loss += value.item() * len(target) / count
        error = (image - target).square().flatten(1).mean(1)
        psnr -= 10 * torch.log10(error).sum().item() / count
    return {"loss": loss, "psnr": psnr}
