"""A table's worth of experiments: several seeds and accelerations, whatever of it has been run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from sftkd_core import experiments, metrics
from sftkd_core.settings import Setting
from sftkd_core.significance import Verdict, paired

SEEDS = (0, 1, 2, 3, 4)  # of the shipped results
TYPES = {  # of the columns of ``evaluate``
    "subject": str,
    "slice": int,
    **dict.fromkeys(metrics.METRICS, float),
    "acceleration": float,
    "seed": int,
    "name": str,
}


def status(settings: Sequence[Setting], names: Sequence[str]) -> pd.DataFrame:
    """Which cells are there: one row an experiment, one column a setting, True where trained."""
    columns = {label(setting): [_has(setting, name) for name in names] for setting in settings}
    return pd.DataFrame(columns, index=list(names))


def label(setting: Setting) -> str:
    """``4x, seed 0``."""
    return f"{setting.acceleration:g}x, seed {setting.seed}"


def evaluate(settings: Sequence[Setting], names: Sequence[str]) -> pd.DataFrame:
    """Every slice's metrics of every network that has been trained; nothing is trained here.

    Returns rows with acceleration, seed, name, subject, slice, psnr, ssim, ...; an experiment that
    has not been run has no rows.
    """
    tables = [
        setting.evaluate(name).assign(
            acceleration=setting.acceleration, seed=setting.seed, name=name
        )
        for setting in settings
        for name in names
        if _has(setting, name)
    ]
    if not tables:
        return pd.DataFrame(columns=list(TYPES)).astype(TYPES)
    return pd.concat(tables, ignore_index=True)


def over_seeds(
    setting: Setting, a: str, b: str, metric: str = "psnr", seeds: Sequence[int] = SEEDS
) -> Verdict | None:
    """The paired difference ``a - b`` over the setting's seed and others, as far as they are there.

    Seeds at which both have been trained count; nothing is trained here. One seed gives a verdict
    without an interval, none gives None.
    """
    chosen = [replace(setting, seed=seed) for seed in sorted({setting.seed, *seeds})]
    complete = [one for one in chosen if _has(one, a) and _has(one, b)]
    if not complete:
        return None
    slices = evaluate(complete, [a, b])
    return paired(*(slices[slices["name"] == name] for name in (a, b)), metric)


def beside(
    setting: Setting, versus: Mapping[tuple[str, str], metrics.Comparison]
) -> dict[str, metrics.Comparison | Verdict]:
    """Rows for ``plots.intervals``: what one training gave and, where there are several, the seeds.

    versus  names of the plan (a, b) and their paired difference ``a - b`` in PSNR
    """
    rows = {}
    for (a, b), found in versus.items():
        rows[f"{a} − {b}"] = found
        seeds = over_seeds(setting, a, b)
        if seeds is not None and len(seeds.by_seed) > 1:
            rows[f"{a} − {b}, {len(seeds.by_seed)} seeds"] = seeds
    return rows


def _has(setting: Setting, name: str) -> bool:
    return name == "zero-filled" or experiments.exists(setting.experiment(name))
