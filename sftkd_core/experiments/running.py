"""Run an experiment once and have it remembered; many of them, each trained once.

``run`` returns the remembered result or trains; a killed training goes on where it was, and two
processes that ask for the same experiment train it once.
"""

import subprocess
import sys
import time
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path

import pandas as pd
import torch
from torch import nn

import sftkd_core
from sftkd_core import models, system
from sftkd_core.experiments import objectives, store
from sftkd_core.experiments.experiment import Experiment
from sftkd_core.experiments.objectives import OBJECTIVES, learn, part_of, start
from sftkd_core.system import Line, clock, describe, effective_precision, pick_device


@dataclass(frozen=True)
class Result:
    """A finished experiment: its network with the best weights, and how it came about.

    network     in evaluation mode; for "sft" a ``StudentFriendlyTeacher``, for "distil" a
                ``Distiller``, for "adversarial" the ``Adversaries``, for "paraphrase" the list of
                paraphrasers
    history     one row an epoch: epoch, rate, train_loss, validation_loss, validation_psnr, seconds
    provenance  seed, data, commit, hardware, precision, versions, when, seconds
    code        the seal of the code that trained it
    """

    experiment: Experiment
    network: nn.Module
    history: pd.DataFrame
    provenance: dict
    code: str

    @property
    def model(self) -> models.Staged:
        """The network that reconstructs: of "sft" the teacher, of "distil" the student."""
        return part_of(self.network, OBJECTIVES[self.experiment.objective].part)

    @property
    def student(self) -> models.Staged:
        """The network to go on with: of "sft" the student, whose stages were the branches."""
        return part_of(self.network, OBJECTIVES[self.experiment.objective].onward)

    @property
    def stale(self) -> bool:
        """Whether other code has trained it than today's."""
        return self.code != self.experiment.code

    @property
    def seconds(self) -> float:
        """Time of the training, all epochs."""
        return float(self.history["seconds"].sum())


def find(experiment: Experiment, device: str = "auto") -> Result | None:
    """The remembered result, or None: never trains."""
    entry = store.find(experiment.name, experiment.code)
    if entry is None:
        return None
    weights, record = entry
    network = objectives.network(experiment)
    try:
        network.load_state_dict(weights)
    except RuntimeError:
        warnings.warn(
            f"result {experiment.name} was made by a version of the library whose network had "
            "other weights; it is taken for absent"
        )
        return None
    place = pick_device(device)
    network.to(place, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    history = pd.DataFrame(record["history"])
    return Result(experiment, network, history, record["provenance"], record["code"])


def history(experiment: Experiment) -> pd.DataFrame | None:
    """A row an epoch of what is remembered, also where the network is not there; else None."""
    entry = store.find(experiment.name, experiment.code)
    record = store.record_alone(experiment.name, experiment.code) if entry is None else entry[1]
    return None if record is None else pd.DataFrame(record["history"])


def progress(experiment: Experiment) -> pd.DataFrame | None:
    """A row an epoch of a training that is finished or under way, as far as it has come; or None.

    Of one under way, a log that other code has written counts too: look at its epochs only.
    """
    finished = history(experiment)
    if finished is not None:
        return finished
    rows = store.log(experiment.name)
    return pd.DataFrame(rows) if rows else None


def exists(experiment: Experiment) -> bool:
    """Whether ``find`` has a result: there is one, and a stale one still fits the network."""
    entry = store.find(experiment.name, experiment.code)
    if entry is None or entry[1]["code"] == experiment.code:
        return entry is not None
    own = objectives.network(experiment).state_dict()
    return {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in entry[0].items()}


def run(experiment: Experiment, device: str = "auto", quiet: bool = False) -> Result:
    """The remembered result, or train now; its teacher and initial experiment come first."""
    result = find(experiment, device)
    if result is not None:
        return result
    # what cannot be built, or cannot start there, is an error before anything is trained
    network = objectives.network(experiment)
    earlier = {e.key: find(e, device) for e in experiment.earlier}
    initial = experiment.initial
    if initial is not None:
        known = earlier[initial.key]
        blank = known.network if known else objectives.network(initial)
        start(network, experiment, blank)
    ready = {e.key: earlier[e.key] or run(e, device, quiet) for e in experiment.earlier}
    with system.lock(store.folder(experiment.name)):
        if store.is_there(experiment.name):  # another process has trained it meanwhile
            result = find(experiment, device)
        return result or _train(experiment, network, ready, device, quiet)


def _train(experiment, network, earlier: dict[str, Result], device_name: str, quiet: bool):
    device = pick_device(device_name)
    line = Line(f"training {experiment.name.rsplit('-', 1)[0]}", quiet)
    started, clock_start = datetime.now(timezone.utc), time.perf_counter()
    place = store.folder(experiment.name)
    stale = [e.name for e in experiment.earlier if earlier[e.key].stale]
    # a result that builds on stale ones is filed under another word than today's seal
    code = f"{experiment.code} on stale {' '.join(stale)}" if stale else experiment.code
    precision = _continue_or_restart(place, code, effective_precision(experiment.precision, device))
    if experiment.initial is not None:
        start(network, experiment, earlier[experiment.initial.key].network)
    network.to(device, memory_format=torch.channels_last)
    frozen = _frozen(experiment, earlier)
    history, weight = learn(network, experiment, precision, *frozen, place, line)
    provenance = {
        "experiment": asdict(experiment),
        "data": experiment.data.describe(),
        "kd_weight": weight,
        "commit": _commit(),
        "hardware": describe(device),
        "precision": precision,
        "versions": {
            "sftkd_core": sftkd_core.__version__,
            "torch": torch.__version__,
            "python": sys.version.split()[0],
        },
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(sum(row["seconds"] for row in history), 1),
    }
    record = {"name": experiment.name, "provenance": provenance, "history": history}
    network.zero_grad(set_to_none=True)
    store.put(experiment.name, network.state_dict(), record, code)
    (place / "checkpoint.safetensors").unlink(missing_ok=True)
    (place / "code.txt").unlink(missing_ok=True)
    best = min(history, key=lambda row: row["validation_loss"])
    spent = clock(time.perf_counter() - clock_start)
    line.close(f"done in {spent}, validation {system.score(best)}")
    return Result(experiment, network, pd.DataFrame(history), provenance, code)


def _frozen(experiment, earlier: dict[str, Result]) -> tuple[nn.Module | None, list]:
    """The teacher, and the paraphrasers of its features, where the experiment has them."""
    if experiment.teacher is None:
        return None, []
    teacher = earlier[experiment.teacher.key].model.requires_grad_(False)
    if experiment.paraphraser is None:
        return teacher, []
    paraphrasers = earlier[experiment.paraphraser.key].network.requires_grad_(False)
    assert isinstance(paraphrasers, nn.ModuleList)
    return teacher, list(paraphrasers)


def _continue_or_restart(place: Path, code: str, precision: str) -> str:
    """Drop a checkpoint that other code left; returns the precision in which training began."""
    note = place / "code.txt"
    found, *began = note.read_text().splitlines() if note.exists() else [code]
    if found != code:
        (place / "checkpoint.safetensors").unlink(missing_ok=True)
        began = []
    precision = began[0] if began else precision
    system.write_bytes(note, f"{code}\n{precision}\n".encode())
    return precision


def _commit() -> str:
    """The commit of the clone that the library runs from, or its version."""
    clone = store.PACKAGE.parent
    if (clone / ".git").exists():
        try:
            command = ["git", "-C", str(clone), "describe", "--always", "--dirty", "--abbrev=12"]
            output = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
            return output.stdout.strip()
        except (OSError, subprocess.SubprocessError):
            pass
    return f"version {sftkd_core.__version__}"


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
    return [e for e in with_earlier(wanted) if not exists(e)]


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
        run(experiment, device, quiet=True)
        spent, done = spent + time.perf_counter() - started, done + cost(experiment)
    if todo:
        line.close(f"{len(todo)} done in {clock(spent)}")
    return [run(experiment, device, quiet) for experiment in wanted]


def cost(experiment: Experiment) -> float:
    """Multiply-adds times epochs: about proportional to the time of a training on given data."""
    total: float = _multiply_adds(experiment.model)
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
