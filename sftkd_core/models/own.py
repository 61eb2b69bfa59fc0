"""Stages of your own: any modules from an image to an image, as a network that all else knows."""

from collections.abc import Iterable
from math import inf

from torch import Tensor, nn

from sftkd_core.consistency import Measurement
from sftkd_core.models.hooks import outputs_of
from sftkd_core.models.staged import BlockCascade
from sftkd_core.system import Float, InputError


class OwnCascade(BlockCascade):
    """Blocks of your own in a row, each followed by data consistency.

    blocks  modules called as ``block(image)``, (b, 1, h, w) -> (b, 1, h, w); nothing of them is
            known or changed. A module may stand there twice: its weights are then shared
    lam     trust in the measurement, see ``data_consistency``; 0 leaves consistency out

    The network is ``Staged``: it can be a student-friendly teacher, its student, or tapped by
    any method. Its features are the outputs of the ``Conv2d`` in each block, in the order in which
    they run. Raises ``InputError`` for what is no module, and for a block that returns another
    shape than it was given.

    >>> from sftkd_core import sft
    >>> def blocks(width):
    ...     mine = lambda: nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, 1, 1))
    ...     return [mine() for _ in range(3)]
    >>> joint = sft.StudentFriendlyTeacher(OwnCascade(blocks(8)), OwnCascade(blocks(4)))
    >>> len(joint.branches)
    2
    """

    def __init__(self, blocks: Iterable[nn.Module], lam: float = inf, form: str | None = None):
        super().__init__([_OwnBlock(block) for block in blocks], lam, form)


class _OwnBlock(nn.Module):
    """A module as the block of a ``ConsistentStage``."""

    def __init__(self, module: nn.Module):
        super().__init__()
        if not isinstance(module, nn.Module):
            raise InputError(
                f"a block is {module!r}; pass torch modules, from an image to an image"
            )
        self.module = module

    def forward(
        self,
        image: Float[Tensor, "b 1 h w"],
        measurement: Measurement | None = None,
        keep: list[Tensor] | None = None,
    ) -> Float[Tensor, "b 1 h w"]:
        """``(b, 1, h, w) -> (b, 1, h, w)``; ``keep`` collects what its convolutions give."""
        if keep is None:
            return self._called(image)
        layers = {n: m for n, m in self.module.named_modules() if isinstance(m, nn.Conv2d)}
        with outputs_of(layers) as found:
            output = self._called(image)
        keep += [layer for _, layer in found]
        return output

    def _called(self, image: Tensor) -> Tensor:
        kind = type(self.module).__name__
        try:
            output = self.module(image)
        except RuntimeError as error:  # torch's own, of shapes, types and devices
            raise InputError(
                f"a block of {kind} cannot be called on an image {tuple(image.shape)} "
                f"{image.dtype} ({str(error).splitlines()[0]}); it must take such an image"
            ) from error
        if isinstance(output, Tensor) and output.shape == image.shape:
            return output
        given = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise InputError(
            f"a block of {kind} makes {given} of an image {tuple(image.shape)}; it must return an "
            "image of the same shape"
        )
