"""A training as a value, and its result, remembered.

``run(Experiment(...))`` returns what is known or trains it now. In this room, from the bottom up:
``fingerprint`` (seals), ``training`` (the loop), ``losses``, ``objectives`` (a row each),
``experiment`` (the value), ``store`` (where results are kept), ``running``.

>>> from sftkd_core.data import Dataset
>>> brains = Dataset("brain", 96)
>>> teacher = Experiment("sft", "D5C5", brains, student="D3C5", seed=7)
>>> student = Experiment("distil", "D3C5", brains, teacher=teacher, initial=teacher, method="at")
>>> [one.objective for one in with_earlier([student])]  # in the order of training
['sft', 'distil']
>>> exists(student)
False
>>> Experiment("sft", "D5C5", brains)
Traceback (most recent call last):
    ...
sftkd_core.system.InputError: an experiment of objective "sft" needs student
"""

from sftkd_core.experiments.experiment import Experiment, Sampling
from sftkd_core.experiments.losses import Examples, gradient_norms, starting_weight
from sftkd_core.experiments.objectives import OBJECTIVES
from sftkd_core.experiments.running import (
    Result,
    cost,
    exists,
    find,
    history,
    missing,
    progress,
    run,
    run_all,
    with_earlier,
)
from sftkd_core.experiments.training import Schedule, fit, reconstruct

__all__ = [
    "OBJECTIVES", "Examples", "Experiment", "Result", "Sampling", "Schedule", "cost", "exists",
    "find", "fit", "gradient_norms", "history", "missing", "progress", "reconstruct", "run",
    "run_all", "starting_weight", "with_earlier",
]  # fmt: skip
