"""Power: against formulas of their own and against counts."""

import numpy as np
import pytest
from scipy import stats

from sftkd_core.book import power, protocol
from sftkd_core.system import InputError


@pytest.mark.parametrize("n", [2, 5, 10])
def test_power_is_that_of_the_noncentral_t(n):
    critical = stats.t.ppf(0.975, n - 1)
    above = stats.nct.sf(critical, n - 1, 0.1 * np.sqrt(n) / 0.2)
    assert power.power(0.2, n) == pytest.approx(above, rel=1e-3)


def test_equivalence_is_found_as_often_as_it_says():
    random = np.random.default_rng(0)
    draws = random.normal(0, 0.08, (400, 5))
    counted = np.mean([protocol.answer(dict(enumerate(d))).p_outside < 0.05 for d in draws])
    assert power.equivalence_power(0.08, 5) == pytest.approx(counted, abs=0.08)


@pytest.mark.parametrize("spread", [0.02, 0.1, 0.3])
def test_the_fewest_are_enough_and_one_fewer_is_not(spread):
    for count, chance in (
        (power.needed(spread), power.power),
        (power.needed_for_equivalence(spread), power.equivalence_power),
    ):
        assert chance(spread, count) >= 0.8
        assert count == 2 or chance(spread, count - 1) < 0.8


@pytest.mark.parametrize("alpha", [0.05, 0.0125])
def test_what_is_detectable_has_the_wanted_power(alpha):
    effect = power.detectable(0.2, 5, alpha)
    assert power.power(0.2, 5, effect, alpha) == pytest.approx(0.8, abs=1e-3)
    assert power.detectable(0.2, 10, alpha) < effect


def test_more_than_anybody_trains_is_the_most():
    assert power.needed(5.0, 0.001) == power.MOST


@pytest.mark.parametrize(("spread", "n", "words"), [(0.0, 5, "0.0 dB"), (0.2, 1, "1 data set")])
def test_what_has_no_power(spread, n, words):
    with pytest.raises(InputError, match=words):
        power.power(spread, n)
