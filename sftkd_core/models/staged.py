"""The shape that every teacher and student shares: a stem, N stages, a head."""

from collections.abc import Iterable
from math import inf

from torch import Tensor, nn

from sftkd_core.consistency import Measurement, data_consistency
from sftkd_core.system import Float, InputError


class Staged(nn.Module):
    """A network of stages: ``measurement -> state -> ... -> state -> image``.

    Subclasses fill ``self.stages`` (an ``nn.ModuleList`` of modules called as
    ``stage(state, measurement) -> state``) and override ``stem`` and ``head`` where the state is
    not an image. A state has shape ``(..., b, c, h, w)``; leading axes are branches that go
    through the same stage together (see ``sft.StudentFriendlyTeacher``).

    ``state_channels`` is c between two stages: 1 for networks that pass images on.
    """

    stages: nn.ModuleList
    state_channels: int = 1

    def stem(self, measurement: Measurement) -> Float[Tensor, "b c h w"]:
        """The first state: the zero-filled magnitude image, ``(b, 1, h, w)``."""
        return measurement.zero_filled

    def head(
        self, state: Float[Tensor, "*branches b c h w"], measurement: Measurement
    ) -> Float[Tensor, "*branches b 1 h w"]:
        """The image of the last state, ``(..., b, 1, h, w)``."""
        return state

    def forward(self, measurement: Measurement) -> Float[Tensor, "b 1 h w"]:
        """Reconstruct: ``(b, 1, h, w)`` float images."""
        state = self.stem(measurement)
        for stage in self.stages:
            state = stage(state, measurement)
        return self.head(state, measurement)

    def features(
        self, measurement: Measurement
    ) -> tuple[Float[Tensor, "b 1 h w"], list[list[Float[Tensor, "_ _ _ _"]]]]:
        """Reconstruct, and keep the output of every convolution.

        Returns the images ``(b, 1, h, w)`` and ``features[stage][convolution]``, each
        ``(b, c, h, w)``: the convolution's output before its ReLU.
        """
        kept: list[list[Tensor]] = []
        state = self.stem(measurement)
        for stage in self.stages:
            kept.append([])
            state = stage(state, measurement, kept[-1])
        return self.head(state, measurement), kept

    def states(self, measurement: Measurement) -> list[Float[Tensor, "b 1 h w"]]:
        """Reconstruct, and keep the image (b, 1, h, w) behind each stage; the last is the output.

        Where a state is not an image, it is the image that the head would make of it.
        """
        images: list[Tensor] = []
        state = self.stem(measurement)
        for stage in self.stages:
            state = stage(state, measurement)
            images.append(self.head(state, measurement))
        return images


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
        self,
        image: Float[Tensor, "*branches b 1 h w"],
        measurement: Measurement,
        keep: list[Tensor] | None = None,
    ) -> Float[Tensor, "*branches b 1 h w"]:
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
