"""What chapters ask of a ``Setting`` besides its experiments: words, slices, other seeds."""

import numpy as np
import pytest
import torch

from sftkd_core.book import Setting
from sftkd_core.book.setting import PROFILES
from sftkd_core.experiments import objectives

SMALL = Setting("smoke", device="cpu")


def test_a_phantom_is_called_synthetic_and_a_scan_scanned(monkeypatch):
    assert SMALL.kind == "synthetic"
    monkeypatch.setattr(Setting, "synthetic", False)
    assert SMALL.kind == "scanned"


@pytest.mark.parametrize("profile", PROFILES)
def test_only_the_smoke_profile_has_a_caveat(profile):
    caveat = Setting(profile).caveat
    assert bool(caveat) == (profile == "smoke")
    assert caveat == "" or caveat.startswith("\n\n")  # a paragraph of its own, after any text


def test_four_slices_are_pictured_in_the_order_of_the_set():
    pictured, count = SMALL.pictured, len(SMALL.test_set.images)
    assert pictured == sorted(set(pictured))
    assert len(pictured) == 4
    assert 0 <= pictured[0] <= pictured[-1] < count


@pytest.mark.parametrize("split", ["train", "validation"])
def test_examples_are_what_a_training_sees(split):
    images = SMALL.dataset.load(split).images
    whole, few = SMALL.examples(split), SMALL.examples(split, slice(1, 3))
    torch.testing.assert_close(whole.targets, images, rtol=0, atol=0)
    own = SMALL.sampling.measure(images, split)
    torch.testing.assert_close(whole.measurement.kspace, own.kspace, rtol=0, atol=0)
    torch.testing.assert_close(few.targets, images[1:3], rtol=0, atol=0)
    torch.testing.assert_close(few.measurement.zero_filled, own.zero_filled[1:3])
    assert few.targets.device == SMALL.torch_device


def weights(experiment):
    return torch.cat([p.flatten() for p in objectives.network(experiment).parameters()])


@pytest.mark.parametrize("seed", [5, 9])
def test_crossed_seeds_share_the_data_and_differ_in_weights(seed):
    """Of profile study: seeds 5 to 9 see what 0 to 4 see, and start elsewhere."""
    one, other = Setting("study", seed=seed - 5), Setting("study", seed=seed)
    for part in ("dataset", "elsewhere", "sampling"):
        assert getattr(one, part) == getattr(other, part)
    for name in ("teacher", "student", "sft-teacher"):
        first, second = one.experiment(name), other.experiment(name)
        assert (first.data, first.sampling) == (second.data, second.sampling)
        assert first.key != second.key
        assert not torch.equal(weights(first), weights(second))


@pytest.mark.parametrize(("profile", "seed"), [("study", 10), ("study", 99), ("quick", 5)])
def test_other_seeds_have_data_of_their_own(profile, seed):
    setting, crossed = Setting(profile, seed=seed), Setting(profile, seed=seed % 5)
    assert setting.data_seed == setting.dataset.seed == seed
    assert setting.dataset != crossed.dataset
    # of study, all seeds share one mask
    same = np.array_equal(setting.sampling.mask(64), crossed.sampling.mask(64))
    assert same == (profile == "study")


def test_a_grid_holds_its_own_setting_once():
    assert SMALL.grid([]) == SMALL.grid([0]) == [SMALL]
    grid = Setting("smoke", seed=3, acceleration=4).grid([0, 3, 1], [5, 4.0, 8])
    cells = [(one.acceleration, one.seed) for one in grid]
    assert cells == [(r, s) for r in (4, 5, 8) for s in (0, 1, 3)]
    assert {one.profile for one in grid} == {"smoke"}
    assert not np.array_equal(grid[0].mask, grid[1].mask)
