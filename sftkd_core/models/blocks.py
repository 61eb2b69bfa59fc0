"""Cascades of any image-to-image block, each followed by data consistency."""

from collections.abc import Iterable
from math import inf

from torch import Tensor, nn

from sftkd_core.consistency import Measurement, data_consistency
from sftkd_core.errors import InputError
from sftkd_core.models.staged import Staged


class ConsistentStage(nn.Module):
    """A block, then data consistency.

    ``block(image, measurement, keep)`` maps (b, 1, h, w) to (b, 1, h, w) and appends the output
    of each of its convolutions to the list ``keep`` unless that is None.
    """

    def __init__(self, block: nn.Module, lam: float = inf, form: str | None = None):
        super().__init__()
        self.block = block
        self.lam, self.form = lam, form

    def forward(
        self, image: Tensor, measurement: Measurement, keep: list[Tensor] | None = None
    ) -> Tensor:
        """``(..., b, 1, h, w) -> (..., b, 1, h, w)``; ``keep`` collects convolution outputs."""
        output = self.block(image.flatten(0, -4), measurement, keep)  # branches join the batch
        return data_consistency(output.reshape(image.shape), measurement, self.lam, self.form)


class BlockCascade(Staged):
    """Blocks in a row, each followed by data consistency; it starts as ``Cascade`` does."""

    def __init__(self, blocks: Iterable[nn.Module], lam: float = inf, form: str | None = None):
        super().__init__()
        self.stages = nn.ModuleList(ConsistentStage(block, lam, form) for block in blocks)
        if not self.stages:
            raise InputError("a cascade of 0 blocks cannot be built; use at least 1 block")
