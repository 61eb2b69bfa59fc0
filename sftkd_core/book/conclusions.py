"""What the paper claims (abstract, section 4.3, appendix), and what our trainings say to it.

A claim is answered over trainings of profile ``study``, by the rule of ``protocol`` where it is one
of its primary questions, else alone and as description; never from one training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from sftkd_core.book import paper
from sftkd_core.book.comparisons import STUDY_SEEDS, over_seeds
from sftkd_core.book.plan import RESOLUTION_METHODS
from sftkd_core.book.power import detectable, needed
from sftkd_core.book.protocol import (
    DATA,
    EFFECT,
    PRIMARY,
    Answer,
    Question,
    answer,
    differences,
    verdicts,
)
from sftkd_core.book.setting import Setting

REPLICATED, IN_PART, NOT, OPEN = "replicated", "in part", "not replicated", "open"
UNTESTED = "not tested here"
ANATOMIES = {"brain": "heads", "cardiac": "hearts"}  # and what their phantoms are called


@dataclass(frozen=True)
class Part:
    """A difference ``a - b`` that the paper says something of, on one of the book's anatomies.

    same  whether the claim is that ``a`` leads ``b`` by less than ``EFFECT``, or not at all
    """

    a: str
    b: str
    data: str = DATA
    acceleration: int = 4
    same: bool = False

    @property
    def label(self) -> str:
        """``kd − student, cardiac 4x``."""
        return f"{self.a} − {self.b}, {self.data} {self.acceleration}x"

    @property
    def primary(self) -> Question | None:
        """The primary question that it is, if any."""
        where = (self.data, self.acceleration) == (DATA, 4) and not self.same
        return next((q for q in PRIMARY if where and {q.a, q.b} == {self.a, self.b}), None)

    @property
    def printed(self) -> float | None:
        """The paper's difference in PSNR, dB, on its own data; None where it has none."""
        rows = paper.reported(self.data, self.acceleration)
        return rows[self.a][0] - rows[self.b][0] if {self.a, self.b} <= rows.keys() else None


@dataclass(frozen=True)
class Claim:
    """What the paper says, where, and the differences that bear on it; none where none does."""

    name: str
    where: str
    says: str
    parts: tuple[Part, ...] = ()


def _everywhere(a: str, b: str, same: bool = False) -> tuple[Part, ...]:
    """On both anatomies, at both accelerations."""
    return tuple(Part(a, b, data, rate, same) for rate in (4, 5) for data in ANATOMIES)


_METHODS = ("fitnets", "sp", "fsp", "cc")
CLAIMS = (
    Claim(
        "headroom", "4.3 (iii)", "the student alone is 0.56 dB below the teacher",
        _everywhere("teacher", "student"),
    ),
    Claim(
        "distillation", "4.3 (iii)", "plain distillation narrows that gap",
        _everywhere("kd", "student"),
    ),
    Claim(
        "friendly teacher", "4.3 (i)", "a student-friendly teacher is the better network itself",
        _everywhere("sft-teacher", "teacher"),
    ),
    Claim(
        "consistent gain", "abstract (i), 4.3 (ii)",
        "the whole method improves on plain distillation, in all five methods",
        (
            *_everywhere("sft-kd", "kd"),
            *(Part(f"sft-kd-{method}", f"kd-{method}") for method in _METHODS),
        ),
    ),
    Claim(
        "as good as the teacher", "abstract (ii), 4.3 (iii)",
        "the gap to the teacher shrinks from 0.53 to 0.03 dB: the student is competitive with it",
        (
            *_everywhere("teacher", "sft-kd", same=True),
            *(Part("teacher", f"sft-kd-{method}", same=True) for method in ("fitnets", "cc")),
        ),
    ),
    Claim(
        "what the teacher hands on", "4.3, after Figure 3",
        "joint training makes the teacher hand on more in distillation",
        (Part("sft-kd-random", "kd"), Part("sft-kd-random-long", "kd-long")),
    ),
    Claim(
        "the start", "4.3, results of AT",
        "the branches' weights are a better start for the student",
        (Part("sft-kd", "sft-kd-random"),),
    ),
    Claim(
        "the image domain", "4.3, Table 2",
        "branches that hand over images, and not features, are crucial",
        # as systems; and one thing at a time, without data consistency on either side
        (Part("sft-kd", "sft-kd-residual"), Part("student-free-mse", "student-residual")),
    ),
    Claim(
        "another kind of teacher", "A.0.3, Table 6",
        "the whole method improves on plain distillation from a DC-UNet as well",
        (Part("sft-kd-unet", "kd-unet"), Part("kd-unet", "student")),
    ),
    Claim(
        "other sizes of student", "A.0.4, Table 8",
        "D2C5 is too small for plain distillation, and not for the whole method, which improves on "
        "it with D4C5 as well",
        (
            Part("sft-kd-D2C5", "kd-D2C5"), Part("sft-kd-D2C5", "student-D2C5"),
            Part("student-D2C5", "kd-D2C5"), Part("sft-kd-D4C5", "kd-D4C5"),
        ),
    ),
    Claim(
        "super-resolution", "abstract (ii), Table 9",
        "the whole method improves on plain distillation of VDSR, in all six methods",
        tuple(Part(f"sr-sft-kd-{m}", f"sr-kd-{m}") for m in RESOLUTION_METHODS),
    ),
    Claim(
        "the best method", "4.3, results of AT", "attention transfer is the best of the five",
        tuple(Part("kd", f"kd-{method}") for method in _METHODS),
    ),
    Claim(
        "not by its length", "not in the paper: its control",
        "the whole method gives more than the same steps of the student alone",
        _everywhere("sft-kd", "student-long"),
    ),
    Claim(
        "not by its start", "not in the paper: its control",
        "distillation adds to the branches' weights", _everywhere("sft-kd", "sft-finetuned"),
    ),
    Claim(
        "not by its time", "not in the paper: its control",
        "the branches' start gives more than its time does from a random start, with the teacher",
        (Part("sft-kd", "sft-kd-random-long"),),
    ),
    Claim(
        "the third term", "3.2, equation 5: our question",
        "imitation belongs in the joint loss", (Part("sft-kd", "sft-kd-no-imitation"),),
    ),
    Claim(
        "excess capacity", "abstract",
        "more cascades give less and less: three more than five give next to nothing",
        (Part("teacher-C8", "teacher", same=True),),
    ),
    Claim(
        "finer structures", "4.3, Figure 3",
        "the distilled student shows the middle frontal gyrus and the heart's mass better",
    ),
)  # fmt: skip


def family(seeds: Sequence[int] = STUDY_SEEDS) -> dict[str, tuple[Answer | None, str]]:
    """Primary question -> what the trainings of profile ``study`` answer, and the rule's word."""
    found = [answer(differences(question, seeds=seeds)) for question in PRIMARY]
    words = verdicts(found)
    return {q.name: (f, word) for q, f, word in zip(PRIMARY, found, words, strict=True)}


def measured(part: Part, seeds: Sequence[int] = STUDY_SEEDS) -> Answer | None:
    """What the trainings of profile ``study`` say of ``a - b``; None where none has both."""
    question = Question(part.label, part.a, part.b, "")
    return answer(differences(question, part.data, part.acceleration, seeds))


def judge(part: Part, found: Answer | None, word: str | None = None) -> str:
    """One of "replicated", "not replicated", "open", "one training", "not run".

    word  of ``protocol.verdicts`` where it is one of a family; None: judged alone, at 0.05

    A claim that two are the same within ``EFFECT`` is held against that by its interval. Any other
    is replicated by a difference of its sign, and not by one of the other sign, nor by the lack of
    one of ``EFFECT`` where the paper has as much.
    """
    if found is None:
        return "not run"
    if not isfinite(found.low):
        return "one training"
    if part.same:
        return REPLICATED if found.high < EFFECT else NOT if found.low > EFFECT else OPEN
    word = word or verdicts([found])[0]
    if word == "differs":
        return REPLICATED if found.mean > 0 else NOT
    claimed = EFFECT if part.printed is None else abs(part.printed)
    return NOT if word == "equivalent" and claimed >= EFFECT else OPEN


def overall(judged: Sequence[str]) -> str:
    """A claim's verdict from those of its parts: "in part" where some replicate it and not all."""
    if not judged:
        return UNTESTED
    if REPLICATED in judged:
        return REPLICATED if set(judged) == {REPLICATED} else IN_PART
    return next((word for word in (NOT, OPEN) if word in judged), "not run")


def would_change(part: Part, found: Answer | None, judged: str) -> str:
    """What it would take for another verdict, in words for a table."""
    if found is None or judged in ("not run", "one training"):
        return "its trainings"
    if judged == OPEN:
        claimed = EFFECT if part.same or part.printed is None else abs(part.printed)
        size = max(claimed, EFFECT)
        count = needed(found.spread, size)
        return f"{count} data sets, for 80 % power at {size:.2f} dB; there are {found.data_sets}"
    far = found.low if found.mean > 0 else -found.high
    if part.same:
        far = abs(EFFECT - (found.high if judged == REPLICATED else found.low))
    if far <= 0:  # the same within EFFECT
        return f"a difference of {EFFECT:g} dB or more, in a longer or larger training"
    return f"trainings whose interval lies {far:.2f} dB elsewhere"


def detects(found: Answer | None) -> float | None:
    """The smallest true difference, dB, that these trainings find with 80 % power, at 0.05."""
    if found is None or not isfinite(found.low) or not found.spread > 0:
        return None
    return detectable(found.spread, found.data_sets)


CALLED = {
    "kd": "a student distilled from a trained teacher",
    "student": "the student alone, step for step",
    "sft-kd": "the whole method",
    "student-long": "the student alone for the steps of both phases",
    "sft-finetuned": "its start fine-tuned without a teacher",
    "sft-kd-no-imitation": "the method without the imitation term",
}


def said(question: Question, found: Answer | None, word: str) -> str:
    """A clause on a primary question: ahead or behind only by the rule, and never of one training.

    word  of ``protocol.verdicts``

    >>> said(PRIMARY[0], answer({0: 0.2}), "not run").split(" (")[0]
    'a student distilled from a trained teacher'
    """
    a, b = (f"{CALLED[name]} (`{name}`)" for name in (question.a, question.b))
    if found is None or word == "not run" or not isfinite(found.low):
        return f"{a} and {b} have not been compared over several seeds"
    numbers = f"95 % interval {found.low:+.2f} to {found.high:+.2f}"
    over = f"over {found.trainings} seeds,"
    if word == "differs":
        side = "ahead of" if found.mean > 0 else "behind"
        return f"{over} {a} is {side} {b} by {abs(found.mean):.2f} dB ({numbers})"
    if word == "equivalent":
        return f"{over} {a} and {b} differ by less than {EFFECT:g} dB ({numbers})"
    return f"{over} it is undecided between {a} and {b} ({found.mean:+.2f} dB, {numbers})"


def sentences(
    answers: Mapping[str, tuple[Answer | None, str]] | None = None, lead: Answer | None = None
) -> list[str]:
    """The three sentences of the conclusions: distillation, the whole method, its third term.

    answers  as ``family`` gives them; None: those of the trainings that are there
    lead     the teacher's over the student; None: that of the trainings that are there

    Nothing is trained.
    """
    if answers is None:
        answers, lead = family(), measured(Part("teacher", "student"))
    told = {q.name: said(q, *answers[q.name]) for q in PRIMARY}
    room = "how far the teacher leads the student is not known over several seeds"
    if lead is not None and isfinite(lead.low):
        numbers = f"95 % interval {lead.low:+.2f} to {lead.high:+.2f}"
        room = f"over {lead.trainings} seeds, the teacher minus the student is {lead.mean:+.2f} dB"
        room += f" ({numbers})"
    return [
        f"**Distillation**, of synthetic {ANATOMIES[DATA]} at 4x: {room}; {told['distillation']}.",
        f"**Student-friendly training**: {told['the whole method']}; {told[PRIMARY[2].name]}.",
        f"**Its third loss term**: {told['the third term']}.",
    ]


def beside(part: Part) -> Answer | None:
    """The same difference at profile ``quick``, over the seeds that are there."""
    found = over_seeds(Setting("quick", part.data, part.acceleration), part.a, part.b)
    return None if found is None else answer(dict(zip(found.seeds, found.by_seed, strict=True)))
