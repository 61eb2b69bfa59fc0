"""When distillation pays: few subjects of one's own, unlabelled scans, a larger teacher for free.

The networks of one setting, by name, beyond those of the plan. A student always takes as many
steps as the plan's; fewer subjects are seen more often.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sftkd_core import experiments
from sftkd_core.book.protocol import DATA, STUDY_SEEDS, Question
from sftkd_core.book.setting import Setting
from sftkd_core.experiments import Experiment

FEW = (1, 2, 5)  # subjects that a student has of its own
LARGER = "D7C5"
METHOD = "output"
# what README and front page show of them; the last two were asked when the others had been answered
ASKED = (
    Question(
        "few, images", "few-kd-1", "few-1",
        "one subject of its own: do the teacher's images of it help?",
    ),
    Question(
        "few, unlabelled", "few-taught-1", "few-1",
        "and its images of all other subjects, without their targets?",
    ),
    Question("larger", "kd-larger", "kd-output", "does a larger teacher help more?"),
    Question(
        "few against all", "few-taught-1", "student",
        "do one subject's targets, and such images of the others, do for all targets?",
    ),
    Question("larger teacher", "larger", "teacher", "is that larger teacher better itself?"),
)  # fmt: skip


def networks(setting: Setting) -> dict[str, Experiment]:
    """Name -> experiment.

    few-K        the student alone, K subjects
    few-kd-K     beside the teacher's images, of the same K subjects
    few-taught-K  beside the teacher's images of all subjects, K of which have targets as well
    larger       a teacher of seven convolutions a stage
    kd-larger    the student distilled from it
    """
    teacher, student = setting.experiment("teacher"), setting.experiment("student")
    found: dict[str, Experiment] = {}
    for few in FEW:
        data = replace(student.data, train=min(few, student.data.train))
        epochs = student.schedule.epochs * student.data.train // data.train
        own: dict[str, Any] = {"data": data, "schedule": replace(student.schedule, epochs=epochs)}
        found[f"few-{few}"] = replace(student, **own)
        found[f"few-kd-{few}"] = replace(setting.distil(METHOD), **own)
        found[f"few-taught-{few}"] = replace(
            student, objective="imitate", teacher=teacher, labelled=data.train
        )
    found["larger"] = replace(teacher, model=LARGER)
    found["kd-larger"] = replace(setting.distil(METHOD), teacher=found["larger"])
    return found


def network(setting: Setting, name: str) -> Experiment:
    """A network of the scarce, or of the plan."""
    return networks(setting).get(name) or setting.experiment(name)


def differences(question: Question, seeds: Sequence[int] = STUDY_SEEDS) -> dict[int, float]:
    """Seed -> mean of ``a - b`` over the test slices of the study, dB, where both are trained."""
    found = {}
    for setting in (Setting("study", DATA, 4, seed) for seed in seeds):
        pair = [network(setting, name) for name in (question.a, question.b)]
        if all(map(experiments.exists, pair)):
            a, b = (setting.evaluate(e)["psnr"].mean() for e in pair)
            found[setting.seed] = float(a - b)
    return found
