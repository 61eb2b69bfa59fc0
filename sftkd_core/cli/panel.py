"""A picture of a reconstruction: a few slices, each as target, zero-filled, network, error."""

import io

import numpy as np
from matplotlib.figure import Figure

PLACES = (0.3, 0.5, 0.7)  # of the slices, from first to last


class Panel:
    """Keeps three slices while they pass by, and draws them.

    count   slices of the scan
    aspect  height over width of a pixel
    plane   "axial" or the like, or ""
    """

    def __init__(self, count: int, aspect: float = 1.0, plane: str = ""):
        self.aspect, self.plane = aspect, plane
        self.wanted = sorted({round(place * (count - 1)) for place in PLACES})
        self.kept: dict[int, list[np.ndarray]] = {}
        self.has_target = False

    def add(
        self, indices: np.ndarray, target: np.ndarray | None, zero_filled: np.ndarray,
        image: np.ndarray,
    ) -> None:  # fmt: skip
        """Slices (b, h, w) with their indices in the scan."""
        self.has_target = target is not None
        for row, index in enumerate(indices):
            if index in self.wanted or not self.kept:  # the three may all be empty
                pictures = [zero_filled[row], image[row]]
                if target is not None:
                    pictures = [target[row], *pictures, np.abs(image[row] - target[row])]
                self.kept[int(index)] = pictures

    def png(self, name: str) -> bytes:
        """The picture; ``name`` is the network's."""
        titles = ["zero-filled", name]
        if self.has_target:
            titles = ["target", *titles, "absolute error"]
        figure = self._draw(titles)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=130)
        return buffer.getvalue()

    def _draw(self, titles: list[str]) -> Figure:
        rows = {index: self.kept[index] for index in self.wanted if index in self.kept} or self.kept
        height, width = next(iter(rows.values()))[0].shape
        tall = min(3.0, 2.2 * self.aspect * height / width)
        # without pyplot: no window system, nothing left open
        figure = Figure(figsize=(2.3 * len(titles) + 0.8, tall * len(rows) + 0.5))
        figure.set_layout_engine("constrained")
        axes = figure.subplots(len(rows), len(titles), squeeze=False)
        for axis, title in zip(axes[0], titles, strict=True):
            axis.set_title(title, fontsize=10)
        for line, (index, pictures) in zip(axes, rows.items(), strict=True):
            line[0].set_ylabel(f"{self.plane} slice {index}".strip(), fontsize=9)
            # over the target's maximum; without a target, over the reconstruction's
            brightest = float(pictures[0 if self.has_target else -1].max()) or 1.0
            for axis, picture, title in zip(line, pictures, titles, strict=True):
                self._show(figure, axis, picture / brightest, title)
        for axis in axes.flat:
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
        return figure

    def _show(self, figure: Figure, axis, picture: np.ndarray, title: str) -> None:
        """One picture; errors in colours with a scale, shares of the slice's maximum."""
        # pixels as they are, and smaller files
        how = {"aspect": self.aspect, "interpolation": "nearest", "vmin": 0}
        if title != "absolute error":
            axis.imshow(picture, cmap="gray", vmax=1, **how)
            return
        highest = float(np.quantile(picture, 0.995)) or 1.0
        shown = axis.imshow(picture, cmap="inferno", vmax=highest, **how)
        figure.colorbar(shown, ax=axis, shrink=0.85, label="share of the maximum")
