"""The numbers of a chapter's run, beside its pages: for the table of many runs.

Where ``SFTKD_REPORT`` names a file, each call of ``number`` adds a line of JSON to it; elsewhere
nothing happens. ``Setting.evaluate`` and ``comparisons.compare`` call it, so chapters need not; one
that has another number to tell calls it too.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from sftkd_core import metrics
from sftkd_core.metrics import Comparison
from sftkd_core.system import InputError

VARIABLE = "SFTKD_REPORT"
COLUMNS = ("data", "acceleration", "seed", "name", "metric", "value", "low", "high")


def number(
    name: str,
    metric: str,
    value: float,
    low: float | None = None,
    high: float | None = None,
    **where: str | float,
) -> None:
    """Report one number.

    name      of what it is the metric: an experiment, or a difference "a - b"
    metric    "psnr", "seconds", ...; a word of your own
    low, high an interval, if there is one
    where     the data, acceleration and seed of a network, where the chapter has several

    >>> number("student", "psnr", 31.2, acceleration=8)
    >>> number("student", "psnr", 31.2, colour="red")
    Traceback (most recent call last):
        ...
    sftkd_core.system.InputError: no column colour in a report; it has data, acceleration, seed, ...
    """
    unknown = set(where) - set(COLUMNS[:3])
    if unknown:
        raise InputError(
            f"no column {', '.join(sorted(unknown))} in a report; it has {', '.join(COLUMNS)}"
        )
    row = {**where, "name": name, "metric": metric, "value": value, "low": low, "high": high}
    place = os.environ.get(VARIABLE)
    if place:
        with open(place, "a", encoding="utf-8") as file:
            file.write(json.dumps(row, default=float) + "\n")


def network(setting, name: str, table: pd.DataFrame) -> None:
    """Report the mean over test slices of each metric of a network."""
    if VARIABLE in os.environ:
        for metric in metrics.METRICS:
            number(name, metric, float(table[metric].mean()), **_where(setting))


def differences(setting, found: Mapping[tuple[str, str], Comparison], metric: str) -> None:
    """Report paired differences ``a - b`` with their intervals over subjects."""
    for (a, b), one in found.items():
        number(f"{a} - {b}", metric, one.mean, one.low, one.high, **_where(setting))


def _where(setting) -> dict:
    """What tells a chapter's networks of several settings apart."""
    return {"data": setting.data, "acceleration": setting.acceleration, "seed": setting.seed}


def read(path: str | Path) -> list[dict]:
    """The numbers of a file, each once: what was said last; none where there is no file."""
    path = Path(path)
    if not path.exists():
        return []
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    said = {tuple(row.get(c) for c in COLUMNS[:5]): row for row in rows}
    return list(said.values())
