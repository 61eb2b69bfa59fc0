"""Figures of the book: galleries of images, curves, intervals, and figures with sliders.

Functions return matplotlib figures; colours are distinct to the colour-blind (Okabe and Ito).
"""

import base64
import html
import io
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from string import Template
from uuid import uuid4

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image, features

from sftkd_core import metrics
from sftkd_core.book.comparisons import Verdict
from sftkd_core.system import InputError

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8C6D31"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]


def use_style() -> None:
    """The look of the book's figures; call it once at the start of a chapter."""
    plt.rcParams.update(
        {
            "axes.prop_cycle": plt.cycler(color=COLOURS, marker=MARKERS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "figure.constrained_layout.use": True,
            "figure.facecolor": "white",
            "figure.dpi": 110,
            "font.size": 10,
            "lines.markersize": 4,
            "image.cmap": "gray",
            "image.interpolation": "nearest",  # pixels as they are, and smaller files
        }
    )


def gallery(
    images: Mapping[str, object],
    target=None,
    residues: bool = False,
    zoom: tuple[int, int, int] | None = None,
    window: tuple[float, float] = (0.0, 1.0),
    width: float = 2.2,
    arrows: Sequence[tuple[int, int]] = (),
) -> Figure:
    """Images side by side, each ``(h, w)`` or ``(1, h, w)``, in one grey window.

    target    with it, PSNR and SSIM (data range 1) stand above each image
    residues  a second row with ``|image - target|``, all on one colour scale
    zoom      (row, column, size) of a square that is enlarged in the lower right corner
    arrows    (row, column) of places that an arrow points at, in every picture
    """
    arrays = {name: _plane(image) for name, image in images.items()}
    if residues and target is None:
        raise InputError("residues need a target; pass target=")
    truth = None if target is None else _plane(target)
    rows = 2 if residues else 1
    height, breadth = next(iter(arrays.values())).shape
    figure, axes = plt.subplots(
        rows,
        len(arrays),
        figsize=(width * len(arrays) + 0.7 * residues, width * height / breadth * rows + 0.5),
        squeeze=False,
    )
    for axis, (name, array) in zip(axes[0], arrays.items(), strict=True):
        axis.imshow(array, vmin=window[0], vmax=window[1])
        axis.set_title(_caption(name, array, truth), fontsize=9)
        if zoom:
            _inset(axis, array, zoom, window)
    if residues:
        errors = {name: np.abs(array - truth) for name, array in arrays.items()}
        highest = max(np.quantile(error, 0.995) for error in errors.values()) or 1.0
        shown = None
        for axis, error in zip(axes[1], errors.values(), strict=True):
            if not error.any():  # the target itself: nothing to show
                axis.set_axis_off()
                continue
            shown = axis.imshow(error, vmin=0, vmax=highest, cmap="inferno")
        if shown is not None:
            figure.colorbar(shown, ax=axes[1], shrink=0.8, label="absolute error")
    for axis in axes.flat:
        for row, column in arrows:
            _arrow(axis, row, column, height)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    return figure


def curves(
    histories: Mapping[str, pd.DataFrame], column: str = "validation_psnr", label: str = ""
) -> Figure:
    """A column of training histories against the epoch, one line each."""
    figure, axis = plt.subplots(figsize=(6.5, 3.4))
    for name, history in histories.items():
        every = max(1, len(history) // 12)
        axis.plot(history["epoch"], history[column], label=name, markevery=every)
    axis.set_xlabel("epoch")
    axis.locator_params(axis="x", integer=True)
    axis.set_ylabel(label or column.replace("_", " "))
    axis.legend(frameon=False)
    return figure


def boxes(values: Mapping[str, Mapping[str, Sequence[float]]], label: str) -> Figure:
    """Box plots: one panel a key, one box a name in it; whiskers at the 5th and 95th percentile."""
    figure, axes = plt.subplots(1, len(values), figsize=(3 * len(values) + 1, 3.4), squeeze=False)
    for axis, (title, group) in zip(axes[0], values.items(), strict=True):
        drawn = axis.boxplot(
            list(group.values()),
            whis=(5, 95),
            patch_artist=True,
            medianprops={"color": "black", "marker": ""},
            flierprops={"marker": ".", "markersize": 3},
        )
        for box, colour in zip(drawn["boxes"], itertools.cycle(COLOURS), strict=False):
            box.set(facecolor=colour, alpha=0.5)
        axis.set_xticks(range(1, len(group) + 1), list(group), rotation=45, ha="right")
        axis.set_title(title, fontsize=10)
    axes[0][0].set_ylabel(label)
    return figure


def intervals(comparisons: Mapping[str, metrics.Comparison | Verdict], label: str) -> Figure:
    """Paired differences with their intervals, one row each; the axis says what they are over.

    A ``Comparison`` is of one training: a hollow circle, and a bar over its subjects. A ``Verdict``
    is a square with a bar over seeds, filled where the bar leaves out zero, and a dot for each
    seed; of one seed, no bar.
    """
    figure, axis = plt.subplots(figsize=(6.5, 0.42 * len(comparisons) + 1.2))
    for row, found in enumerate(comparisons.values()):
        seeds = isinstance(found, Verdict)
        colour, marker = COLOURS[seeds], MARKERS[seeds]
        if np.isfinite(found.low):
            axis.plot([found.low, found.high], [row, row], color=colour, marker="|")
        if isinstance(found, Verdict):
            each = [row + 0.25] * len(found.by_seed)
            axis.plot(found.by_seed, each, ".", color=colour, alpha=0.6, markersize=5)
        face = colour if isinstance(found, Verdict) and found.clear else "white"
        axis.plot(found.mean, row, marker, color=colour, markerfacecolor=face, markersize=7)
    axis.axvline(0, color="0.5", linewidth=1, marker="")
    axis.set_yticks(range(len(comparisons)), list(comparisons))
    axis.set_ylim(len(comparisons) - 0.5, -0.5)
    kinds = {isinstance(found, Verdict) for found in comparisons.values()}
    notes = {False: "circles: bars over the subjects of one training"}
    notes[True] = "squares: bars over seeds, dots: each seed; filled: without zero"
    axis.set_xlabel("\n".join([label, *(notes[kind] for kind in sorted(kinds))]))
    axis.locator_params(axis="x", nbins=6)  # long small numbers do not overlap
    return figure


def study(found: Mapping[tuple[str, str], Verdict], acceleration: float) -> Figure | None:
    """What ``comparisons.in_the_study`` found, a row a pair; nothing where that is empty."""
    if not found:
        return None
    label = f"difference of PSNR (dB), profile study: hearts, {acceleration:g}x"
    return intervals({f"{a} − {b}": v for (a, b), v in found.items()}, label)


def centred(mask: np.ndarray, columns: int | None = None) -> np.ndarray:
    """An un-shifted line mask as the usual picture: the centre of k-space in the middle, (h, w)."""
    lines = np.fft.fftshift(np.asarray(mask))
    return np.repeat(lines[:, None], columns or len(lines), axis=1)


def explore(draw: Callable[..., Figure], alt: str, **choices: Sequence) -> None:
    """Show a figure with sliders: ``draw(**values)`` for each choice of values.

    Every combination is drawn once and goes into the page with a few lines of script:
    the sliders work on the published page without a kernel and without any other host. Where a
    kernel is live, an ipywidgets (7 or 8) version of the same figure takes its place.

    alt      what the figure shows, for those who cannot see it
    choices  one slider each: its name in ``draw`` and the values it takes (64 figures at most)
    """
    combinations = list(itertools.product(*choices.values()))
    if not 0 < len(combinations) <= 64:
        raise InputError(
            f"{len(combinations)} combinations of slider values; offer between 1 and 64"
        )
    frames = [_png(draw(**dict(zip(choices, values, strict=True)))) for values in combinations]
    form, frames = _lightest(frames)
    urls = [f"data:image/{form};base64,{base64.b64encode(frame).decode()}" for frame in frames]
    bundle = {"text/html": _explorer(urls, alt, choices), "text/plain": alt}
    bundle |= _widget(frames, choices, form)
    from IPython.display import display

    display(bundle, raw=True)


def _explorer(frames: list[str], alt: str, choices: Mapping[str, Sequence]) -> str:
    page = Template((resources.files(__package__) / "explore.html").read_text(encoding="utf-8"))
    sliders = []
    for name, values in choices.items():
        label, texts = html.escape(_words(name)), _texts(values)
        sliders.append(
            f'<label><span>{label}</span><input type="range" min="0" max="{len(texts) - 1}" '
            f'value="0" step="1" data-values="{html.escape(json.dumps(texts))}" '
            f'aria-label="{label}"><output>{html.escape(texts[0])}</output></label>'
        )
    return page.substitute(
        identity=f"explore-{uuid4().hex[:12]}",
        alt=html.escape(alt),
        first=frames[0],
        frames=json.dumps(frames),
        sliders="\n".join(sliders),
    )


def _widget(frames: list[bytes], choices: Mapping[str, Sequence], form: str = "png") -> dict:
    """The same frames behind ipywidgets, for a live kernel; {} where they are missing."""
    try:
        import ipywidgets
    except ImportError:
        return {}
    sliders = [
        ipywidgets.SelectionSlider(
            options=[(text, place) for place, text in enumerate(_texts(values))],
            description=_words(name),
            style={"description_width": "9em"},
        )
        for name, values in choices.items()
    ]
    # an Image, not an Output that captures: notebook runners lose messages to the latter
    image = ipywidgets.Image(value=frames[0], format=form)

    def show(_):
        index = 0
        for slider in sliders:
            index = index * len(slider.options) + slider.value
        image.value = frames[index]

    for slider in sliders:
        slider.observe(show, "value")
    box = ipywidgets.VBox([*sliders, image])
    view = "application/vnd.jupyter.widget-view+json"
    if hasattr(box, "_repr_mimebundle_"):
        bundle = box._repr_mimebundle_()
        return {view: bundle[view]} if view in bundle else {}
    # ipywidgets 7, as in Colab, displays itself and has no such bundle; the format is the same
    if not getattr(box, "model_id", None):  # no kernel
        return {}
    return {view: {"version_major": 2, "version_minor": 0, "model_id": box.model_id}}


def _png(figure: Figure) -> bytes:
    """A figure as PNG; the figure is closed."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    plt.close(figure)
    return buffer.getvalue()


def _lightest(frames: list[bytes]) -> tuple[str, list[bytes]]:
    """PNGs as WebP without loss where that is lighter in all, else as they are; and which.

    Method 2 of 6 takes half the time of the default for a fiftieth more bytes.
    """
    if not features.check("webp"):
        return "png", frames
    packed = []
    for frame in frames:
        buffer = io.BytesIO()
        Image.open(io.BytesIO(frame)).save(buffer, format="webp", lossless=True, method=2)
        packed.append(buffer.getvalue())
    lighter = sum(map(len, packed)) < sum(map(len, frames))
    return ("webp", packed) if lighter else ("png", frames)


def _texts(values: Sequence) -> list[str]:
    return [f"{value:g}" if isinstance(value, float) else str(value) for value in values]


def _words(name: str) -> str:
    return name.replace("_", " ").strip()


def _plane(image) -> np.ndarray:
    array = image.detach().cpu().numpy() if isinstance(image, torch.Tensor) else np.asarray(image)
    array = array.squeeze()
    if array.ndim != 2:
        raise InputError(f"an image of a gallery has shape {array.shape}; pass (h, w)")
    return array


def _caption(name: str, array: np.ndarray, truth: np.ndarray | None) -> str:
    if truth is None or array is truth or np.array_equal(array, truth):
        return name
    image, target = (torch.from_numpy(np.ascontiguousarray(x))[None, None] for x in (array, truth))
    psnr, ssim = metrics.psnr(image, target).item(), metrics.ssim(image, target).item()
    return f"{name}\n{psnr:.2f} dB, {ssim:.3f}"


def _inset(axis, array: np.ndarray, zoom: tuple[int, int, int], window) -> None:
    row, column, size = zoom
    inset = axis.inset_axes([0.55, 0.0, 0.45, 0.45 * array.shape[1] / array.shape[0]])
    inset.imshow(array[row : row + size, column : column + size], vmin=window[0], vmax=window[1])
    inset.set_xticks([])
    inset.set_yticks([])
    for spine in inset.spines.values():
        spine.set(color=COLOURS[5], linewidth=1.2, visible=True)
    axis.add_patch(
        Rectangle((column, row), size, size, fill=False, edgecolor=COLOURS[5], linewidth=1.2)
    )


def _arrow(axis, row: int, column: int, height: int) -> None:
    start = (column - height / 6, row - height / 6)
    look = {"arrowstyle": "->", "color": COLOURS[5], "linewidth": 1.5}
    axis.annotate("", (column, row), start, arrowprops=look)
