"""Masks: exact counts, fixed centre, reproducible, published files, clear errors."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftkd_core import masks
from sftkd_core.system import InputError

PUBLISHED = Path(__file__).parents[2] / "shared" / "data" / "masks"
KINDS = [masks.cartesian_mask, masks.equispaced_mask]


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(lines=st.integers(1, 400), acceleration=st.floats(1, 12))
def test_exact_count_and_centre(kind, lines, acceleration):
    count = int(lines / acceleration + 1e-9)
    centre = min(10, count)
    if count == 0:
        with pytest.raises(InputError, match="acceleration"):
            kind(lines, acceleration, centre_lines=centre)
        return
    mask = kind(lines, acceleration, centre_lines=centre)
    assert mask.dtype == bool
    assert mask.shape == (lines,)
    assert mask.sum() == count
    frequencies = np.abs(np.fft.fftfreq(lines) * lines).round()
    assert mask[frequencies < centre // 2].all()  # un-shifted: low frequencies at both ends


@pytest.mark.parametrize(("lines", "acceleration", "count"), [
    (240, 4, 60), (240, 5, 48), (150, 4, 37), (150, 5, 30), (240, 1, 240), (96, 4, 24),
])  # fmt: skip
def test_counts_of_the_paper(lines, acceleration, count):
    for kind in KINDS:
        assert kind(lines, acceleration).sum() == count


def test_seeds():
    assert (masks.cartesian_mask(seed=3) == masks.cartesian_mask(seed=3)).all()
    assert (masks.cartesian_mask(seed=3) != masks.cartesian_mask(seed=4)).any()


def test_density_falls_towards_the_edge():
    total = sum(masks.cartesian_mask(240, 4, seed).astype(int) for seed in range(200))
    centred = np.fft.fftshift(total)
    assert centred[80:110].mean() > 2 * centred[:40].mean() > 0


@pytest.mark.parametrize("acceleration", [0.5, 0, -4, float("nan"), float("inf")])
def test_acceleration_below_one(acceleration):
    with pytest.raises(InputError, match=r"acceleration is .* >= 1"):
        masks.cartesian_mask(240, acceleration)


def test_acceleration_above_what_the_centre_allows():
    with pytest.raises(InputError, match="fewer than the 10 centre lines; use at most 24"):
        masks.cartesian_mask(240, 30)
    assert masks.cartesian_mask(240, 24).sum() == 10


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published masks are not beside the clone")
@pytest.mark.parametrize(("name", "lines", "count"), [
    ("brain_4x", 240, 60), ("brain_5x", 240, 48), ("cardiac_4x", 150, 37), ("cardiac_5x", 150, 30),
])  # fmt: skip
def test_published_masks(name, lines, count):
    mask = masks.load_mask(PUBLISHED / f"{name}.npy")
    assert mask.shape == (lines,)
    assert mask.sum() == count
    assert mask[[0, 1, -1]].all()  # un-shifted: line 0 is the centre


def test_load_mask_takes_either_orientation(tmp_path):
    mask = masks.cartesian_mask(24, 2)
    for index, array in enumerate(
        [mask, mask.astype(float), np.tile(mask[:, None], 9), np.tile(mask, (9, 1))]
    ):
        path = tmp_path / f"{index}.npy"
        np.save(path, array)
        assert (masks.load_mask(path) == mask).all()


def test_bad_mask_files(tmp_path):
    def saved(array, **options):
        np.save(tmp_path / "mask.npy", array, **options)
        return tmp_path / "mask.npy"

    with pytest.raises(InputError, match="does not exist"):
        masks.load_mask(tmp_path / "absent.npy")
    with pytest.raises(InputError, match="constant along no axis"):
        masks.load_mask(saved(np.eye(5)))
    with pytest.raises(InputError, match="value 2"):
        masks.load_mask(saved(np.array([0, 1, 2])))
    with pytest.raises(InputError, match="measures nothing"):
        masks.load_mask(saved(np.zeros(5)))
    with pytest.raises(InputError, match=r"not a plain \.npy"):
        masks.load_mask(saved(np.array([{}], dtype=object), allow_pickle=True))
    (tmp_path / "text.npy").write_text("not an array")
    with pytest.raises(InputError, match=r"not a plain \.npy"):
        masks.load_mask(tmp_path / "text.npy")
    np.savez(tmp_path / "several.npz", a=np.ones(3))
    with pytest.raises(InputError, match="several arrays"):
        masks.load_mask(tmp_path / "several.npz")


def test_check_mask():
    with pytest.raises(InputError, match="mask has 5 lines but the images have 6 rows"):
        masks.check_mask(np.ones(5), 6)
    with pytest.raises(InputError, match=r"value nan"):
        masks.check_mask(np.array([0, np.nan, 1]))
    with pytest.raises(InputError, match="dtype"):
        masks.check_mask(np.array(["a"]))
    with pytest.raises(InputError, match="shape"):
        masks.check_mask(np.ones((2, 2, 2)))


def test_the_comb_is_even_and_slides():
    still, slid = (
        np.fft.fftshift(masks.equispaced_mask(240, 4, 10, offset=offset)) for offset in (0, 0.5)
    )
    outer = np.r_[still[:115], still[125:]]  # 50 lines of 230
    assert set(np.diff(np.flatnonzero(outer))) == {4, 5}
    assert slid.sum() == still.sum()
    assert (slid != still).any()
