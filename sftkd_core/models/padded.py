"""DC-CNN as released for hearts: five pixels of zeros around the image before every block."""

from math import inf

from torch import Tensor, nn
from torch.nn.functional import pad

from sftkd_core.consistency import Measurement, data_consistency
from sftkd_core.models.cascade import CascadeStage
from sftkd_core.models.staged import Staged
from sftkd_core.models.thin import convolve

MARGIN = 5


class PaddedStage(CascadeStage):
    """``CascadeStage`` on the padded image; cropped again before data consistency."""

    def forward(
        self, image: Tensor, measurement: Measurement, keep: list[Tensor] | None = None
    ) -> Tensor:
        """As ``CascadeStage``; ``keep`` collects outputs of the padded size."""
        hidden = pad(image.flatten(0, -4), (MARGIN,) * 4)
        for index, convolution in enumerate(self.convolutions):
            hidden = convolve(convolution, hidden.relu() if index else hidden)
            if keep is not None:
                keep.append(hidden)
        inner = hidden[..., MARGIN:-MARGIN, MARGIN:-MARGIN].reshape(image.shape)
        return data_consistency(inner, measurement, self.lam, self.form)


class PaddedCascade(Staged):
    """``Cascade`` of ``PaddedStage``: the same weights, another edge."""

    def __init__(self, convolutions: int, cascades: int = 5, channels: int = 32, lam: float = inf):
        super().__init__()
        self.stages = nn.ModuleList(
            PaddedStage(convolutions, channels, lam, form=None) for _ in range(cascades)
        )
