"""Train what profile "study" shows, in the order of its protocol: several at once, resumable.

    python workflow/study.py [STAGE ...] [--seeds 0 1 2] [--workers 2] [--round] [--list | --tuned]

Each training takes one thread. Stop it at any moment: what is finished stays, what is not goes on
from its last epoch. The chapter *The protocol* says what the stages are for.
"""

import argparse
import os
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace

import pandas as pd
import rounding

from sftkd_core import experiments
from sftkd_core.book import Setting
from sftkd_core.book.plan import CASCADES, COMPRESSED, PLAN, ROLES, TEACHERS
from sftkd_core.book.protocol import DATA, FRESH, TRIED, TUNING, tuning
from sftkd_core.book.scarcity import FEW, networks
from sftkd_core.distillation import METHODS
from sftkd_core.experiments import Experiment
from sftkd_core.experiments.running import cost, with_earlier
from sftkd_core.system import clock

ALONE = ("teacher", "student")
CONTROLS = ("student-long", "sft-finetuned")
SPINE = (*ALONE, "sft-teacher", *CONTROLS, "kd", "sft-kd")
FORMS = ("sft-kd-released", "sft-kd-no-imitation")
SCARCE = (
    *(f"few-{k}{few}" for few in FEW for k in ("", "kd-", "taught-")), "larger", "kd-larger",
)  # fmt: skip
TABLE_1 = ("fitnets", "sp", "fsp", "cc")  # the paper's methods besides attention transfer
# what each chapter of ablations compares, beside the spine
ABLATIONS = {
    "initialisation": ("sft-kd-random", "student-twice"),
    "compression": tuple(
        f"{role}-{student}" for student in COMPRESSED
        for role in ("student", "student-long", "sft-teacher", "kd", "sft-kd")
    ),
    "cascades": tuple(f"teacher-C{count}" for count in CASCADES),
    "another teacher": ("teacher-unet", "sft-teacher-unet", "kd-unet", "sft-kd-unet"),
    "pre-training": ("sft-teacher-elsewhere", "sft-teacher-pretrained"),
    "feature domain": (
        *(f"{role}-residual" for role in ROLES), "student-mse", "student-free-mse",
    ),
    "super-resolution": tuple(name for name in PLAN if name.startswith("sr-")),
}  # fmt: skip
FURTHER = (
    *(f"{k}-{m}" for m in ("pkt", "ft", "nst") for k in ("kd", "sft-kd")),
    "sft-kd-output", "sft-kd-stages",
)  # fmt: skip
METHODS_5X = tuple(f"{k}-{m}" for m in (*TABLE_1, "output", "stages") for k in ("kd", "sft-kd"))
FIVE, MORE = (0, 1, 2, 3, 4), (5, 6, 7, 8, 9)


@dataclass(frozen=True)
class Stage:
    """Networks of the plan, on one anatomy, at some seeds; perhaps of another length or profile."""

    data: str
    names: tuple[str, ...]
    seeds: tuple[int, ...] = FIVE
    acceleration: int = 4
    epochs: int | None = None
    profile: str = "study"

    def experiments(self) -> list[Experiment]:
        """One seed after the other."""
        settings = [Setting(self.profile, self.data, self.acceleration, n) for n in self.seeds]
        found = [
            networks(setting)[name] if name in SCARCE else setting.experiment(name)
            for setting in settings
            for name in self.names
        ]
        if self.epochs is None:
            return found
        return [replace(e, schedule=replace(e.schedule, epochs=self.epochs)) for e in found]


def tuned(*methods: str) -> list[Experiment]:
    """Each method at each share of the KD gradient, with the seed for tuning."""
    setting = Setting("study", DATA, 4, TUNING)
    return [replace(setting.distil(method), share=share) for method in methods for share in TRIED]


STAGES = {
    "headroom": [Stage("cardiac", ALONE)],
    "joint": [Stage("cardiac", ("sft-teacher", *CONTROLS))],
    "spine": [Stage("cardiac", SPINE)],
    "forms": [Stage("cardiac", FORMS)],
    "simplest": [Stage("cardiac", ("kd-output", "kd-stages"))],
    # their joint networks are trained on the way, but not shipped: room
    "more seeds": [
        Stage("cardiac", tuple(n for n in (*SPINE, *FORMS) if n != "sft-teacher"), MORE)
    ],
    "third term": [
        Stage("cardiac", tuple(f"sft-kd-{v}" for v in (
            "quarter-imitation", "half-imitation", "strong-imitation", "teacher-detached",
            "branches-detached", "mse", "no-imitation-mse",
        )) + ("sft-finetuned-no-imitation",))
    ],
    "scarcity": [Stage("cardiac", SCARCE)],
    "longer": [Stage("brain", ALONE, epochs=40)],
    "longer hearts": [Stage("cardiac", ("teacher-long",))],  # its student is student-long
    "table 1": [Stage("cardiac", tuple(f"{k}-{m}" for m in TABLE_1 for k in ("kd", "sft-kd")))],
    "further methods": [Stage("cardiac", FURTHER)],
    "flow in two stages": [Stage("cardiac", ("flow-alone", "kd-fsp-two-stages"))],
    "distilled for longer": [
        Stage("cardiac", ("kd-long", "sft-kd-random-long")), Stage("cardiac", ("kd-long",), MORE),
        Stage("cardiac", ("kd-fsp-long",)),
    ],
    "again": [Stage("cardiac", ("student-long", "kd-long", "kd-fsp-long"), FRESH)],
    **{name: [Stage("cardiac", names)] for name, names in ABLATIONS.items()},
    "brain alone": [Stage("brain", ALONE)],
    "brain": [Stage("brain", SPINE)],
    "5x": [Stage("cardiac", SPINE, acceleration=5)],
    "methods at 5x": [Stage("cardiac", METHODS_5X, (0, 1, 2), acceleration=5)],
    "paper's size": [Stage("brain", SPINE, (0,), profile="paper")],  # goes on: workflow/begun.py
}  # fmt: skip


# whose images no page shows: their records and tables are shipped, without weights
RECORDS_ALONE = (
    *ABLATIONS, "further methods", "methods at 5x", "third term", "longer", "longer hearts",
    "again",
)  # fmt: skip


def wanted(stage: str) -> list[Experiment]:
    """The experiments of a stage, without what they build on; "tune:at" tunes attention."""
    if stage.startswith("tune:"):
        return tuned(*stage.removeprefix("tune:").split(","))
    return [experiment for part in STAGES[stage] for experiment in part.experiments()]


def train(experiment: Experiment) -> str:
    """In a process of its own."""
    experiments.run(experiment, device="cpu", quiet=True)
    return experiment.name


def run(todo: list[Experiment], workers: int, by_rounding: bool = False) -> None:
    """Each as soon as what it builds on is there, ``workers`` at a time."""
    total = sum(map(cost, todo))
    started, done = time.perf_counter(), 0.0
    running: dict = {}
    prepare = rounding.enable if by_rounding else None
    with ProcessPoolExecutor(workers, initializer=prepare) as pool:
        while todo or running:
            ready = [e for e in todo if all(map(experiments.exists, e.earlier))]
            for experiment in ready[: workers - len(running)]:
                todo.remove(experiment)
                running[pool.submit(train, experiment)] = experiment
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                done += cost(running.pop(future))
                spent = time.perf_counter() - started
                left = clock(spent * (total - done) / done)
                print(f"{future.result()}: {len(todo) + len(running)} left, {left}", flush=True)


def tuning_table() -> str:
    """Validation PSNR of the best epoch by method and share, as far as they are trained."""
    return pd.DataFrame({method: tuning(method) for method in METHODS}).T.round(3).to_string()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", metavar="STAGE", default=list(STAGES))
    parser.add_argument("--seeds", type=int, nargs="*", help="of a stage, these alone")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--list", action="store_true", help="say what is missing, train nothing")
    parser.add_argument("--tuned", action="store_true", help="print what the shares gave")
    parser.add_argument("--round", action="store_true", help="bfloat16 without hardware for it")
    options = parser.parse_args()
    if options.tuned:
        return print(tuning_table())
    for stage in options.stages:
        every = wanted(stage)
        if options.seeds is not None:
            every = [e for e in every if e.seed % TEACHERS in options.seeds]
        # of some the record is enough, unless they are to be built on
        lacking = [e for e in every if experiments.history(e) is None]
        todo = [e for e in with_earlier(lacking) if not experiments.exists(e)]
        print(f"{stage}: {len(lacking)} of {len(every)} are missing", flush=True)
        if not options.list:
            run(todo, options.workers, options.round)


if __name__ == "__main__":
    main()
