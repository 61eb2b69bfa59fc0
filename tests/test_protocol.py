"""The protocol's rule: intervals over data sets, Holm, two one-sided tests, the mixed model."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.tools.sm_exceptions import ConvergenceWarning

from sftkd_core.book import Setting, comparisons, protocol
from sftkd_core.book.plan import PLAN
from sftkd_core.book.profiles import PROFILES
from sftkd_core.system import InputError


def test_questions_are_four_and_of_the_plan():
    assert len(protocol.PRIMARY) == 4
    for question in (*protocol.PRIMARY, *protocol.DESCRIPTIVE):
        assert {question.a, question.b} <= set(PLAN)


def test_an_answer_is_a_t_test_over_trainings():
    values = [0.11, 0.25, 0.02, 0.19, 0.08]
    found = protocol.answer(dict(enumerate(values)))
    reference = stats.ttest_1samp(values, 0)
    low, high = reference.confidence_interval(0.95)
    assert found.p == pytest.approx(reference.pvalue)
    assert (found.low, found.high) == pytest.approx((low, high))
    upper = stats.ttest_1samp(values, protocol.EFFECT, alternative="less").pvalue
    lower = stats.ttest_1samp(values, -protocol.EFFECT, alternative="greater").pvalue
    assert found.p_outside == pytest.approx(max(upper, lower))


def test_seeds_with_the_same_data_are_averaged_first():
    five = {0: 0.1, 1: 0.3, 2: 0.2, 3: 0.0, 4: 0.1}
    ten = five | {s + 5: v + 0.02 for s, v in five.items()}
    once, twice = protocol.answer(five), protocol.answer(ten)
    assert twice.mean == pytest.approx(once.mean + 0.01)
    assert twice.high - twice.low == pytest.approx(once.high - once.low)
    assert (once.trainings, twice.trainings) == (5, 10)


def test_one_training_answers_nothing():
    one = protocol.answer({3: 0.4})
    assert one.low == -np.inf
    assert one.p == 1
    assert protocol.answer({}) is None
    assert protocol.verdicts([one, None]) == ["not run", "not run"]


def test_verdicts_are_corrected_for_the_family():
    def made(values):
        return protocol.answer(dict(enumerate(values)))

    clear = made([0.50, 0.52, 0.49, 0.51, 0.50])
    same = made([0.01, -0.02, 0.00, 0.02, -0.01])
    unsure = made([0.5, -0.4, 0.3, -0.2, 0.1])
    barely = made([0.30, 0.01, 0.33, 0.15, 0.45])
    assert barely.p < 0.05 < 3 * barely.p
    family = [clear, same, unsure, barely]
    assert protocol.verdicts(family) == ["differs", "equivalent", "undecided", "undecided"]
    assert protocol.verdicts([barely]) == ["differs"]


def test_the_rule_errs_as_seldom_as_it_says():
    """Four questions without any difference: a false one in at most 5 % of families."""
    random = np.random.default_rng(0)
    wrong = 0
    for _ in range(250):
        family = [protocol.answer(dict(enumerate(random.normal(0, 0.2, 5)))) for _ in range(4)]
        wrong += "differs" in protocol.verdicts(family)
    assert wrong / 250 < 0.09


def test_variances_are_told_apart():
    random = np.random.default_rng(1)
    luck = random.normal(0, 0.3, 5)
    by_seed = {s: float(luck[s % 5] + random.normal(0, 0.05)) for s in range(10)}
    found = protocol.variances(by_seed)
    assert found["weights"] == pytest.approx(0.05, rel=0.6)
    assert found["data"] == pytest.approx(luck.std(ddof=1), rel=0.3)
    with pytest.raises(InputError, match="share no data"):
        protocol.variances({0: 0.1, 1: 0.2})


def test_variances_are_those_of_a_balanced_analysis_of_variance_and_zero_at_the_boundary(recwarn):
    alike = {s: 0.1 * (-1) ** (s // 5) + 0.001 * s for s in range(10)}  # pairs differ, data do not
    unlike = {s: 0.1 * (s % 5) + 0.01 * (-1) ** s for s in range(10)}
    for by_seed in (alike, unlike):
        pairs = np.array([[by_seed[s], by_seed[s + 5]] for s in range(5)])
        between, within = 2 * pairs.mean(1).var(ddof=1), pairs.var(1, ddof=1).mean()
        data = max(0.0, (between - within) / 2)
        weights = within if data else pairs.var(ddof=1)
        found = protocol.variances(by_seed)
        assert found["data"] == pytest.approx(data**0.5, abs=1e-4)
        assert found["weights"] == pytest.approx(weights**0.5, rel=1e-3)
    assert not [w for w in recwarn if issubclass(w.category, ConvergenceWarning)]


def test_nothing_is_answered_where_nothing_is_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("SFTKD_HOME", str(tmp_path))
    monkeypatch.setenv("SFTKD_SHIPPED", "no")
    assert protocol.differences(protocol.PRIMARY[0], seeds=(0,)) == {}


def test_tuning_has_a_place_for_each_share_and_trains_nothing():
    assert protocol.tuning("at") == dict.fromkeys(protocol.TRIED)
    with pytest.raises(InputError):
        protocol.tuning("telepathy")


def test_data_sets_and_their_spread():
    found = protocol.answer({0: 0.1, 5: 0.3, 1: 0.4, 2: 0.0})
    assert found.data_sets == 3
    assert found.spread == pytest.approx(np.std([0.2, 0.4, 0.0], ddof=1))
    assert not found.clear


def test_the_study_is_not_set_beside_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("SFTKD_HOME", str(tmp_path))
    monkeypatch.setenv("SFTKD_SHIPPED", "yes")
    own = comparisons.headroom(Setting("study", "cardiac", 4, 0, "cpu"))
    assert own.count("dB") == 1
    assert "(hearts)" not in own
    beside = comparisons.headroom(Setting("quick", "brain", 4, 0, "cpu"))
    assert beside.count(" dB ") == 2
    assert "(hearts)" in beside


def test_what_is_asked_again_meets_subjects_of_its_own():
    data = PROFILES["study"].data_seed
    earlier = {data(seed) for seed in (*protocol.STUDY_SEEDS, protocol.TUNING)}
    assert len({data(seed) for seed in protocol.FRESH}) == len(protocol.FRESH)
    assert not earlier & {data(seed) for seed in protocol.FRESH}
    asked = {(q.a, q.b) for q in protocol.AGAIN}
    assert asked < {(q.a, q.b) for q in protocol.DESCRIPTIVE}  # they were found by looking
