"""Corrected tests, effect sizes and intervals against their definitions; sentences about them."""

import doctest
from dataclasses import replace
from itertools import pairwise
from math import inf, isinf

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sftkd_core.book import comparisons, significance
from sftkd_core.book.comparisons import Verdict, holm, paired, rank_biserial
from sftkd_core.book.plan import PLAN
from sftkd_core.book.setting import Setting
from sftkd_core.data import Dataset
from sftkd_core.distillation import METHODS
from sftkd_core.metrics import Comparison
from sftkd_core.system import InputError

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_holm_by_hand():
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 = 0.02, 0.03, 0.06, 0.04 -> 0.06 stays
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([0.02]) == pytest.approx([0.02])
    assert holm([]).size == 0


@given(P_VALUES)
@settings(max_examples=60, deadline=None)
def test_holm_keeps_the_order_and_lies_between_none_and_bonferroni(p):
    corrected = holm(p)
    assert (corrected >= np.array(p)).all()
    assert (corrected <= np.minimum(1, len(p) * np.array(p))).all()
    assert all(a <= b for a, b in pairwise(corrected[np.argsort(p, kind="stable")]))
    assert corrected[int(np.argmin(p))] == min(1, len(p) * min(p))
    assert holm(p[::-1]) == pytest.approx(corrected[::-1])


@given(P_VALUES, st.floats(0.001, 0.5))
@settings(max_examples=60, deadline=None)
def test_holm_rejects_step_by_step(p, alpha):
    """From the smallest, against alpha / n, alpha / (n - 1), ..., until one is larger."""
    rejected = set()
    for step, index in enumerate(np.argsort(p, kind="stable")):
        if p[index] * (len(p) - step) > alpha:
            break
        rejected.add(p[index])
    assert {p[i] for i in np.flatnonzero(holm(p) <= alpha)} == rejected


@pytest.mark.parametrize("wrong", [[0.1, 1.2], [-0.1], [float("nan")], [[0.1]], 0.1])
def test_holm_refuses_what_are_no_p_values(wrong):
    with pytest.raises(InputError, match=r"p values are .*pass a list of numbers in \[0, 1\]"):
        holm(wrong)


def slow_rank_biserial(differences):
    """Walsh averages: share of pairs (i <= j) whose sum is positive, less that of negative ones."""
    d = [x for x in differences if x != 0]
    sums = [d[i] + d[j] for i in range(len(d)) for j in range(i, len(d))]
    return sum(np.sign(sums)) / len(sums) if d else 0.0


@given(st.lists(st.integers(-20, 20), max_size=15))
@settings(max_examples=80, deadline=None)
def test_rank_biserial_is_its_definition(differences):
    assert rank_biserial(differences) == pytest.approx(slow_rank_biserial(differences))
    assert -1 <= rank_biserial(differences) <= 1
    assert rank_biserial([-x for x in differences]) == pytest.approx(-rank_biserial(differences))


def test_rank_biserial_at_its_ends():
    assert rank_biserial([1, 2, 3]) == 1
    assert rank_biserial([-1, -2, -3, 0]) == -1
    assert rank_biserial([0, 0]) == rank_biserial([]) == 0
    assert rank_biserial([-1, 2, 3]) == pytest.approx((2 + 3 - 1) / 6)


def table(seeds, shift=0.0, spread=0.3, subjects=5, slices=4, noise=0, scans=False):
    """Subjects are new for each seed, as phantoms are; ``scans`` recur under every seed."""
    rows = []
    for seed in seeds:
        draw = np.random.default_rng((seed, noise))
        for subject in range(subjects):
            for index in range(slices):
                common = 30 + 2 * subject + 0.1 * index
                name = f"{0 if scans else seed}-{subject}"
                rows.append((seed, name, index, common + shift + spread * draw.normal()))
    return pd.DataFrame(rows, columns=["seed", "subject", "slice", "psnr"])


def test_paired_against_scipy():
    a, b = table(range(4), shift=0.2), table(range(4), noise=1)
    found = paired(a.sample(frac=1, random_state=0), b)  # rows in any order
    difference = a["psnr"] - b["psnr"]
    by_subject = [difference[part.index].mean() for _, part in a.groupby(["seed", "subject"])]
    by_seed = [difference[a["seed"] == seed].mean() for seed in range(4)]
    low, high = stats.t.interval(0.95, 3, loc=np.mean(by_seed), scale=stats.sem(by_seed))
    assert found.mean == pytest.approx(difference.mean())
    assert found.by_seed == pytest.approx(by_seed)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p_subjects == pytest.approx(stats.wilcoxon(by_subject).pvalue)
    assert found.p_slices == pytest.approx(stats.wilcoxon(difference).pvalue)
    assert found.effect == pytest.approx(slow_rank_biserial(by_subject))
    assert (found.subjects, found.slices) == (20, 80)
    narrower = paired(a, b, confidence=0.5)
    assert narrower.high - narrower.low < found.high - found.low


def test_scans_that_recur_under_every_seed_count_once():
    a, b = table(range(3), shift=0.1, scans=True), table(range(3), noise=1, scans=True)
    found = paired(a, b)
    difference = (a["psnr"] - b["psnr"]).to_numpy().reshape(3, 5, 4)  # seed, subject, slice
    by_subject, by_slice = difference.mean((0, 2)), difference.mean(0).ravel()
    assert (found.subjects, found.slices) == (5, 20)
    assert found.p_subjects == pytest.approx(stats.wilcoxon(by_subject).pvalue)
    assert found.p_slices == pytest.approx(stats.wilcoxon(by_slice).pvalue)
    assert found.effect == pytest.approx(slow_rank_biserial(by_subject))
    assert found.by_seed == pytest.approx(difference.mean((1, 2)))
    assert found.mean == pytest.approx(difference.mean())


def test_scans_of_which_each_seed_tests_others_are_told_apart():
    """A folder is split by seed: a subject's slices then stand elsewhere in the test set."""
    a, b = table(range(2), shift=0.1, scans=True), table(range(2), noise=1, scans=True)
    one = paired(a, b)
    moved = [t.assign(slice=t["slice"] + 4 * t["seed"]) for t in (a, b)]
    assert paired(*moved) == one
    parts = [t[(t["seed"] == 0) | ~t["subject"].isin(["0-0", "0-1"])] for t in (a, b)]
    found = paired(*parts)
    assert (found.subjects, found.slices) == (5, 20)
    assert found.mean == pytest.approx(np.mean(found.by_seed))  # as the interval around it
    assert found.mean == pytest.approx((found.low + found.high) / 2)


def test_phantoms_are_new_for_each_seed():
    """The numbers of synthetic data are those of all pairs of seed and subject."""
    names = [set(Dataset("brain", 16, 1, 1, 1, 2, s).load("test").subjects) for s in range(3)]
    assert len(set.union(*names)) == 6


@pytest.mark.parametrize(("change", "options", "message"), [
    (lambda t: t, {"metric": "pnsr"}, "no column 'pnsr', but seed, subject, slice, psnr"),
    (lambda t: t.drop(columns="seed"), {}, "no column 'seed'"),
    (lambda t: t, {"confidence": 0}, "confidence is 0; it must lie between 0 and 1"),
    (lambda t: t, {"confidence": 1}, "confidence is 1"),
    (lambda t: t, {"confidence": 95}, "confidence is 95"),
    (lambda t: t, {"confidence": float("nan")}, "confidence is nan"),
])  # fmt: skip
def test_wrong_questions_are_named(change, options, message):
    with pytest.raises(InputError, match=message):
        paired(table([0, 1]), change(table([0, 1], noise=1)), **options)


def test_another_metric():
    a, b = table([0, 1]), table([0, 1], noise=1)
    renamed = [t.rename(columns={"psnr": "ssim"}) for t in (a, b)]
    assert paired(*renamed, metric="ssim") == paired(a, b)


def test_one_seed_has_no_interval():
    found = paired(table([3], shift=5), table([3], noise=1))
    assert isinf(found.low)
    assert isinf(found.high)
    assert not found.clear
    assert len(found.by_seed) == 1


def test_only_seeds_in_common_count():
    a, b = table([0, 1, 2], shift=1), table([1, 2, 5], noise=1)
    inner = paired(table([1, 2], shift=1), table([1, 2], noise=1))
    assert paired(a, b) == inner
    with pytest.raises(InputError, match="share no seed"):
        paired(table([0]), table([1]))


def test_other_slices_are_refused():
    a, b = table([0, 1]), table([0, 1])
    with pytest.raises(InputError, match="different slices"):
        paired(a, b.iloc[:-1])


def test_no_difference_at_all():
    found = paired(table([0, 1]), table([0, 1]))
    assert (found.mean, found.p_subjects, found.p_slices, found.effect) == (0, 1, 1, 0)
    assert (found.low, found.high) == (0, 0)
    assert not found.clear


def test_an_interval_covers_the_truth_as_often_as_it_says():
    """Of 400 intervals over five seeds at 80 %, about 80 % hold the true difference."""
    draw = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        low, high = significance.t_interval(0.1 + draw.normal(size=5), 0.8)
        held += low <= 0.1 <= high
    assert abs(held / 400 - 0.8) < 4 * np.sqrt(0.8 * 0.2 / 400)


# Sentences


def verdict(mean, low, high, by_seed=(0.1, 0.2)):
    return Verdict(mean, low, high, by_seed, 0.5, 0.5, 0.0, 10, 80)


def one_training(mean, low, high, subjects=10):
    return Comparison(mean, low, high, 0.01, 0.01, 80, subjects)


@pytest.mark.parametrize(("numbers", "sentence"), [
    ((0.1, 0.05, 0.15), "**a** is ahead of **b** by 0.10 dB (95 % interval +0.05 to +0.15)"),
    ((-0.1, -0.15, -0.05), "**a** is behind **b** by 0.10 dB (95 % interval -0.15 to -0.05)"),
    ((0.1, -0.05, 0.25),
     "**a** and **b** cannot be told apart (+0.10 dB, 95 % interval -0.05 to +0.25)"),
])  # fmt: skip
def test_a_verdict_over_seeds_is_no_stronger_than_its_interval(numbers, sentence):
    assert comparisons.verdict("a", "b", verdict(*numbers)) == sentence


@pytest.mark.parametrize("numbers", [(0.1, 0.05, 0.15), (-0.1, -0.15, -0.05), (0.1, -0.05, 0.25)])
def test_one_training_makes_no_verdict_whatever_its_subjects_say(numbers):
    mean, low, high = (f"{number:+.2f}" for number in numbers)
    assert comparisons.verdict("a", "b", one_training(*numbers)) == (
        f"**a** minus **b** is {mean} dB in this training "
        f"(subjects of this test set: {low} to {high})"
    )
    assert not hasattr(one_training(*numbers), "clear")  # nothing to branch on


def test_a_verdict_of_one_seed_and_other_units():
    one = comparisons.verdict("a", "b", verdict(0.1, -inf, inf, (0.1,)))
    assert one == "**a** minus **b** is +0.10 dB, with one seed: no interval"
    other = comparisons.verdict("a", "b", verdict(0.0123, 0.01, 0.02), unit="SSIM", digits=3)
    assert other == "**a** is ahead of **b** by 0.012 SSIM (95 % interval +0.010 to +0.020)"


def test_examples_in_docstrings():
    assert doctest.testmod(comparisons).attempted >= 1
    assert doctest.testmod(comparisons).failed == 0


def test_one_subject_has_no_interval():
    assert comparisons.verdict("a", "b", one_training(0.2, 0.1, 0.3, subjects=1)) == (
        "**a** minus **b** is +0.20 dB in this training, on one subject: no interval"
    )


# What other seeds say of the same pair, where they have been trained

SMALL = Setting("smoke", device="cpu")
ELSEWHERE = Setting("smoke", acceleration=3, device="cpu")  # where the paper has no numbers


@pytest.fixture
def trained(monkeypatch):
    """Tables of made-up values; ``trained[seed, name] = level`` makes one."""
    levels = {}
    monkeypatch.setattr(Setting, "has", lambda setting, name: (setting.seed, name) in levels)

    def evaluate(self, name):
        return table([self.seed], levels[self.seed, name]).drop(columns="seed")

    monkeypatch.setattr(Setting, "evaluate", evaluate)
    return levels


def test_over_seeds_takes_those_at_which_both_are_there(trained):
    assert comparisons.over_seeds(SMALL, "kd", "student") is None
    trained |= {(0, "kd"): 1.0, (0, "student"): 0.5, (1, "kd"): 9.0, (2, "student"): 9.0}
    one = comparisons.over_seeds(SMALL, "kd", "student")
    assert (one.by_seed, isinf(one.low)) == ((0.5,), True)
    trained |= {(3, "kd"): 1.0, (3, "student"): 0.75, (7, "kd"): 2.0, (7, "student"): 1.0}
    assert comparisons.over_seeds(SMALL, "kd", "student").by_seed == pytest.approx((0.5, 0.25))
    mine = comparisons.over_seeds(replace(SMALL, seed=7), "kd", "student")
    assert mine.by_seed == pytest.approx((0.5, 0.25, 1.0))


def test_findings_put_the_seeds_beside_the_one_training(trained):
    versus = {("kd", "student"): one_training(0.2, 0.1, 0.3)}
    trained |= {(0, "kd"): 0.2, (0, "student"): 0.0}
    first, caution = comparisons.findings(ELSEWHERE, versus)
    assert first == f"- {comparisons.verdict('kd', 'student', versus['kd', 'student'])}."
    assert "one draw" in caution
    assert comparisons.findings(ELSEWHERE, versus, caution=False) == [first]
    trained |= {(1, "kd"): -0.2, (1, "student"): 0.0}
    (only,) = comparisons.findings(ELSEWHERE, versus)
    assert only.startswith(first[:-1])
    assert "; over 2 seeds, **kd** and **student** cannot be told apart (+0.000 dB" in only


def test_findings_put_the_paper_beside_where_it_has_both(trained):
    trained |= {(0, name): 0.0 for name in ("kd", "student", "student-long")}
    versus = dict.fromkeys([("kd", "student"), ("kd", "student-long")], one_training(0.2, 0.1, 0.3))
    first, second = comparisons.findings(SMALL, versus, caution=False)
    assert first.endswith("; the paper has +0.27 dB, on its own data.")  # 39.76 − 39.49, Table 1
    assert "the paper" not in second


def test_the_study_stands_beside_what_quick_gave(monkeypatch):
    """Of hearts, with several trainings; nothing of pairs that were not run, nor beside smoke."""
    here, asked = Setting("quick", device="cpu"), []

    def has(setting, name):
        asked.append((setting.profile, setting.data))
        return name != "kd-pkt" and setting.seed < 3

    level = {"kd": 0.5, "student": 0.0}
    monkeypatch.setattr(Setting, "has", has)
    monkeypatch.setattr(
        Setting, "evaluate", lambda s, n: table([s.seed], level[n]).drop(columns="seed")
    )
    found = comparisons.in_the_study(here, [("kd", "student"), ("kd-pkt", "student")])
    assert list(found) == [("kd", "student")]
    assert found["kd", "student"].seeds == (0, 1, 2)
    assert set(asked) == {("study", "cardiac")}
    told = comparisons.listed(found)
    assert told.startswith("- over 3 trainings, **kd** ")
    assert told.count("\n") == 0
    rows = comparisons.beside(here, {("kd", "student"): one_training(0.2, 0.1, 0.3)})
    assert list(rows) == ["kd − student", "kd − student, 3 seeds", "kd − student, study"]
    assert comparisons.in_the_study(SMALL, [("kd", "student")]) == {}
    study = replace(here, profile="study", data="cardiac")
    assert comparisons.in_the_study(study, [("kd", "student")]) == {}


def test_only_intervals_without_zero_have_a_side():
    made = {"up": (0.2, 0.1, 0.3), "down": (-0.2, -0.3, -0.1), "open": (0.1, -0.1, 0.3)}
    found = {n: Verdict(*v, (0.1, 0.2), 0.1, 0.1, 1.0, 10, 80) for n, v in made.items()}
    assert comparisons.sides(found) == ("up", "down")


def test_a_verdict_names_its_seeds(trained):
    assert paired(table([4, 2]), table([2, 4, 9], noise=1)).seeds == (2, 4)
    trained |= {(s, n): level for s in (1, 3) for n, level in (("kd", 1.0), ("student", 0.5))}
    assert comparisons.over_seeds(SMALL, "kd", "student").seeds == (1, 3)
    assert comparisons.over_seeds(SMALL, "kd", "student", seeds=[3]).seeds == (3,)


def test_a_pair_of_longer_trainings_is_another_pair(monkeypatch):
    """With a factor it is the lengthened experiments that are looked for and evaluated."""
    level = {("kd", 20): 0.1, ("kd", 60): 0.7}
    quick = Setting("quick", device="cpu")

    def evaluate(self, one):
        experiment = self.experiment(one)
        name = "student" if experiment.objective == "reconstruct" else "kd"
        shift = level.get((name, experiment.schedule.epochs), 0.0)
        return table([self.seed], shift).drop(columns="seed")

    monkeypatch.setattr(Setting, "has", lambda setting, name: setting.seed < 2)
    monkeypatch.setattr(Setting, "evaluate", evaluate)
    short = comparisons.over_seeds(quick, "kd", "student")
    long = comparisons.over_seeds(quick, "kd", "student", factor=3)
    assert short.by_seed == pytest.approx((0.1, 0.1))
    assert long.by_seed == pytest.approx((0.7, 0.7))


def test_only_settings_with_all_of_the_experiments_are_complete(trained):
    trained |= {(0, "kd"): 1.0, (0, "student"): 0.5, (1, "kd"): 9.0, (2, "student"): 9.0}
    grid = SMALL.grid([0, 1, 2])
    assert comparisons.complete(grid, ["kd", "student"]) == grid[:1]
    assert comparisons.complete(grid, ["kd"]) == grid[:2]


def test_pairs_are_compared_slice_by_slice_each_network_once(trained, monkeypatch):
    trained |= {(0, "kd"): 1.0, (0, "student"): 0.5, (0, "teacher"): 2.0}
    asked, evaluate = [], Setting.evaluate
    monkeypatch.setattr(
        Setting, "evaluate", lambda self, name: asked.append(name) or evaluate(self, name)
    )
    found = comparisons.compare(SMALL, [("kd", "student"), ("teacher", "student")])
    assert list(found) == [("kd", "student"), ("teacher", "student")]
    assert [one.mean for one in found.values()] == pytest.approx([0.5, 1.5])
    assert sorted(asked) == ["kd", "student", "teacher"]


def test_the_questions_to_a_method_are_of_names_of_the_plan():
    for method in METHODS:
        pairs = comparisons.questions(method)
        assert {name for pair in pairs for name in pair} <= set(PLAN)
    assert comparisons.questions("at")[:2] == [("kd", "student"), ("sft-kd", "kd")]


def test_a_gain_of_gains():
    a, b, c = table([0], 1.0), table([0], 0.25), table([0], 0.5)
    found = paired(comparisons.gain(a, c), comparisons.gain(b, c))
    assert found.mean == pytest.approx(0.75)


def test_an_interval_in_the_cell_of_a_table():
    assert comparisons.interval(verdict(0.1, 0.05, 0.15)) == "+0.05 to +0.15"
    assert comparisons.interval(one_training(0.1, -0.0512, 0.15), digits=3) == "-0.051 to +0.150"
    assert comparisons.interval(verdict(0.1, -inf, inf, (0.1,))) == "one seed"
    assert comparisons.interval(None) == "not run"
