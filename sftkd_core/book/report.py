"""The numbers of a chapter's run, beside its pages: for the table of many runs.

Where ``SFTKD_REPORT`` names a file, each call of ``number`` adds a line of JSON to it; elsewhere
nothing happens. ``Setting.evaluate`` and ``comparisons.compare`` call it, so chapters need not; one
that has another number to tell calls it too. ``workflow/run_chapter.py`` reads the file.
"""

import json
import os
from collections.abc import Mapping

import pandas as pd
import torch

from sftkd_core import metrics
from sftkd_core.metrics import Comparison
from sftkd_core.system import InputError, describe

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
    _say({**where, "name": name, "metric": metric, "value": value, "low": low, "high": high})


def device(place: torch.device) -> None:
    """Report on what a chapter runs, in words."""
    if VARIABLE in os.environ:
        _say({"device": describe(place)})


def _say(row: dict) -> None:
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
