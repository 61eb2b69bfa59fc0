"""A student beside a frozen teacher: what learns with it, and what the teacher has to say.

Masks are fixed and nothing is augmented, so a teacher's summaries of a slice are the same in every
epoch: they are computed once where they fit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sftkd_core.consistency import Measurement, measure
from sftkd_core.distillation.method import Group, Method, apply_parts, resize, tapped
from sftkd_core.distillation.modules import Network
from sftkd_core.distillation.products import full_precision
from sftkd_core.system import Float, autocast


class Distiller(nn.Module):
    """A student, and the learnt parts of a method that are applied to its tapped layers.

    FitNets' regressor and FT's translator learn with the student and are dropped afterwards; most
    methods have none.
    """

    def __init__(self, student: Network, parts: Sequence[nn.Module] = ()):
        super().__init__()
        self.student, self.parts = student, nn.ModuleList(parts)

    def forward(self, measurement: Measurement) -> Float[Tensor, "b 1 h w"]:
        """The student's images, (b, 1, h, w)."""
        return self.student(measurement)

    def groups(self, measurement: Measurement, taps: str) -> tuple[Tensor, list[Group]]:
        """The student's images, and its tapped layers after the learnt parts."""
        images, layers = tapped(self.student, measurement, taps)
        return images, apply_parts(layers, self.parts)


def parts(
    method: Method, student: Network, teacher: Network, seed: int = 0
) -> tuple[list[nn.Module], list[nn.Module]]:
    """New learnt parts of a method: for the student's tapped layers, for the teacher's.

    Empty lists where a method has none. ``seed`` fixes their initial weights without touching
    torch's global random state. Raises ``InputError`` for taps that cannot be paired.
    """
    return parts_of(method, probe(method, student), probe(method, teacher), seed)


def parts_of(
    method: Method, ours: Sequence[Group], theirs: Sequence[Group], seed: int = 0
) -> tuple[list[nn.Module], list[nn.Module]]:
    """The same for layers tapped already: of the student, of the teacher."""
    method.check_taps(ours, theirs)
    pairs = [pair for s, t in zip(ours, theirs, strict=True) for pair in zip(s, t, strict=True)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1_000_003)
        student_parts = [_student_part(method, s.shape[1], t.shape[1]) for s, t in pairs]
        teacher_parts = [method.teacher_part(t.shape[1]) for _, t in pairs if method.teacher_part]
    if all(isinstance(part, nn.Identity) for part in student_parts):
        student_parts = []
    return student_parts, teacher_parts


def common_sizes(method: Method, student: Network, teacher: Network, shape: Sequence[int]):
    """At which (h, w) the layers of two networks are compared, for images of this shape."""
    return method.sizes(probe(method, student, shape), probe(method, teacher, shape))


@torch.no_grad()
def probe(method: Method, network: Network, shape: Sequence[int] = (32, 32)) -> list[Group]:
    """The tapped layers of a network for an empty slice, to see their channels and sizes."""
    device = next(network.parameters()).device
    measurement = measure(torch.zeros(1, 1, *shape), torch.ones(shape[0], dtype=torch.bool).numpy())
    training = network.training
    network.eval()
    _, layers = tapped(network, measurement.to(device), method.taps)
    network.train(training)
    return layers


def teacher_layers(
    teacher: Network, parts: Sequence[nn.Module], measurement: Measurement, method: Method, sizes
) -> list[Group]:
    """The frozen teacher's tapped layers, after its own parts, at the size of comparison."""
    _, layers = tapped(teacher, measurement, method.taps)
    return resize(apply_parts(layers, parts), sizes)


def _student_part(method: Method, student_channels: int, teacher_channels: int) -> nn.Module:
    part = method.student_part and method.student_part(student_channels, teacher_channels)
    return part or nn.Identity()


LIMIT = 2e9  # bytes of summaries that are kept; beyond, the teacher runs along in every step
BLOCK = 1e9  # bytes of features at a time, for the Gram matrix of all slices


@dataclass(frozen=True)
class Memory:
    """Teacher's summaries by slice: ``memory(indices) -> [one tensor a group]``.

    recall  indices (b,) -> summaries of these slices
    sizes   at which (h, w) each group is compared; None where sizes do not matter
    """

    recall: Callable[[Tensor], list[Tensor]]
    sizes: list[tuple[int, int]] | None

    def __call__(self, indices: Tensor) -> list[Tensor]:
        return self.recall(indices)


@torch.no_grad()
def remember(
    teacher: Network,
    measurement: Measurement,
    method: Method,
    teacher_parts: Sequence[nn.Module] = (),
    sizes: list[tuple[int, int]] | None = None,
    precision: str = "auto",
    limit: float = LIMIT,
) -> Memory:
    """A frozen teacher's summaries of every slice.

    A relational method's summary of a batch is a Gram matrix; kept is that of all n slices, (n, n)
    a group, of which a batch picks rows and columns. Other summaries are kept slice by slice where
    they fit into ``limit`` bytes, and computed anew in every step where they do not.
    """

    def layers(indices) -> list:
        with torch.no_grad(), autocast(measurement.zero_filled.device, precision):
            return teacher_layers(teacher, teacher_parts, measurement[indices], method, sizes)

    count = len(measurement)
    if method.relational:
        grams = _grams(layers, count, method)
        return Memory(lambda indices: [g[indices][:, indices] for g in grams], sizes)
    first = method.summaries(layers(slice(0, 1)))
    if count * sum(x.numel() * x.element_size() for x in first) > limit:
        return Memory(lambda indices: method.summaries(layers(indices)), sizes)
    rows = [method.summaries(layers(slice(i, i + 8))) for i in range(0, count, 8)]
    kept = [torch.cat(group) for group in zip(*rows, strict=True)]
    return Memory(lambda indices: [_pick(x, indices) for x in kept], sizes)


def _pick(kept: Tensor, indices: Tensor) -> Tensor:
    """``kept[indices]``, (n, ...) -> (b, ...): whole slices at once, in the layout they have."""
    return torch.cat([kept[i : i + 1] for i in indices.tolist()])


def _grams(layers: Callable, count: int, method: Method) -> list[Tensor]:
    """The Gram matrix of all slices, (n, n) a group; features of two blocks at a time."""

    def block(start: int) -> list[Tensor]:
        stop = min(start + size, count)
        rows = [layers(slice(i, min(i + 8, stop))) for i in range(start, stop, 8)]
        return [torch.cat([features for (features,) in group]) for group in zip(*rows, strict=True)]

    one = [features for (features,) in layers(slice(0, 1))]
    size = max(8, int(BLOCK // sum(x.numel() * x.element_size() for x in one)))
    grams = [torch.zeros(count, count, device=x.device) for x in one]
    for start in range(0, count, size):
        rows = block(start)
        for other in range(start, count, size):
            columns = rows if other == start else block(other)
            for gram, r, c in zip(grams, rows, columns, strict=True):
                with full_precision(r):
                    part = method.summary(r, c)
                gram[start : start + size, other : other + size] = part
                gram[other : other + size, start : start + size] = part.T
    return grams
