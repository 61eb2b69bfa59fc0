"""A student together with what learns beside it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sftkd_core.consistency import Measurement, measure
from sftkd_core.distillation.method import Group, Method, apply_parts, resize, tap


class Distiller(nn.Module):
    """A student, and the learnt parts of a method that are applied to its tapped layers.

    FitNets' regressor and FT's translator learn with the student and are dropped afterwards; most
    methods have none.
    """

    def __init__(self, student: nn.Module, parts: Sequence[nn.Module] = ()):
        super().__init__()
        self.student, self.parts = student, nn.ModuleList(parts)

    def forward(self, measurement: Measurement) -> Tensor:
        """The student's images, (b, 1, h, w)."""
        return self.student(measurement)

    def groups(self, measurement: Measurement, taps: str) -> tuple[Tensor, list[Group]]:
        """The student's images, and its tapped layers after the learnt parts."""
        images, features = self.student.features(measurement)
        return images, apply_parts(tap(features, taps), self.parts)


def parts(
    method: Method, student: nn.Module, teacher: nn.Module, seed: int = 0
) -> tuple[list[nn.Module], list[nn.Module]]:
    """New learnt parts of a method: for the student's tapped layers, for the teacher's.

    Empty lists where a method has none. ``seed`` fixes their initial weights without touching
    torch's global random state.
    """
    ours, theirs = probe(method, student), probe(method, teacher)
    pairs = [pair for s, t in zip(ours, theirs, strict=True) for pair in zip(s, t, strict=True)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1_000_003)
        student_parts = [_student_part(method, s.shape[1], t.shape[1]) for s, t in pairs]
        teacher_parts = [method.teacher_part(t.shape[1]) for _, t in pairs if method.teacher_part]
    if all(isinstance(part, nn.Identity) for part in student_parts):
        student_parts = []
    return student_parts, teacher_parts


def common_sizes(method: Method, student: nn.Module, teacher: nn.Module, shape: tuple[int, int]):
    """At which (h, w) the layers of two networks are compared, for images of this shape."""
    return method.sizes(probe(method, student, shape), probe(method, teacher, shape))


@torch.no_grad()
def probe(method: Method, network: nn.Module, shape: tuple[int, int] = (32, 32)) -> list[Group]:
    """The tapped layers of a network for an empty slice, to see their channels and sizes."""
    device = next(network.parameters()).device
    measurement = measure(torch.zeros(1, 1, *shape), torch.ones(shape[0], dtype=torch.bool).numpy())
    training = network.training
    network.eval()
    _, features = network.features(measurement.to(device))
    network.train(training)
    return tap(features, method.taps)


def teacher_layers(
    teacher: nn.Module, parts: Sequence[nn.Module], measurement: Measurement, method: Method, sizes
) -> list[Group]:
    """The frozen teacher's tapped layers, after its own parts, at the size of comparison."""
    _, features = teacher.features(measurement)
    return resize(apply_parts(tap(features, method.taps), parts), sizes)


def _student_part(method: Method, student_channels: int, teacher_channels: int) -> nn.Module:
    part = method.student_part and method.student_part(student_channels, teacher_channels)
    return part or nn.Identity()
