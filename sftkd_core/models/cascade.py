"""DC-CNN: a cascade of small convolutional networks, each followed by data consistency."""

from itertools import pairwise
from math import inf

from torch import Tensor, nn
from torch.nn.functional import relu

from sftkd_core.consistency import Measurement, data_consistency
from sftkd_core.errors import InputError
from sftkd_core.models.staged import Staged
from sftkd_core.models.thin import convolve


class CascadeStage(nn.Module):
    """One block of the cascade: ``n`` 3x3 convolutions (ReLU between), then data consistency.

    1 -> channels -> ... -> channels -> 1, with bias, without a residual connection (Schlemper et
    al. 2017 add one; SFT-KD-Recon does not).
    """

    def __init__(self, convolutions: int, channels: int, lam: float, form: str | None):
        super().__init__()
        widths = [1, *[channels] * (convolutions - 1), 1]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel_size=3, padding=1) for before, after in pairwise(widths)
        )
        self.lam, self.form = lam, form

    def forward(
        self, image: Tensor, measurement: Measurement, keep: list[Tensor] | None = None
    ) -> Tensor:
        """``(..., b, 1, h, w) -> (..., b, 1, h, w)``; ``keep`` collects convolution outputs."""
        hidden = image.flatten(0, -4)  # branches join the batch: (... b, 1, h, w)
        for index, convolution in enumerate(self.convolutions):
            # what nobody keeps is overwritten: a convolution's output is not needed again
            active = relu(hidden, inplace=keep is None) if index else hidden
            hidden = convolve(convolution, active)
            if keep is not None:
                keep.append(hidden)
        return data_consistency(hidden.view(image.shape), measurement, self.lam, self.form)


class Cascade(Staged):
    """DnCm of the paper: ``cascades`` stages of ``convolutions`` convolutions each.

    It starts from the zero-filled magnitude image and keeps the real part after each consistency
    step, as the released code does. D5C5, the teacher, has 141,765 parameters; D3C5 has 49,285.
    """

    def __init__(
        self,
        convolutions: int,
        cascades: int = 5,
        channels: int = 32,
        lam: float = inf,
        form: str | None = None,
    ):
        super().__init__()
        if convolutions < 2 or cascades < 1:
            raise InputError(
                f"a cascade of {cascades} blocks with {convolutions} convolutions cannot be built; "
                "use at least 1 block and 2 convolutions"
            )
        self.stages = nn.ModuleList(
            CascadeStage(convolutions, channels, lam, form) for _ in range(cascades)
        )
