"""Sentences that follow from comparisons, no stronger than their intervals.

Only an interval over seeds carries a verdict: what one training gave says nothing about the next.
"""

from collections.abc import Mapping

from sftkd_core import grid
from sftkd_core.metrics import Comparison
from sftkd_core.settings import Setting
from sftkd_core.significance import Verdict


def verdict(
    a: str, b: str, found: Comparison | Verdict, unit: str = "dB", digits: int | None = None
) -> str:
    """What a paired difference ``a - b`` of a metric says, with its interval, without a full stop.

    found   of one training, a ``Comparison``: what it gave, without a verdict; a ``Verdict`` of
            several seeds: which is ahead, if its interval leaves out zero
    digits  after the point; None takes two, or three for a difference below 0.02

    >>> verdict("kd", "D3C5", Comparison(0.1, 0.05, 0.15, 0.01, 0.01, 80, 10))
    '**kd** minus **D3C5** is +0.10 dB in this training (subjects of this test set: +0.05 to +0.15)'
    >>> verdict("kd", "D3C5", Verdict(0.1, 0.05, 0.15, (0.09, 0.11), 0.01, 0.01, 1.0, 10, 80))
    '**kd** is ahead of **D3C5** by 0.10 dB (95 % interval +0.05 to +0.15)'
    """
    if digits is None:
        digits = 2 if abs(found.mean) >= 0.02 else 3
    numbers = f"{found.low:+.{digits}f} to {found.high:+.{digits}f}"
    difference = f"**{a}** minus **{b}** is {found.mean:+.{digits}f} {unit}"
    if isinstance(found, Comparison):
        if found.subjects == 1:
            return f"{difference} in this training, on one subject: no interval"
        return f"{difference} in this training (subjects of this test set: {numbers})"
    if len(found.by_seed) < 2:
        return f"{difference}, with one seed: no interval"
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


def findings(
    setting: Setting,
    versus: Mapping[tuple[str, str], Comparison],
    digits: int | None = None,
    caution: bool = True,
) -> list[str]:
    """Items of a Markdown list: what this training gave, and what the seeds say where there are.

    versus   names of the plan (a, b) and their paired difference ``a - b`` in PSNR, one training
    caution  with a last item where one training is all there is, which says so

    Nothing is trained.
    """
    lines, alone = [], False
    for (a, b), found in versus.items():
        line = f"- {verdict(a, b, found, digits=digits)}"
        seeds = grid.over_seeds(setting, a, b)
        if seeds is not None and len(seeds.by_seed) > 1:
            line += f"; over {len(seeds.by_seed)} seeds, {verdict(a, b, seeds, digits=digits)}"
        else:
            alone = True
        lines.append(f"{line}.")
    if alone and caution:
        lines.append(
            "- Where no seeds are named there is one training of each network: one draw, and the "
            "next may have the other sign."
        )
    return lines
