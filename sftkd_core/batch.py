"""Many experiments at once: each trained once, teachers first, with the time that remains."""

import time
from collections.abc import Iterable
from functools import lru_cache

from sftkd_core import experiments, models
from sftkd_core.experiments import Experiment, Result
from sftkd_core.progress import Line, clock


def with_earlier(wanted: Iterable[Experiment]) -> list[Experiment]:
    """The experiments and all that they build on, each once, in an order that can be run."""
    ordered: dict[str, Experiment] = {}
    for experiment in wanted:
        for earlier in with_earlier(experiment.earlier):
            ordered.setdefault(earlier.key, earlier)
        ordered.setdefault(experiment.key, experiment)
    return list(ordered.values())


def missing(wanted: Iterable[Experiment]) -> list[Experiment]:
    """Of ``with_earlier``, those without a remembered result."""
    return [e for e in with_earlier(wanted) if not experiments.exists(e)]


def run_all(
    wanted: Iterable[Experiment], device: str = "auto", quiet: bool = False
) -> list[Result]:
    """The results of the experiments, in their order; trains what is missing.

    The line of progress says how many trainings are left and for about how long, from the
    multiplications of those that are done and the time that they took.
    """
    wanted = list(wanted)
    todo = missing(wanted)
    line = Line("trainings", quiet)
    spent = done = 0.0
    for number, experiment in enumerate(todo):
        left = sum(cost(e) for e in todo[number:])
        rest = f", about {clock(left * spent / done)} left" if done else ""
        line.show(f"{number} of {len(todo)} done{rest}; now {experiment.name.rsplit('-', 1)[0]}")
        started = time.perf_counter()
        experiments.run(experiment, device, quiet=True)
        spent, done = spent + time.perf_counter() - started, done + cost(experiment)
    if todo:
        line.close(f"{len(todo)} done in {clock(spent)}")
    return [experiments.run(experiment, device, quiet) for experiment in wanted]


def cost(experiment: Experiment) -> float:
    """Multiply-adds times epochs: about proportional to the time of a training on given data."""
    total = _multiply_adds(experiment.model)
    if experiment.student:
        stages = len(models.build(experiment.student, 0).stages)
        branches = experiment.branches or range(1, stages)
        # a branch that leaves behind stage k goes through the student's stages after k
        total += _multiply_adds(experiment.student) * sum(stages - k for k in branches) / stages
    return float(total * experiment.schedule.epochs)


@lru_cache(maxsize=32)
def _multiply_adds(name: str) -> int:
    """Of one slice of 64 x 64 pixels; other sizes have the same ratios between networks."""
    return models.multiply_adds(models.build(name, 0), 64, 64)
