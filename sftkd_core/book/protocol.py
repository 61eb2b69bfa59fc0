"""What was asked before the networks of profile ``study`` were trained, and how it is answered.

Four primary questions, tested together (Holm); everything else is descriptive. The unit is the
training: seeds that share their data are averaged first, since they share luck as well.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, sqrt

import numpy as np
import pandas as pd
from scipy import stats

from sftkd_core import experiments
from sftkd_core.book.comparisons import STUDY_DATA, STUDY_SEEDS, complete, evaluate
from sftkd_core.book.setting import PROFILES, Setting
from sftkd_core.book.significance import holm, t_interval
from sftkd_core.system import InputError

DATA = STUDY_DATA
EFFECT = 0.1  # dB, the smallest that we care about
ALPHA = 0.05
TUNING = 99  # a seed whose networks are looked at on validation only
TRIED = (0.1, 0.3, 1.0)  # shares of the reconstruction gradient, for each method


@dataclass(frozen=True)
class Question:
    """Does ``a`` differ from ``b`` in PSNR, on the test subjects at 4x?"""

    name: str
    a: str
    b: str
    asks: str


PRIMARY = (
    Question(
        "distillation", "kd", "student", "does a trained teacher help a student, step for step?"
    ),
    Question(
        "the whole method", "sft-kd", "student-long",
        "do both phases give more than the same steps alone?",
    ),
    Question(
        "the teacher's part", "sft-kd", "sft-finetuned",
        "does the second phase need the teacher, or only the start?",
    ),
    Question(
        "the third term", "sft-kd-no-imitation", "sft-kd",
        "does leaving imitation out of the joint loss change the student?",
    ),
)  # fmt: skip
# six were named beforehand; "flow" and "long against the teacher" came when results were known, and
# "flow in two stages" and those of "longer" then as well, but before their own trainings ("longer"
# after three of ``sft-kd-random-long``, which asks nearly the same)
DESCRIPTIVE = (
    Question("released", "sft-kd-released", "sft-kd", "and with the term as it was released?"),
    Question(
        "released, whole", "sft-kd-released", "student-long",
        "do both phases, as released, give more than the same steps alone?",
    ),
    Question("the image", "kd-output", "student", "does the teacher's image help?"),
    Question("its images", "kd-stages", "student", "do the images between its stages help?"),
    Question("flow", "kd-fsp", "student", "does FSP help a student, step for step?"),
    Question(
        "flow, the teacher's part", "sft-kd-fsp", "sft-finetuned",
        "with FSP, does the second phase need the teacher?",
    ),
    Question(
        "flow, whole", "sft-kd-fsp", "student-long",
        "with FSP, do both phases give more than the same steps alone?",
    ),
    Question(
        "flow in two stages", "kd-fsp-two-stages", "student-long",
        "does FSP as an initialisation, in its two stages, give more than the same steps alone?",
    ),
    Question(
        "longer", "kd-long", "student-long",
        "of two phases both, does plain distillation give more than the student alone?",
    ),
    Question(
        "longer, against the method", "sft-kd", "kd-long",
        "does the whole method give more than as many steps of plain distillation?",
    ),
    Question(
        "flow, longer", "kd-fsp-long", "student-long",
        "and plain distillation by FSP?",
    ),
    Question("long", "student-long", "student", "what do twice the steps give alone?"),
    Question(
        "long against the teacher", "student-long", "teacher",
        "does a student of twice the steps reach the teacher?",
    ),
    Question("friendly", "sft-teacher", "teacher", "what does friendliness cost the teacher?"),
)  # fmt: skip

# asked again of subjects that no network has met, because they were found by looking: a family of
# its own, by the same rule, written down before any of its networks was trained
FRESH = tuple(range(10, 20))  # each seed with data of its own
AGAIN = (
    Question(
        "longer, again", "kd-long", "student-long",
        "of two phases both, does plain distillation give more than the student alone?",
    ),
    Question(
        "flow, longer, again", "kd-fsp-long", "student-long",
        "and plain distillation by FSP?",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """A mean difference over trainings, dB.

    mean        of the data sets' means
    low, high   95 % interval: Student's t on the data sets' means; infinite for fewer than two
    by_seed     seed -> mean difference over its test subjects
    p           of no difference (two-sided t test on the same means)
    p_outside   of a difference of at least ``EFFECT``, in size (two one-sided tests)
    """

    mean: float
    low: float
    high: float
    by_seed: dict[int, float]
    p: float
    p_outside: float

    @property
    def trainings(self) -> int:
        """Pairs of networks."""
        return len(self.by_seed)

    @property
    def data_sets(self) -> int:
        """The units of the tests: seeds that share their data count once."""
        return len(by_data(self.by_seed))

    @property
    def spread(self) -> float:
        """Standard deviation of the data sets' means, dB; NaN for fewer than two."""
        return float(by_data(self.by_seed).std(ddof=1))

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def by_data(by_seed: Mapping[int, float]) -> pd.Series:
    """The mean of each data set: of seeds that share theirs, see ``Setting.data_seed``."""
    data = [PROFILES["study"].data_seed(seed) for seed in by_seed]
    return pd.Series(dict(by_seed), dtype=float).groupby(data).mean()


def differences(
    question: Question,
    data: str = DATA,
    acceleration: float = 4,
    seeds: Sequence[int] = STUDY_SEEDS,
) -> dict[int, float]:
    """Seed -> mean of ``a - b`` over the test slices, dB, as far as both are trained."""
    settings = [Setting("study", data, acceleration, seed) for seed in seeds]
    names = [question.a, question.b]
    table = evaluate(complete(settings, names), names)
    if table.empty:
        return {}
    means = table.groupby(["seed", "name"])["psnr"].mean().unstack()
    return {int(s): float(d) for s, d in (means[question.a] - means[question.b]).items()}


def answer(by_seed: dict[int, float]) -> Answer | None:
    """What the trainings say; None where there are none."""
    if not by_seed:
        return None
    values = by_data(by_seed).to_numpy()
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return Answer(mean, -inf, inf, dict(by_seed), 1.0, 1.0)
    error = float(values.std(ddof=1)) / sqrt(n)
    low, high = t_interval(values, 1 - ALPHA)
    p = 2 * stats.t.sf(abs(mean) / error, n - 1) if error else float(mean == 0)
    beyond = (abs(mean) - EFFECT) / error if error else np.sign(abs(mean) - EFFECT) * inf
    outside = float(stats.t.cdf(beyond, n - 1))
    return Answer(mean, low, high, dict(by_seed), float(p), outside)


def verdicts(answers: Iterable[Answer | None]) -> list[str]:
    """One word for each of a family: "differs", "equivalent", "undecided" or "not run".

    "differs" where Holm's corrected p value is below 0.05; else "equivalent" where the difference
    is smaller than ``EFFECT`` in size by two one-sided tests at 0.05. Questions that have not been
    run keep their place in the family.
    """
    every = list(answers)
    corrected = holm([found.p if found else 1.0 for found in every])
    words = []
    for found, p in zip(every, corrected, strict=True):
        if found is None or found.data_sets < 2:
            words.append("not run")
        elif p < ALPHA:
            words.append("differs")
        else:
            words.append("equivalent" if found.p_outside < ALPHA else "undecided")
    return words


def tuning(method: str) -> dict[float, float | None]:
    """Share of the KD gradient -> best validation PSNR of ``kd``, dB; None where not trained.

    The three trainings that each method gets, with a seed of their own. Test subjects of that seed
    are not looked at. Raises ``InputError`` for a method that there is not.
    """
    at = Setting("study", DATA, 4, TUNING)
    found = {share: experiments.history(replace(at.distil(method), share=share)) for share in TRIED}
    return {
        share: None if rows is None else float(rows["validation_psnr"].max())
        for share, rows in found.items()
    }


def variances(by_seed: dict[int, float]) -> dict[str, float]:
    """Standard deviation between data sets, and between weights within one, by a mixed model.

    ``difference ~ 1 + (1 | data)``, restricted maximum likelihood (statsmodels). Raises
    ``InputError`` where no data set has two trainings.
    """
    from statsmodels.regression.mixed_linear_model import MixedLM

    groups = np.array([PROFILES["study"].data_seed(seed) for seed in by_seed])
    if len(set(groups)) == len(groups):
        raise InputError(
            f"seeds {', '.join(map(str, by_seed))} share no data; the two variances cannot be told "
            "apart, train seeds 5 to 9 as well"
        )
    values = np.array(list(by_seed.values()))
    with warnings.catch_warnings():
        # a variance of zero lies at the boundary; the Hessian there is of no use, nor is it used
        for told in ("The MLE may be on the boundary", "The Hessian matrix at"):
            warnings.filterwarnings("ignore", told)
        # Powell's method reaches the boundary, where gradients lead the others astray
        model = MixedLM(values, np.ones((len(values), 1)), groups)
        fitted = model.fit(reml=True, method="powell")
    return {
        "data": float(np.sqrt(fitted.cov_re[0, 0])),
        "weights": float(np.sqrt(fitted.scale)),
    }
