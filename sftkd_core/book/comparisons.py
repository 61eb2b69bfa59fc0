"""Claims over several comparisons and several seeds: corrected tests, effect sizes, intervals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import inf, isfinite, sqrt

import numpy as np
import pandas as pd
from scipy import stats

from sftkd_core import experiments, metrics
from sftkd_core.book import paper
from sftkd_core.book.plan import ALIASES
from sftkd_core.book.setting import Setting
from sftkd_core.experiments import Experiment
from sftkd_core.metrics import Comparison, signed_rank_p
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

    mean        of the seeds' means
    low, high   95 % interval over seeds: Student's t on the seeds' means; infinite for one seed
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
    low, high = _t_interval(by_seed.to_numpy(), confidence)
    return Verdict(
        mean=float(by_seed.mean()),
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


def _t_interval(values: np.ndarray, confidence: float) -> tuple[float, float]:
    if len(values) < 2:
        return -inf, inf
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1)
    half /= sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


SEEDS = (0, 1, 2, 3, 4)  # of the shipped results
TYPES = {  # of the columns of ``evaluate``
    "subject": str,
    "slice": int,
    **dict.fromkeys(metrics.METRICS, float),
    "acceleration": float,
    "seed": int,
    "name": str,
}


def questions(method: str) -> list[tuple[str, str]]:
    """The pairs that each chapter on a method asks about, of names of the plan.

    Does the method help a student, does a friendly teacher help the method, and what is left of
    that beside the same start, and beside the same time, without a teacher?
    """
    kd, friendly = (ALIASES.get(name, name) for name in (f"kd-{method}", f"sft-kd-{method}"))
    rivals = ((kd, "student"), (friendly, kd))
    return [*rivals, (friendly, "sft-finetuned"), (friendly, "student-long")]


def compare(
    setting: Setting, pairs: Iterable[tuple[str, str]], metric: str = "psnr"
) -> dict[tuple[str, str], Comparison]:
    """The paired difference ``a - b`` of each pair of names, on the test set of one training.

    What has not been trained is trained now.
    """
    pairs = list(pairs)
    tables = {name: setting.evaluate(name) for name in dict.fromkeys(chain(*pairs))}
    return {(a, b): metrics.compare(tables[a], tables[b], metric) for a, b in pairs}


def gain(a: pd.DataFrame, b: pd.DataFrame, metric: str = "psnr") -> pd.DataFrame:
    """A table of slices that holds ``a - b`` in place of the metric: to compare two gains."""
    return a.assign(**{metric: a[metric] - b[metric]})


def status(settings: Sequence[Setting], names: Sequence[str], factor: int = 1) -> pd.DataFrame:
    """Which cells are there: one row an experiment, one column a setting, True where trained."""
    there = {label(s): [_has(s, n) for n in _lengthened(s, names, factor)] for s in settings}
    return pd.DataFrame(there, index=list(names))


def complete(settings: Sequence[Setting], names: Sequence[str], factor: int = 1) -> list[Setting]:
    """The settings with which all of the experiments have been trained."""
    there = status(settings, names, factor).all()
    return [setting for setting in settings if there[label(setting)]]


def label(setting: Setting) -> str:
    """``4x, seed 0``."""
    return f"{setting.acceleration:g}x, seed {setting.seed}"


def evaluate(settings: Sequence[Setting], names: Sequence[str], factor: int = 1) -> pd.DataFrame:
    """Every slice's metrics of every network that has been trained; nothing is trained here.

    factor  of the epochs, of each experiment and of all that it builds on

    Returns rows with acceleration, seed, name, subject, slice, psnr, ssim, ...; an experiment that
    has not been run has no rows.
    """
    tables = [
        setting.evaluate(one).assign(
            acceleration=setting.acceleration, seed=setting.seed, name=name
        )
        for setting in settings
        for name, one in zip(names, _lengthened(setting, names, factor), strict=True)
        if _has(setting, one)
    ]
    if not tables:
        return pd.DataFrame(columns=list(TYPES)).astype(TYPES)
    return pd.concat(tables, ignore_index=True)


def over_seeds(
    setting: Setting,
    a: str,
    b: str,
    metric: str = "psnr",
    seeds: Sequence[int] = SEEDS,
    factor: int = 1,
) -> Verdict | None:
    """The paired difference ``a - b`` over the setting's seed and others, as far as they are there.

    Seeds at which both have been trained count, with ``factor`` times the epochs; nothing is
    trained here. One seed gives a verdict without an interval, none gives None.
    """
    there = complete(setting.grid(seeds), [a, b], factor)
    if not there:
        return None
    slices = evaluate(there, [a, b], factor)
    ours, theirs = (slices[slices["name"] == name] for name in (a, b))
    return paired(ours, theirs, metric)


def beside(
    setting: Setting, versus: Mapping[tuple[str, str], metrics.Comparison]
) -> dict[str, metrics.Comparison | Verdict]:
    """Rows for ``plots.intervals``: what one training gave and, where there are several, the seeds.

    versus  names of the plan (a, b) and their paired difference ``a - b`` in PSNR
    """
    rows: dict[str, metrics.Comparison | Verdict] = {}
    for (a, b), found in versus.items():
        rows[f"{a} − {b}"] = found
        seeds = over_seeds(setting, a, b)
        if seeds is not None and len(seeds.by_seed) > 1:
            rows[f"{a} − {b}, {len(seeds.by_seed)} seeds"] = seeds
    return rows


def _has(setting: Setting, name: str | Experiment) -> bool:
    return name == "zero-filled" or experiments.exists(setting.experiment(name))


def _lengthened(setting: Setting, names: Sequence[str], factor: int) -> list[str | Experiment]:
    if factor == 1:
        return list(names)
    return [setting.experiment(name).lengthened(factor) for name in names]


def interval(found: Comparison | Verdict | None, digits: int = 2) -> str:
    """``+0.05 to +0.15``: the interval of a paired difference, for the cell of a table."""
    if found is None:
        return "not run"
    if not isfinite(found.low):
        return "one seed"
    return f"{found.low:+.{digits}f} to {found.high:+.{digits}f}"


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
    """Items of a Markdown list: what this training gave; what the seeds say, what the paper has.

    versus   names of the plan (a, b) and their paired difference ``a - b`` in PSNR, one training
    caution  with a last item where one training is all there is, which says so

    Nothing is trained. The paper has some of the pairs, for its data sets and accelerations.
    """
    lines, alone = [], False
    printed = paper.reported(setting.data, setting.acceleration)
    for (a, b), found in versus.items():
        line = f"- {verdict(a, b, found, digits=digits)}"
        seeds = over_seeds(setting, a, b)
        if seeds is not None and len(seeds.by_seed) > 1:
            line += f"; over {len(seeds.by_seed)} seeds, {verdict(a, b, seeds, digits=digits)}"
        else:
            alone = True
        if {a, b} <= printed.keys():
            line += f"; the paper has {printed[a][0] - printed[b][0]:+.2f} dB, on its own data"
        lines.append(f"{line}.")
    if alone and caution:
        lines.append(
            "- Where no seeds are named there is one training of each network: one draw, and the "
            "next may have the other sign."
        )
    return lines
