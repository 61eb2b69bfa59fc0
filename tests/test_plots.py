"""Figures: what they show is what they were given; sliders need neither kernel nor network."""

import io
import json
import re

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from sftkd_core import metrics
from sftkd_core.book import plots
from sftkd_core.book.comparisons import Verdict
from sftkd_core.system import InputError


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


@pytest.fixture
def shown(monkeypatch):
    """What ``explore`` displays, as one bundle by type."""
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: bundles.append(bundle))
    return bundles


def draw(height, colour):
    figure, axis = plt.subplots(figsize=(2, 2))
    axis.bar([0], [height], color=colour)
    return figure


def test_gallery_names_scores_and_residues():
    target = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0))
    image = (target + 0.1).clamp(0, 1)
    figure = plots.gallery({"target": target, "image": image}, target, residues=True)
    titles = [axis.get_title() for axis in figure.axes[:2]]
    assert titles[0] == "target"
    psnr = metrics.psnr(image[None], target[None]).item()
    assert f"{psnr:.2f} dB" in titles[1]
    drawn = figure.axes[3].get_images()[0].get_array()
    np.testing.assert_allclose(drawn, (image - target).abs()[0], atol=1e-6)


def test_gallery_of_the_target_alone_has_no_residues_to_show():
    target = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0))
    figure = plots.gallery({"target": target, "again": target.clone()}, target, residues=True)
    assert [len(axis.get_images()) for axis in figure.axes] == [1, 1, 0, 0]


def test_gallery_refuses_what_is_no_image():
    with pytest.raises(InputError, match="shape"):
        plots.gallery({"stack": torch.zeros(3, 8, 8)})
    with pytest.raises(InputError, match="target"):
        plots.gallery({"image": torch.zeros(8, 8)}, residues=True)


ONE = {"p_slices": 0.1, "p_subjects": 0.1, "slices": 8, "subjects": 2}
MORE = {**ONE, "by_seed": (0.1, 0.2), "effect": 0.5}


def drawn(pairs):
    """The bars, the faces of the dots, and the axis' label of a figure of intervals."""
    axis = plots.intervals(pairs, "dB").axes[0]
    bars = [line.get_xdata().tolist() for line in axis.lines if line.get_marker() == "|"]
    dots = [line for line in axis.lines if line.get_marker() in ("o", "s")]
    faces = [(dot.get_marker(), dot.get_markerfacecolor()) for dot in dots]
    assert [label.get_text() for label in axis.get_yticklabels()] == list(pairs)
    return bars, faces, axis.get_xlabel()


def test_intervals_over_subjects_of_one_training_are_never_filled():
    pairs = {
        "beside zero": metrics.Comparison(0.2, 0.1, 0.3, **ONE),
        "over zero": metrics.Comparison(0.1, -0.1, 0.3, **ONE),
    }
    bars, faces, label = drawn(pairs)
    assert bars == [[0.1, 0.3], [-0.1, 0.3]]
    assert faces == [("o", "white")] * 2
    assert label == "dB\ncircles: bars over the subjects of one training"


def test_intervals_over_seeds_are_filled_where_they_leave_out_zero():
    pairs = {
        "one training": metrics.Comparison(0.2, 0.1, 0.3, **ONE),
        "leaves out": Verdict(0.2, 0.1, 0.3, **MORE),
        "holds": Verdict(0.1, -0.1, 0.3, **MORE),
        "one seed": Verdict(0.1, -np.inf, np.inf, **MORE),
    }
    bars, faces, label = drawn(pairs)
    assert bars == [[0.1, 0.3], [0.1, 0.3], [-0.1, 0.3]]
    assert faces == [("o", "white"), ("s", plots.COLOURS[1]), ("s", "white"), ("s", "white")]
    assert label.splitlines()[1].startswith("circles: bars over the subjects")
    assert label.splitlines()[2].startswith("squares: bars over seeds")


def test_each_seed_is_a_dot_beside_its_interval():
    pairs = {
        "one training": metrics.Comparison(0.2, 0.1, 0.3, **ONE),
        "seeds": Verdict(0.15, 0.1, 0.3, **MORE),
    }
    axis = plots.intervals(pairs, "dB").axes[0]
    (seeds,) = (line for line in axis.lines if line.get_marker() == ".")
    assert list(seeds.get_xdata()) == list(MORE["by_seed"])
    assert all(1 < row < 1.5 for row in seeds.get_ydata())


def test_what_the_study_says_is_drawn_a_row_a_pair_and_not_at_all_where_it_says_nothing():
    found = {("kd", "student"): Verdict(0.2, 0.1, 0.3, **MORE)}
    (axis,) = plots.study(found, 5).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["kd − student"]
    assert "hearts, 5x" in axis.get_xlabel()
    plt.close("all")
    assert plots.study({}, 5) is None
    assert plt.get_fignums() == []


def test_curves_have_a_line_for_each_history():
    history = pd.DataFrame({"epoch": [1, 2, 3], "validation_psnr": [20.0, 25.0, 26.0]})
    axis = plots.curves({"one": history, "two": history + 1}).axes[0]
    assert len(axis.lines) == 2
    np.testing.assert_array_equal(axis.lines[0].get_ydata(), [20, 25, 26])


def test_a_mask_is_drawn_with_its_centre_in_the_middle():
    picture = plots.centred(np.array([True, False, False, False, False]), 3)
    assert picture.shape == (5, 3)
    assert picture[2].all()
    assert picture.sum() == 3


def test_explore_is_one_self_contained_figure(shown):
    plots.explore(draw, 'A "bar" <of> some height.', height=[1, 2, 3], colour=["r", "b"])
    (bundle,) = shown
    page = bundle["text/html"]
    assert len(json.loads(re.search(r'application/json">(.*?)</script>', page)[1])) == 6
    assert page.count('type="range"') == 2
    assert "A &quot;bar&quot; &lt;of&gt; some height." in page
    assert not re.search(r"https?://|src=[\"']//|import ", page)
    assert len(plt.get_fignums()) == 0


def test_explore_moves_in_a_live_kernel(shown):
    import ipywidgets

    plots.explore(draw, "A bar.", height=[1, 2, 3], colour=["r", "b"])
    frames = json.loads(re.search(r'application/json">(.*?)</script>', shown[0]["text/html"])[1])
    view = shown[0]["application/vnd.jupyter.widget-view+json"]
    box = (
        ipywidgets.Widget.widgets[view["model_id"]]
        if hasattr(ipywidgets.Widget, "widgets")
        else ipywidgets.widgets.widget._instances[view["model_id"]]
    )
    height, colour, image = box.children
    import base64

    for i, j in ((0, 0), (2, 0), (2, 1), (0, 1)):
        height.value, colour.value = i, j
        expected = frames[2 * i + j].split(",")[1]
        assert base64.b64encode(image.value).decode() == expected


def test_frames_are_packed_without_loss_where_that_is_lighter(monkeypatch):
    figure = draw(2, "r")
    frame = plots._png(figure)
    form, (packed,) = plots._lightest([frame])
    assert (form, len(packed) < len(frame)) == ("webp", True)
    before, after = (Image.open(io.BytesIO(data)).convert("RGBA") for data in (frame, packed))
    assert np.array_equal(np.asarray(before), np.asarray(after))
    assert plots._lightest([packed]) == ("png", [packed])  # packed again it is no lighter
    monkeypatch.setattr(plots.features, "check", lambda name: False)
    assert plots._lightest([frame]) == ("png", [frame])


@pytest.mark.parametrize("values", [[], list(range(65))])
def test_explore_draws_between_1_and_64_figures(values):
    with pytest.raises(InputError, match="between 1 and 64"):
        plots.explore(draw, "A bar.", height=values)


def test_the_enlarged_square_is_the_framed_one():
    target = torch.rand(32, 40, generator=torch.Generator().manual_seed(0))
    axis = plots.gallery({"target": target}, zoom=(4, 20, 8)).axes[0]
    (inset,) = axis.child_axes
    np.testing.assert_array_equal(inset.get_images()[0].get_array(), target[4:12, 20:28])
    assert axis.patches[0].get_xy() == (20, 4)
