"""What ``reconstruct`` says of a scan when it is done."""

from dataclasses import dataclass, field

import numpy as np
import torch

from sftkd_core import metrics
from sftkd_core.cli.models import Trained
from sftkd_core.data.formats import Scan
from sftkd_core.models.cascade import ComplexCascade
from sftkd_core.system import counted, describe

_NAMES = {1: "lines", 2: "points"}  # of masks of so many dimensions


@dataclass
class Report:
    """What is known after the last slice: qualities of each slice, time, phase."""

    rows: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    slices: int = 0
    seconds: float = 0.0  # for everything
    network: float = 0.0  # of these, for the network
    imaginary: float = 0.0  # energy that stays imaginary, of k-space's symmetric centre
    energy: float = 0.0

    def add(self, name: str, image: np.ndarray, target: np.ndarray) -> None:
        """Compare slices (b, h, w) with their targets, each over its target's maximum."""
        peak = target.max((1, 2), keepdims=True)
        there = peak[:, 0, 0] > 0
        ours, true = (torch.from_numpy(x[there] / peak[there])[:, None] for x in (image, target))
        if not there.any():
            return
        row = self.rows.setdefault(name, {"psnr": [], "ssim": []})
        row["psnr"] += metrics.psnr(ours, true, reduction="slice").tolist()
        row["ssim"] += metrics.ssim(ours, true, reduction="slice").tolist()

    def means(self) -> dict[str, tuple[float, float]]:
        """PSNR in dB and SSIM of each row, means over slices; infinite where all are equal."""
        found = {}
        for name, row in self.rows.items():
            psnr = np.array(row["psnr"])
            psnr = psnr[np.isfinite(psnr)]  # equal images have none
            found[name] = (float(psnr.mean()) if psnr.size else np.inf, float(np.mean(row["ssim"])))
        return found

    def show(self, scan: Scan, mask: np.ndarray, trained: Trained) -> None:
        """Print it."""
        each = f"{mask.sum()} of {mask.size} {_NAMES[mask.ndim]} each"
        how, over = f"measured again with {each}", "its maximum"
        if scan.measured is not None:
            how, over = f"as measured {each}", "its zero-filled maximum"
        print(f"{counted(self.slices, 'slice')}, {how}; each over {over}")
        self._show_phase(scan, trained)
        means = self.means()
        for name, (psnr, ssim) in means.items():
            print(f"{name:12} PSNR {psnr:6.2f} dB (of slices, mean)   SSIM {ssim:.4f}")
        if not self.rows:
            print("no target: nothing to compare with")
        elif means[trained.name][0] < means["zero-filled"][0]:
            print(
                f"warning: {trained.name} is worse than what it was given, the zero-filled images; "
                "what it learnt does not fit this scan, so use these, or try another --model"
            )
        if "coils alone" in means and means[trained.name][0] < means["coils alone"][0]:
            print(f"warning: {trained.name} is worse than what the coils give without a network")
        device = describe(next(trained.model.parameters()).device)
        print(
            f"time: {self.seconds:.1f} s; of these the network {self.network:.1f} s, "
            f"{1000 * self.network / self.slices:.0f} ms a slice ({device})"
        )

    def _show_phase(self, scan: Scan, trained: Trained) -> None:
        if scan.coils:
            print(
                f"coils: {scan.coils}, combined by their sensitivities; {trained.name} learnt on "
                "one coil, and the samples of all are put back after each of its stages"
            )
        elif scan.has_phase and scan.measured is None:
            print("phase: left out; the magnitude is what is measured again and reconstructed")
        elif self.energy:
            both = isinstance(trained.model, ComplexCascade)
            print(
                f"phase: {self.imaginary / self.energy:.1%} of the central energy stays imaginary "
                "after each column's phase is removed; the network sees "
                + ("both parts" if both else "the real part only")
            )
