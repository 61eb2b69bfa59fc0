"""How many trainings a question needs, and what those that there are can detect.

One-sample tests of the data sets' mean differences, as ``protocol.answer`` makes them; ``spread``
is the standard deviation of these means, in dB as the effects are.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from sftkd_core.book.protocol import ALPHA, EFFECT
from sftkd_core.system import InputError

WANTED = 0.8
MOST = 10_000  # data sets, beyond which nobody trains


def power(spread: float, data_sets: int, effect: float = EFFECT, alpha: float = ALPHA) -> float:
    """The chance of a two-sided t test to find a true difference of ``effect``, with its sign.

    Raises ``InputError`` where the spread is not positive or there are fewer than two data sets.
    """
    from statsmodels.stats.power import TTestPower

    _check(spread, data_sets)
    # the other tail would find the other sign
    half = {"alpha": alpha / 2, "alternative": "larger"}
    return float(TTestPower().power(abs(effect) / spread, data_sets, **half))


def equivalence_power(
    spread: float, data_sets: int, effect: float = EFFECT, alpha: float = ALPHA
) -> float:
    """The chance of two one-sided tests to call a true difference of zero smaller than ``effect``.

    The mean over all estimates of the spread (chi-squared) that the mean, plus its one-sided bound,
    stays within ``effect``. Schuirmann (1987). Raises ``InputError`` as ``power``.
    """
    _check(spread, data_sets)
    error, free = spread / np.sqrt(data_sets), data_sets - 1
    quantiles = (np.arange(4000) + 0.5) / 4000
    estimated = error * np.sqrt(stats.chi2.ppf(quantiles, free) / free)
    room = np.clip(effect - stats.t.ppf(1 - alpha, free) * estimated, 0, None)
    return float((2 * stats.norm.cdf(room / error) - 1).mean())


def needed(
    spread: float, effect: float = EFFECT, alpha: float = ALPHA, wanted: float = WANTED
) -> int:
    """The fewest data sets whose test finds ``effect`` with the wanted power; ``MOST`` at most."""
    return _fewest(lambda n: power(spread, n, effect, alpha) >= wanted)


def needed_for_equivalence(
    spread: float, effect: float = EFFECT, alpha: float = ALPHA, wanted: float = WANTED
) -> int:
    """The fewest data sets that call a true zero smaller than ``effect`` with the wanted power."""
    return _fewest(lambda n: equivalence_power(spread, n, effect, alpha) >= wanted)


def detectable(
    spread: float, data_sets: int, alpha: float = ALPHA, wanted: float = WANTED
) -> float:
    """The smallest true difference, dB, that so many data sets find with the wanted power.

    Raises ``InputError`` as ``power``.
    """
    _check(spread, data_sets)
    high = spread
    while power(spread, data_sets, high, alpha) < wanted:
        high *= 2
    short = partial(_short_of, spread, data_sets, alpha, wanted)
    return float(brentq(short, 1e-6 * spread, high))


def _short_of(spread: float, data_sets: int, alpha: float, wanted: float, effect: float) -> float:
    return power(spread, data_sets, effect, alpha) - wanted


def _fewest(enough: Callable[[int], bool]) -> int:
    """By doubling, then by halves: power grows with the number."""
    high = 2
    while high < MOST and not enough(high):
        high = min(2 * high, MOST)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if middle >= 2 and enough(middle) else (middle, high)
    return high


def _check(spread: float, data_sets: int) -> None:
    if not spread > 0:
        raise InputError(f"the spread is {spread} dB; pass a standard deviation above zero")
    if data_sets < 2:
        raise InputError(f"{data_sets} data set(s) have no spread; train two at least")
