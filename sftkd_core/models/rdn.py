"""DC-RDN: a cascade of recursive dilated networks with data consistency between them.

Sun, Fan, Huang, Ding and Paisley, "Compressed sensing MRI using a recursive dilated network"
(AAAI 2018), in the form that Table 7 of SFT-KD-Recon counts: 28,353 parameters a block, 141,765
for five, as many as DC-CNN with five convolutions, of which it runs fourteen.
"""

from math import inf

from torch import Tensor, nn
from torch.nn.functional import relu

from sftkd_core.consistency import Measurement
from sftkd_core.models.staged import BlockCascade
from sftkd_core.system import Float, InputError

DILATIONS = (1, 2, 3)


class RecursiveDilatedBlock(nn.Module):
    """``x + last(h_n)`` with ``h_0 = first(x)`` and ``h_i = dilated(h_{i-1}) + h_0``.

    ``dilated`` is three 3x3 convolutions of dilation 1, 2, 3, the same in each of the ``passes``;
    ReLU before every convolution but the first.
    """

    def __init__(self, channels: int = 32, passes: int = 4):
        super().__init__()
        if channels < 1 or passes < 1:
            raise InputError(
                f"a recursive block of {channels} channels and {passes} passes cannot be built; "
                "use at least 1 of each"
            )
        self.first = nn.Conv2d(1, channels, kernel_size=3, padding=1)
        self.dilated = nn.ModuleList(
            nn.Conv2d(channels, channels, kernel_size=3, padding=d, dilation=d) for d in DILATIONS
        )
        self.last = nn.Conv2d(channels, 1, kernel_size=3, padding=1)
        self.passes = passes

    def forward(
        self,
        image: Float[Tensor, "b 1 h w"],
        measurement: Measurement | None = None,
        keep: list[Tensor] | None = None,
    ) -> Float[Tensor, "b 1 h w"]:
        """``(b, 1, h, w) -> (b, 1, h, w)``; ``keep`` collects 2 + 3 ``passes`` outputs."""
        outputs = [] if keep is None else keep
        first = self.first(image)
        outputs.append(first)
        hidden = first
        for _ in range(self.passes):
            for convolution in self.dilated:
                hidden = convolution(relu(hidden))
                outputs.append(hidden)
            hidden = hidden + first
        outputs.append(self.last(relu(hidden)))
        return image + outputs[-1]


class DCRDN(BlockCascade):
    """``cascades`` recursive dilated blocks, each followed by data consistency."""

    def __init__(
        self,
        cascades: int = 5,
        channels: int = 32,
        passes: int = 4,
        lam: float = inf,
        form: str | None = None,
    ):
        blocks = (RecursiveDilatedBlock(channels, passes) for _ in range(cascades))
        super().__init__(blocks, lam, form)
