"""A table's worth of experiments: several seeds and accelerations, whatever of it has been run."""

from collections.abc import Sequence

import pandas as pd

from sftkd_core import experiments, metrics
from sftkd_core.settings import Setting

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


def _has(setting: Setting, name: str) -> bool:
    return name == "zero-filled" or experiments.exists(setting.experiment(name))
