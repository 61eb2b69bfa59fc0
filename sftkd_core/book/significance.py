"""The statistics of comparisons: corrected p values, effect sizes, differences over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
import pandas as pd
from scipy import stats

from sftkd_core.metrics import signed_rank_p
from sftkd_core.system import InputError

KEYS = ["seed", "subject", "slice"]


def holm(p_values: Sequence[float]) -> np.ndarray:
    """P values corrected for their number by Holm's step-down method, in the order given.

    A family of n comparisons whose corrected values are compared with alpha has a chance of at most
    alpha to hold one false claim. Holm (1979).
    """
    p = np.asarray(p_values, dtype=float)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise InputError(f"p values are {p_values}; pass a list of numbers in [0, 1]")
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1)
    return corrected


def rank_biserial(differences: Sequence[float]) -> float:
    """Effect size of a signed-rank test: +1 if all differences are positive, -1 if all negative.

    The sum of ranks of the positive differences minus that of the negative, over both; 0 where
    all are zero. Kerby (2014).
    """
    d = np.asarray(differences, dtype=float)
    d = d[d != 0]
    if d.size == 0:
        return 0.0
    ranks = stats.rankdata(np.abs(d))
    return float((ranks * np.sign(d)).sum() / ranks.sum())


@dataclass(frozen=True)
class Verdict:
    """A paired difference ``a - b`` of a metric, over slices, subjects and seeds.

    mean        of the seeds' means; of seeds that share their data, of the mean of these
    low, high   95 % interval over seeds: Student's t on the seeds' means, of seeds that share their
                data (column ``data_seed``) on the mean of these; infinite for one
    by_seed     the mean of each seed
    p_subjects  two-sided Wilcoxon signed-rank test on the means of subjects
    p_slices    the same on slices (presumably the paper's), which takes slices of a subject for
                independent
    effect      rank-biserial correlation of the subjects' means
    subjects    how many there are; one that recurs under several seeds, as scans do, counts once,
                with its differences averaged over them (phantoms are new for each seed)
    slices      the same of slices
    seeds       those of ``by_seed``, in their order
    """

    mean: float
    low: float
    high: float
    by_seed: tuple[float, ...]
    p_subjects: float
    p_slices: float
    effect: float
    subjects: int
    slices: int
    seeds: tuple[int, ...] = ()

    @property
    def clear(self) -> bool:
        """Whether the interval over seeds leaves out zero."""
        return self.low > 0 or self.high < 0


def paired(
    a: pd.DataFrame, b: pd.DataFrame, metric: str = "psnr", confidence: float = 0.95
) -> Verdict:
    """Compare two tables of slices (columns seed, subject, slice, and the metric), paired by slice.

    Seeds that only one of the tables has are left out. Raises ``InputError`` where none is shared,
    where the slices of a seed differ, where a column is missing, or for a ``confidence`` outside
    (0, 1).
    """
    for table in (a, b):
        for column in (*KEYS, metric):
            if column not in table.columns:
                known = ", ".join(map(str, table.columns))
                raise InputError(
                    f"a table has no column {column!r}, but {known}; name another metric, or pass "
                    "a table of evaluate"
                )
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence}; it must lie between 0 and 1")
    seeds = sorted(set(a["seed"]) & set(b["seed"]))
    if not seeds:
        raise InputError("the two tables share no seed; evaluate both with at least one in common")
    # which data a seed has: its own, unless the tables say that seeds share some
    data = dict(zip(a["seed"], a.get("data_seed", a["seed"]), strict=True))
    a, b = (t[t["seed"].isin(seeds)].set_index(KEYS)[metric].sort_index() for t in (a, b))
    if not a.index.equals(b.index):
        raise InputError("the two tables hold different slices; evaluate both on the same test set")
    difference = a - b
    by_seed = difference.groupby(level="seed").mean()
    within = difference.groupby(level=["seed", "subject"])
    by_subject = within.mean().groupby(level="subject").mean()
    # where a subject's slices stand in a test set can differ by seed; their order does not
    subjects, order = difference.index.get_level_values("subject"), within.cumcount().to_numpy()
    by_slice = difference.groupby([subjects, order]).mean()
    units = by_seed.groupby(data).mean().to_numpy()
    low, high = t_interval(units, confidence)
    return Verdict(
        mean=float(units.mean()),
        low=low,
        high=high,
        by_seed=tuple(by_seed),
        p_subjects=signed_rank_p(by_subject.to_numpy()),
        p_slices=signed_rank_p(by_slice.to_numpy()),
        effect=rank_biserial(by_subject),
        subjects=len(by_subject),
        slices=len(by_slice),
        seeds=tuple(seeds),
    )


def t_interval(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """Student's t interval of the mean of independent values; infinite for fewer than two."""
    if len(values) < 2:
        return -inf, inf
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1)
    half /= sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)
