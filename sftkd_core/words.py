"""Sentences that follow from comparisons, no stronger than their intervals."""

from sftkd_core.metrics import Comparison
from sftkd_core.significance import Verdict


def verdict(
    a: str, b: str, found: Comparison | Verdict, unit: str = "dB", digits: int | None = None
) -> str:
    """What a paired difference ``a - b`` of a metric says, with its interval, without a full stop.

    digits  after the point; None takes two, or three for a difference below 0.02

    >>> verdict("kd", "student", Comparison(0.1, 0.05, 0.15, 0.01, 0.01, 80, 10))
    '**kd** is ahead of **student** by 0.10 dB (95 % interval +0.05 to +0.15)'
    """
    if digits is None:
        digits = 2 if abs(found.mean) >= 0.02 else 3
    numbers = f"{found.low:+.{digits}f} to {found.high:+.{digits}f}"
    if found.low == float("-inf"):
        return (
            f"**{a}** minus **{b}** is {found.mean:+.{digits}f} {unit}, with one seed: no interval"
        )
    if isinstance(found, Comparison) and found.subjects == 1:
        return (
            f"**{a}** minus **{b}** is {found.mean:+.{digits}f} {unit}, on one subject: no interval"
        )
    if not found.clear:
        return (
            f"**{a}** and **{b}** cannot be told apart "
            f"({found.mean:+.{digits}f} {unit}, 95 % interval {numbers})"
        )
    side = "ahead of" if found.mean > 0 else "behind"
    return (
        f"**{a}** is {side} **{b}** by {abs(found.mean):.{digits}f} {unit} "
        f"(95 % interval {numbers})"
    )
