"""The published recipe as one would write it first: what the library's speed is measured against.

Eager float32; every branch through the student by itself; a Fourier transform there and back in
each data consistency; a frozen teacher that computes its features anew in every step. What it
computes is what the library computes (a test compares losses and gradients), by other ways.
"""

from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from sftkd_core import models
from sftkd_core.consistency import Measurement, measure
from sftkd_core.models.cost import clocked

KD_WEIGHT = 1e-3


def stage(
    convolutions: nn.ModuleList, image: Tensor, kspace: Tensor, mask: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Convolutions with ReLU between, then the FFT form of data consistency."""
    kept = []
    for index, layer in enumerate(convolutions):
        image = layer(relu(image) if index else image)
        kept.append(image)
    predicted = torch.fft.fft2(image, norm="ortho")
    predicted = (1 - mask) * predicted + mask * kspace
    return torch.fft.ifft2(predicted, norm="ortho").real, kept


def cascade(
    network: nn.Module, image: Tensor, kspace: Tensor, mask: Tensor, first: int = 0
) -> tuple[list[Tensor], list[list[Tensor]]]:
    """A ``Cascade`` from stage ``first`` on: the image behind each stage, and its features."""
    images, kept = [], []
    for block in list(network.stages)[first:]:  # type: ignore[arg-type]
        image, features = stage(block.convolutions, image, kspace, mask)
        images.append(image)
        kept.append(features)
    return images, kept


def sft_loss(
    teacher: nn.Module, student: nn.Module, start: Tensor, kspace: Tensor, mask: Tensor,
    target: Tensor,
) -> Tensor:  # fmt: skip
    """Equations (3)-(5): the teacher, then each of its branches by itself."""
    images, _ = cascade(teacher, start, kspace, mask)
    loss, count = (images[-1] - target).abs().mean(), len(images) - 1
    for k in range(count):
        branch = cascade(student, images[k], kspace, mask, first=k + 1)[0][-1]
        terms = (branch - target).abs().mean() + (branch - images[-1]).abs().mean()
        loss = loss + terms / count
    return loss


def middles(features: list[list[Tensor]]) -> list[Tensor]:
    """The middle convolution of each stage."""
    return [kept[(len(kept) - 1) // 2] for kept in features]


def attention(mine: list[list[Tensor]], theirs: list[list[Tensor]]) -> Tensor:
    """Attention transfer as the common libraries write it."""
    kd = torch.zeros((), device=mine[0][0].device)
    for s, t in zip(middles(mine), middles(theirs), strict=True):
        maps = [f.pow(2).sum(1).flatten(1) for f in (s, t)]
        maps = [m / m.norm(dim=1, keepdim=True) for m in maps]
        kd = kd + (maps[0] - maps[1]).norm(dim=1).mean()
    return kd


def kd_loss(
    student: nn.Module, teacher: nn.Module, start: Tensor, kspace: Tensor, mask: Tensor,
    target: Tensor, loss: Callable = attention, parts: tuple = (),
) -> Tensor:  # fmt: skip
    """The student beside its teacher, which computes its features in every step."""
    with torch.no_grad():
        _, theirs = cascade(teacher, start, kspace, mask)
    images, mine = cascade(student, start, kspace, mask)
    return (images[-1] - target).abs().mean() + KD_WEIGHT * loss(mine, theirs, *parts)


def arguments(measurement: Measurement, images: Tensor) -> tuple[Tensor, ...]:
    """What the recipe takes of a measurement: the image to start from, k-space, mask, target."""
    mask = measurement.mask.float().expand(images.shape[-2:])
    return measurement.zero_filled, measurement.kspace, mask, images


def example(size: int, batch: int, device: torch.device) -> tuple[Measurement, Tensor]:
    """Random images, every fourth line measured: what steps of both ways are timed on."""
    images = torch.rand(batch, 1, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    return measure(images, np.arange(size) % 4 == 0), images


def steps(size: int, batch: int, device: torch.device) -> dict[str, Callable[[], None]]:
    """A step of student-friendly training of D5C5 for D3C5, and one of distillation, with Adam."""
    given: Any = arguments(*example(size, batch, device))
    teacher, student, other = (models.build(n, 0).to(device) for n in ("D5C5", "D3C5", "D3C5"))
    frozen = models.build("D5C5", 0).to(device).requires_grad_(False)

    def step(loss: Callable[[], Tensor], trained: list[nn.Module]) -> Callable[[], None]:
        optimiser = torch.optim.Adam(nn.ModuleList(trained).parameters(), 1e-3)

        def once() -> None:
            optimiser.zero_grad()
            loss().backward()
            optimiser.step()

        return once

    return {
        "SFT": step(lambda: sft_loss(teacher, student, *given), [teacher, student]),
        "KD": step(lambda: kd_loss(other, frozen, *given), [other]),
    }


def serve(size: int, batch: int, device: str, threads: int, asked: Connection) -> None:
    """Make a step and answer its seconds whenever one is asked for by its name; ends with ""."""
    torch.set_num_threads(threads)
    place = torch.device(device)
    made = steps(size, batch, place)
    while name := asked.recv():
        asked.send(clocked(made[name], place))
