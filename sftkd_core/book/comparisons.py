"""Claims over several comparisons and several seeds: corrected tests, effect sizes, intervals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from math import isfinite

import pandas as pd

from sftkd_core import metrics
from sftkd_core.book import paper, report
from sftkd_core.book.plan import ALIASES
from sftkd_core.book.setting import Setting
from sftkd_core.book.significance import KEYS, Verdict, holm, paired, rank_biserial
from sftkd_core.experiments import Experiment
from sftkd_core.metrics import Comparison

SEEDS = (0, 1, 2, 3, 4)  # of the shipped results
STUDY_DATA = "cardiac"  # of profile "study": where the teacher leads, see ``results/README.md``
STUDY_SEEDS = tuple(range(10))  # of profile "study": 5 to 9 have the data of 0 to 4
TYPES = {  # of the columns of ``evaluate``
    "subject": str,
    "slice": int,
    **dict.fromkeys(metrics.METRICS, float),
    "acceleration": float,
    "seed": int,
    "data_seed": int,
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
    found = {(a, b): metrics.compare(tables[a], tables[b], metric) for a, b in pairs}
    report.differences(setting, found, metric)
    return found


def gain(a: pd.DataFrame, b: pd.DataFrame, metric: str = "psnr") -> pd.DataFrame:
    """A table of slices that holds ``a - b`` in place of the metric: to compare two gains."""
    return a.assign(**{metric: a[metric] - b[metric]})


def status(settings: Sequence[Setting], names: Sequence[str], factor: int = 1) -> pd.DataFrame:
    """Which cells are there: one row an experiment, one column a setting, True where trained."""
    there = {label(s): [s.has(n) for n in _lengthened(s, names, factor)] for s in settings}
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
            acceleration=setting.acceleration,
            seed=setting.seed,
            data_seed=setting.data_seed,
            name=name,
        )
        for setting in settings
        for name, one in zip(names, _lengthened(setting, names, factor), strict=True)
        if setting.has(one)
    ]
    if not tables:
        return pd.DataFrame(columns=list(TYPES)).astype(TYPES)
    return pd.concat(tables, ignore_index=True)


def over_seeds(
    setting: Setting,
    a: str,
    b: str,
    metric: str = "psnr",
    seeds: Sequence[int] | None = None,
    factor: int = 1,
) -> Verdict | None:
    """The paired difference ``a - b`` over the setting's seed and others, as far as they are there.

    Seeds at which both have been trained count, with ``factor`` times the epochs; nothing is
    trained here. One seed gives a verdict without an interval, none gives None.

    seeds  None: those of the shipped results
    """
    if seeds is None:
        seeds = STUDY_SEEDS if setting.profile == "study" else SEEDS
    there = complete(setting.grid(seeds), [a, b], factor)
    if not there:
        return None
    slices = evaluate(there, [a, b], factor)
    ours, theirs = (slices[slices["name"] == name] for name in (a, b))
    return paired(ours, theirs, metric)


def study_of(setting: Setting) -> Setting | None:
    """The study of the book at the same acceleration; None where there is none to show.

    It is shown beside synthetic data at profile "quick" only, of hearts whatever these data are:
    "smoke" shows nothing, "paper" stands for itself.
    """
    if setting.profile not in ("quick", "study") or setting.data not in ("brain", "cardiac"):
        return None
    return replace(setting, profile="study", data=STUDY_DATA, seed=0)


def headroom(setting: Setting) -> str:
    """How far the teacher leads its student here, over seeds, and in the study: a bold sentence.

    Empty where no seeds are known. Where it is small there is little to hand on.
    """
    study = study_of(setting)
    if study is not None and (study.profile, study.data) == (setting.profile, setting.data):
        study = None  # it is the setting's own
    places = {
        f"profile `{setting.profile}`": setting,
        "profile `study` (hearts)": study,
    }
    found = {
        name: v
        for name, place in places.items()
        if place is not None and (v := over_seeds(place, "teacher", "student")) is not None
        if isfinite(v.low)
    }
    leads = [
        f"{v.mean:+.2f} dB at {name} (95 % interval {interval(v)}, {len(v.by_seed)} trainings)"
        for name, v in found.items()
    ]
    return f"**The teacher leads the student by {' and by '.join(leads)}.**" if leads else ""


def beside(
    setting: Setting, versus: Mapping[tuple[str, str], metrics.Comparison]
) -> dict[str, metrics.Comparison | Verdict]:
    """Rows for ``plots.intervals``: what one training gave; what seeds gave, here and in the study.

    versus  names of the plan (a, b) and their paired difference ``a - b`` in PSNR
    """
    rows: dict[str, metrics.Comparison | Verdict] = {}
    for (a, b), found in versus.items():
        rows[f"{a} − {b}"] = found
        seeds = over_seeds(setting, a, b)
        if seeds is not None and isfinite(seeds.low):
            rows[f"{a} − {b}, {len(seeds.by_seed)} seeds"] = seeds
        rows |= {f"{a} − {b}, study": v for v in in_the_study(setting, [(a, b)]).values()}
    return rows


def in_the_study(
    setting: Setting, pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Verdict]:
    """(a, b) -> what the trainings of profile "study" say of a − b, on hearts, over several seeds.

    For ``plots.study`` and ``listed``; pairs that have no two trainings there are left out, and
    so are all where the study is not shown (see ``study_of``) or is the setting itself. Nothing is
    trained.
    """
    study = study_of(setting)
    if study in (None, setting):
        return {}
    found = {(a, b): over_seeds(study, a, b) for a, b in pairs}
    return {pair: v for pair, v in found.items() if v is not None and isfinite(v.low)}


def listed(found: Mapping[tuple[str, str], Verdict]) -> str:
    """A Markdown list of what ``in_the_study`` found; that it was not run where it is empty.

    >>> listed({})
    '*Not run at profile `study`, or not shown beside these data.*'
    """
    lines = [
        f"- over {len(v.by_seed)} trainings, {verdict(a, b, v)}." for (a, b), v in found.items()
    ]
    return "\n".join(lines) or "*Not run at profile `study`, or not shown beside these data.*"


def sides(found: Mapping[str, Verdict]) -> tuple[str, str]:
    """The names whose interval leaves out zero, those above it and those below, in words.

    >>> sides({})
    ('none', 'none')
    """
    signed = {name: v.mean for name, v in found.items() if v.clear}
    above = ", ".join(name for name, mean in signed.items() if mean > 0)
    below = ", ".join(name for name, mean in signed.items() if mean < 0)
    return above or "none", below or "none"


def _lengthened(setting: Setting, names: Sequence[str], factor: int) -> list[str | Experiment]:
    if factor == 1:
        return list(names)
    return [setting.experiment(name).lengthened(factor) for name in names]


__all__ = [
    "KEYS", "Verdict", "beside", "compare", "complete", "evaluate", "findings", "gain", "headroom",
    "holm", "in_the_study", "interval", "label", "listed", "over_seeds", "paired",
    "questions", "rank_biserial", "sides", "status", "study_of", "verdict",
]  # fmt: skip


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
    digits  after the point; None takes two, or three where two would hide a sign: for a difference
            below 0.02, or a bound below 0.005

    >>> verdict("kd", "D3C5", Comparison(0.1, 0.05, 0.15, 0.01, 0.01, 80, 10))
    '**kd** minus **D3C5** is +0.10 dB in this training (subjects of this test set: +0.05 to +0.15)'
    >>> verdict("kd", "D3C5", Verdict(0.1, 0.05, 0.15, (0.09, 0.11), 0.01, 0.01, 1.0, 10, 80))
    '**kd** is ahead of **D3C5** by 0.10 dB (95 % interval +0.05 to +0.15)'
    """
    if digits is None:
        bounds = min(abs(found.low), abs(found.high))
        digits = 2 if abs(found.mean) >= 0.02 and bounds >= 0.005 else 3
    numbers = f"{found.low:+.{digits}f} to {found.high:+.{digits}f}"
    difference = f"**{a}** minus **{b}** is {found.mean:+.{digits}f} {unit}"
    if isinstance(found, Comparison):
        if found.subjects == 1:
            return f"{difference} in this training, on one subject: no interval"
        return f"{difference} in this training (subjects of this test set: {numbers})"
    if not isfinite(found.low):
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
    lead: bool = True,
) -> list[str]:
    """Items of a Markdown list: what this training gave; what the seeds say, what the paper has.

    versus   names of the plan (a, b) and their paired difference ``a - b`` in PSNR, one training
    caution  with a last item where one training is all there is, which says so
    lead     with a first item on the teacher's lead; not for a page's second list

    Nothing is trained. The paper has some of the pairs, for its data sets and accelerations.
    """
    lines, alone = [], False
    if lead and any(name.startswith(("kd", "sft-kd")) for pair in versus for name in pair):
        lines = [f"- {headroom(setting)}"] if headroom(setting) else []
    printed = paper.reported(setting.data, setting.acceleration)
    for (a, b), found in versus.items():
        line = f"- {verdict(a, b, found, digits=digits)}"
        seeds = over_seeds(setting, a, b)
        if seeds is not None and isfinite(seeds.low):
            line += f"; over {len(seeds.by_seed)} seeds, {verdict(a, b, seeds, digits=digits)}"
        else:
            alone = True
        line += _of_the_study(setting, a, b, digits)
        if {a, b} <= printed.keys():
            line += f"; the paper has {printed[a][0] - printed[b][0]:+.2f} dB, on its own data"
        lines.append(f"{line}.")
    if alone and caution:
        lines.append(
            "- Where no seeds are named there is one training of each network: one draw, and the "
            "next may have the other sign."
        )
    return lines


def _of_the_study(setting: Setting, a: str, b: str, digits: int | None) -> str:
    """What the trainings of profile "study" say of the same pair, where they are shipped."""
    found = in_the_study(setting, [(a, b)]).get((a, b))
    if found is None:
        return ""
    said = verdict(a, b, found, digits=digits)
    return f"; at profile `study`, on hearts, over {len(found.by_seed)} trainings, {said}"
