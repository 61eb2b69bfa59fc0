"""A training as a value, and its result, remembered.

``run(Experiment(...))`` returns what is known or trains it now. In this room, from the bottom up:
``fingerprint`` (seals), ``training`` (the loop), ``losses``, ``objectives`` (a row each),
``experiment`` (the value), ``store`` (where results are kept), ``running``.
"""

from sftkd_core.experiments.experiment import Experiment, Sampling
from sftkd_core.experiments.losses import Examples, gradient_norms, starting_weight
from sftkd_core.experiments.objectives import OBJECTIVES
from sftkd_core.experiments.running import (
    Result,
    cost,
    exists,
    find,
    missing,
    run,
    run_all,
    with_earlier,
)
from sftkd_core.experiments.training import Schedule, fit, reconstruct

__all__ = [
    "OBJECTIVES", "Examples", "Experiment", "Result", "Sampling", "Schedule", "cost", "exists",
    "find", "fit", "gradient_norms", "missing", "reconstruct", "run", "run_all", "starting_weight",
    "with_earlier",
]  # fmt: skip
