"""Experiments as values: describe one, run it once, and have it remembered.

An ``Experiment`` is frozen and says everything that decides its weights; equal experiments have
equal keys. ``run`` returns the remembered result or trains; a killed training goes on where it
was, and two processes that ask for the same experiment train it once.
"""

import hashlib
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

import sftkd_core
from sftkd_core import distillation, masks, models, objectives, sft, storage, store
from sftkd_core.consistency import measure
from sftkd_core.data import Dataset
from sftkd_core.errors import InputError
from sftkd_core.hardware import describe, has_bfloat16, pick_device
from sftkd_core.progress import Line, clock
from sftkd_core.training import Schedule, fit, reconstruct

OBJECTIVES = ("reconstruct", "sft", "distil")


@dataclass(frozen=True)
class Sampling:
    """Which lines are measured: a ``masks.cartesian_mask`` for images of any height.

    The ten central lines are always measured, or half of all where that is fewer.
    """

    acceleration: float = 4
    seed: int = 0

    def mask(self, lines: int) -> np.ndarray:
        """(lines,) bool, un-shifted."""
        centre = min(10, max(1, masks.line_count(lines, self.acceleration) // 2))
        return masks.cartesian_mask(lines, self.acceleration, self.seed, centre)


@dataclass(frozen=True)
class Experiment:
    """One training, as a value.

    objective    "reconstruct" (a network alone), "sft" (teacher with branches of ``student``),
                 "distil" (a student beside the frozen ``teacher``)
    model        name of the network that is trained, see ``models.NAMES``
    data         training and validation slices; only their splits of the data set are used
    student      "sft": name of the network whose stages form the branches
    teacher      "distil": the experiment whose network is the teacher
    initial      experiment whose network (of an "sft" experiment: its student) starts this one;
                 None starts from random weights that follow from ``seed``
    method       "distil": row of ``distillation.METHODS``
    weight       "distil": of the KD term; None takes the method's default
    sft_weights  "sft": of the three terms of the loss
    released     "sft": the released code's divided imitation term
    precision    see ``training.fit``
    """

    objective: str
    model: str
    data: Dataset
    sampling: Sampling = Sampling()
    schedule: Schedule = field(default_factory=lambda: Schedule(epochs=150))
    seed: int = 0
    student: str | None = None
    teacher: "Experiment | None" = None
    initial: "Experiment | None" = None
    method: str | None = None
    weight: float | None = None
    sft_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    released: bool = False
    precision: str = "auto"

    def __post_init__(self):
        if self.objective not in OBJECTIVES:
            raise InputError(
                f"unknown objective {self.objective!r}; choose one of {', '.join(OBJECTIVES)}"
            )
        for name in filter(None, (self.model, self.student)):
            models.check_name(name)
        needs = {
            "student": self.objective == "sft",
            "teacher": self.objective == "distil",
            "method": self.objective == "distil",
        }
        for name, needed in needs.items():
            if (getattr(self, name) is not None) != needed:
                verb = "needs" if needed else "takes no"
                raise InputError(f'an experiment of objective "{self.objective}" {verb} {name}')
        if self.method is not None:
            distillation.method(self.method)

    @property
    def key(self) -> str:
        """A hash of everything above, the same in every process and on every machine."""
        canonical = json.dumps([asdict(self), self.data.fingerprint()], sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """A readable name with the key: the folder in the store."""
        kind = f"{self.model}-{self.student}-sft" if self.student else self.model
        if self.method:
            kind += f"-{self.method}-from-{'sft' if self.teacher.student else self.teacher.model}"
        if self.initial:
            kind += "-continued"
        return f"{kind}-{self.key}"


@dataclass(frozen=True)
class Result:
    """A finished experiment: its network with the best weights, and how it came about.

    network     in evaluation mode; for "sft" a ``StudentFriendlyTeacher``
    history     one row an epoch: epoch, rate, train_loss, validation_loss, validation_psnr, seconds
    provenance  seed, data, commit, hardware, precision, versions, when, seconds
    """

    experiment: Experiment
    network: nn.Module
    history: pd.DataFrame
    provenance: dict

    @property
    def model(self) -> models.Staged:
        """The network that reconstructs: of an "sft" experiment the teacher."""
        return self.network.teacher if self.experiment.student else self.network

    @property
    def student(self) -> models.Staged:
        """Of an "sft" experiment the student, whose stages were the branches."""
        return self.network.student if self.experiment.student else self.network

    @property
    def seconds(self) -> float:
        """Time of the training, all epochs."""
        return float(self.history["seconds"].sum())


def find(experiment: Experiment, device: str = "auto") -> Result | None:
    """The remembered result, or None: never trains."""
    entry = store.find(experiment.name)
    if entry is None:
        return None
    weights, record = entry
    network = _network(experiment)
    network.load_state_dict(weights)
    network.to(pick_device(device), memory_format=torch.channels_last).eval()
    return Result(experiment, network, pd.DataFrame(record["history"]), record["provenance"])


def run(experiment: Experiment, device: str = "auto", quiet: bool = False) -> Result:
    """The remembered result, or train now; its teacher and initial experiment come first."""
    result = find(experiment, device)
    if result is not None:
        return result
    for earlier in (experiment.teacher, experiment.initial):
        if earlier is not None:
            run(earlier, device, quiet)
    with storage.lock(store.folder(experiment.name)):
        result = find(experiment, device)  # another process may have trained it meanwhile
        return result if result is not None else _train(experiment, device, quiet)


def _train(experiment: Experiment, device_name: str, quiet: bool) -> Result:
    device = pick_device(device_name)
    line = Line(f"training {experiment.name.rsplit('-', 1)[0]}", quiet)
    started = datetime.now(timezone.utc)
    clock_start = time.perf_counter()
    place = store.folder(experiment.name)
    _restart_if_stale(place)
    train, validation = (_examples(experiment, name, device) for name in ("train", "validation"))
    network = _network(experiment)
    _start_from(network, experiment)
    network.to(device)
    history = fit(
        network,
        _objective(experiment, train, device),
        _validator(experiment, validation),
        len(train.targets),
        experiment.schedule,
        place,
        experiment.seed,
        experiment.precision,
        line,
    )
    bfloat16 = experiment.precision == "bfloat16" or (
        experiment.precision == "auto" and has_bfloat16(device)
    )
    provenance = {
        "experiment": asdict(experiment),
        "data": experiment.data.describe(),
        "commit": _commit(),
        "hardware": describe(device),
        "precision": "bfloat16" if bfloat16 else "float32",
        "versions": {
            "sftkd_core": sftkd_core.__version__,
            "torch": torch.__version__,
            "python": sys.version.split()[0],
        },
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(sum(row["seconds"] for row in history), 1),
    }
    record = {"name": experiment.name, "provenance": provenance, "history": history}
    store.put(experiment.name, network.state_dict(), record)
    (place / "checkpoint.safetensors").unlink(missing_ok=True)
    (place / "code.txt").unlink(missing_ok=True)
    line.close(
        f"done in {clock(time.perf_counter() - clock_start)}, validation "
        f"{max(row['validation_psnr'] for row in history):.2f} dB"
    )
    return Result(experiment, network, pd.DataFrame(history), provenance)


def _examples(experiment: Experiment, split: str, device: torch.device) -> objectives.Examples:
    images = experiment.data.load(split).images
    mask = experiment.sampling.mask(images.shape[-2])
    return objectives.Examples(measure(images, mask).to(device), images.to(device))


def _objective(experiment: Experiment, train: objectives.Examples, device: torch.device):
    if experiment.objective == "sft":
        return objectives.student_friendly(train, experiment.sft_weights, experiment.released)
    if experiment.objective == "reconstruct":
        return objectives.reconstruction(train)
    method = distillation.method(experiment.method)
    weight = method.weight if experiment.weight is None else experiment.weight
    teacher = find(experiment.teacher, str(device)).model
    wanted = objectives.teacher_summaries(teacher, train.measurement, method, experiment.precision)
    return objectives.distillation(train, wanted, method, weight)


def _validator(experiment: Experiment, validation: objectives.Examples):
    if experiment.objective == "sft":
        return objectives.validate_joint(validation, experiment.sft_weights, experiment.released)
    return objectives.validate_image(validation)


def _network(experiment: Experiment) -> nn.Module:
    model = models.build(experiment.model, experiment.seed)
    if not experiment.student:
        return model
    return sft.StudentFriendlyTeacher(model, models.build(experiment.student, experiment.seed))


def _start_from(network: nn.Module, experiment: Experiment) -> None:
    if experiment.initial is None:
        return
    earlier = find(experiment.initial, "cpu")
    network.load_state_dict(earlier.student.state_dict())  # strict: every weight or an error


def _restart_if_stale(place: Path) -> None:
    """Drop a checkpoint that another version of the training code left."""
    note = place / "code.txt"
    if note.exists() and note.read_text() != store.code_fingerprint():
        (place / "checkpoint.safetensors").unlink(missing_ok=True)
    storage.write_bytes(note, store.code_fingerprint().encode())


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


__all__ = ["Experiment", "Result", "Sampling", "Schedule", "find", "reconstruct", "run"]
