"""What a frozen teacher has to say about every training slice, computed once where it fits.

Masks are fixed and nothing is augmented, so a teacher's summaries of a slice are the same in every
epoch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sftkd_core.consistency import Measurement
from sftkd_core.distillation.distiller import teacher_layers
from sftkd_core.distillation.method import Method
from sftkd_core.distillation.precision import full_precision
from sftkd_core.training import autocast

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
    teacher: nn.Module,
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
