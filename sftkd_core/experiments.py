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
import warnings
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass, replace
from datetime import datetime, timezone
from math import inf
from numbers import Real
from pathlib import Path

import pandas as pd
import torch
from torch import nn

import sftkd_core
from sftkd_core import distillation, models, objectives, storage, store, tasks
from sftkd_core.data import Dataset
from sftkd_core.errors import InputError
from sftkd_core.fingerprint import seal
from sftkd_core.hardware import describe, pick_device
from sftkd_core.norms import NORMS
from sftkd_core.progress import Line, clock
from sftkd_core.sampling import Sampling
from sftkd_core.training import PRECISIONS, Schedule, effective_precision, fit, reconstruct

OBJECTIVES = ("reconstruct", "sft", "distil", "paraphrase", "imitate", "adversarial")
FROM_TEACHER = ("distil", "paraphrase", "imitate")
BY_METHOD = ("distil", "paraphrase")
USED_BY = {  # the objectives that have a use for a field; all have one for the other fields
    "student": ("sft",),
    "teacher": FROM_TEACHER,
    "method": BY_METHOD,
    "variant": BY_METHOD,
    "taps": BY_METHOD,
    "weight": ("distil", "imitate"),
    "share": ("distil",),
    "joint": ("distil",),
    "sft_weights": ("sft",),
    "released": ("sft",),
    "branches": ("sft",),
    "norm": ("reconstruct", "sft", "distil"),
}
NEEDED = ("student", "teacher", "method")  # by those that have a use for them


@dataclass(frozen=True)
class Experiment:
    """One training, as a value.

    objective    "reconstruct" (a network alone), "sft" (teacher with branches of ``student``),
                 "distil" (a student beside the frozen ``teacher``), "paraphrase" (what factor
                 transfer trains first: an autoencoder of the frozen ``teacher``'s features),
                 "imitate" (a student beside the images of the frozen ``teacher``), "adversarial"
                 (a generator against ``dagan.Discriminator``)
    model        name of the network that is trained, see ``models.NAMES``
    data         training and validation slices; only their splits of the data set are used
    student      "sft": name of the network whose stages form the branches
    teacher      "distil", "paraphrase", "imitate": the experiment whose network is the teacher
    initial      experiment whose network (of an "sft" experiment: its student, or all of it where
                 this one is "sft" too) starts this one; None starts from random weights that
                 follow from ``seed``
    method       "distil", "paraphrase": row of ``distillation.METHODS``
    variant      of the method: "paper" or "released"
    taps         key of ``distillation.TAPS``; None takes the method's own
    weight       "distil": of the KD term; None lets it follow from ``share``
                 "imitate": of the imitation term; None is 1
    share        "distil": KD gradient over reconstruction gradient when training starts; None
                 takes the method's default
    joint        "distil": ``L_rec + weight * L_KD``; False trains ``L_KD`` alone, the first phase
                 of the released code's two
    sft_weights  "sft": of the three terms of the loss
    released     "sft": the released code's divided imitation term
    branches     "sft": behind which teacher stages a branch leaves, see ``sft``; None: all
    norm         "l1" or "mse": of the reconstruction loss, key of ``norms.NORMS``
    precision    see ``training.fit``
    """

    objective: str
    model: str
    data: Dataset
    sampling: Sampling = field(default_factory=Sampling)
    schedule: Schedule = field(default_factory=lambda: Schedule(epochs=150))
    seed: int = 0
    student: str | None = None
    teacher: "Experiment | None" = None
    initial: "Experiment | None" = None
    method: str | None = None
    variant: str = "paper"
    taps: str | None = None
    weight: float | None = None
    share: float | None = None
    joint: bool = True
    sft_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    released: bool = False
    branches: tuple[int, ...] | None = None
    norm: str = "l1"
    precision: str = "auto"

    def __post_init__(self):
        if self.objective not in OBJECTIVES:
            raise InputError(
                f"unknown objective {self.objective!r}; choose one of {', '.join(OBJECTIVES)}"
            )
        for name in filter(None, (self.model, self.student)):
            models.check_name(name)
        if self.norm not in NORMS:
            raise InputError(f"unknown norm {self.norm!r}; choose one of {', '.join(NORMS)}")
        weights = self.sft_weights
        if len(weights) != 3 or not all(0 <= weight < inf for weight in weights):
            raise InputError(
                f"sft_weights is {weights}; give three numbers from 0 up: of the teacher's term, "
                "of the branches' and of imitation"
            )
        if self.precision not in PRECISIONS:
            raise InputError(
                f"unknown precision {self.precision!r}; choose one of {', '.join(PRECISIONS)}"
            )
        self._in_one_form()
        self._check_use()
        self._check_distillation()

    def _in_one_form(self) -> None:
        """4 and 4.0, a list and a tuple, are one experiment and have one key."""
        sampling, schedule = self.sampling, self.schedule
        if not isinstance(sampling.acceleration, Real):
            raise InputError(f"acceleration is {sampling.acceleration!r}; pass a number >= 1")
        rate = float(sampling.acceleration)
        plain = {"acceleration": int(rate) if rate.is_integer() else rate}
        plain |= {name: float(getattr(sampling, name)) for name in ("noise", "phase")}
        object.__setattr__(self, "sft_weights", tuple(float(weight) for weight in self.sft_weights))
        object.__setattr__(self, "sampling", replace(sampling, **plain))
        object.__setattr__(self, "schedule", replace(schedule, rate=float(schedule.rate)))

    def _check_use(self) -> None:
        """Each field only where it decides something: one training, one key."""
        for f in fields(self):
            if f.name not in USED_BY:
                continue
            given = getattr(self, f.name) != _default(f)
            used = self.objective in USED_BY[f.name]
            if (given and not used) or (f.name in NEEDED and used and not given):
                verb = "takes no" if given else "needs"
                raise InputError(f'an experiment of objective "{self.objective}" {verb} {f.name}')

    def _check_distillation(self) -> None:
        """Contradictions among the fields of a distillation."""
        if self.weight is not None and self.share is not None:
            raise InputError("give the KD term a weight or a share, not both")
        for name in ("weight", "share"):
            value = getattr(self, name)
            if value is None:
                continue
            if not 0 < value < inf:
                raise InputError(f"{name} is {value}; it must be a positive number")
            object.__setattr__(self, name, float(value))  # 3 and 3.0 are one experiment
        if not self.joint:
            for name in ("weight", "share", "norm"):
                if getattr(self, name) not in (None, "l1"):
                    raise InputError(
                        f"joint=False trains the KD loss alone, and has no use for {name} "
                        f"{getattr(self, name)!r}; leave it out"
                    )
        if self.method is not None:
            smallest = self.row.smallest
            if self.schedule.batch < smallest:
                raise InputError(
                    f"batches of {self.schedule.batch} slices: {self.method!r} compares slices "
                    f"with each other; use batches of at least {smallest}"
                )
            if self.share == self.row.share:  # one experiment, one key
                object.__setattr__(self, "share", None)

    @property
    def row(self) -> distillation.Method:
        """ "distil", "paraphrase": the method, its variant, its taps."""
        return distillation.method(self.method, self.variant, self.taps)

    @property
    def paraphraser(self) -> "Experiment | None":
        """What must be trained between teacher and student: factor transfer's first step."""
        if self.objective != "distil" or self.row.teacher_part is None:
            return None
        quarter = replace(self.schedule, epochs=max(1, self.schedule.epochs // 4))
        return type(self)(  # not by name: what else an experiment can do decides nothing here
            "paraphrase",
            self.teacher.model,
            self.data,
            self.sampling,
            quarter,
            self.seed,
            teacher=self.teacher,
            method=self.method,
            taps=self.taps,
            precision=self.precision,
        )

    @property
    def earlier(self) -> "list[Experiment]":
        """The experiments that this one builds on, in the order in which to run them."""
        return [e for e in (self.teacher, self.initial, self.paraphraser) if e is not None]

    @classmethod
    def from_record(cls, described: dict) -> "Experiment":
        """The experiment that the provenance of a result describes."""
        kinds = {"data": Dataset, "sampling": Sampling, "schedule": Schedule}
        own = {name: kind(**described[name]) for name, kind in kinds.items()}
        for role in ("teacher", "initial"):
            own[role] = cls.from_record(described[role]) if described[role] else None
        return cls(**{**described, **own})

    def lengthened(self, factor: int) -> "Experiment":
        """The same with ``factor`` times the epochs, and so is all that it builds on."""
        if not isinstance(factor, int) or factor < 1:
            raise InputError(f"factor is {factor!r}; pass a whole number >= 1")
        earlier = {"teacher": self.teacher, "initial": self.initial}
        return replace(
            self,
            schedule=replace(self.schedule, epochs=factor * self.schedule.epochs),
            **{role: e.lengthened(factor) for role, e in earlier.items() if e},
        )

    @property
    def key(self) -> str:
        """A hash of everything above, the same in every process and on every machine.

        Fields at their defaults do not count, so that a field added later changes no key.
        """
        canonical = json.dumps([_changed(self), self.data.fingerprint()], sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def code(self) -> str:
        """A seal of the definitions and the table rows that decide these weights."""
        return seal(tuple(self._roots()), self._rows())

    def _roots(self) -> list:
        """The definitions that the seal starts from; of what it builds on as well."""
        roots = [fit, Schedule, Sampling, _examples, NORMS[self.norm]]
        roots += tasks.roots(self.objective)
        for name in filter(None, (self.model, self.student)):
            roots += models.definitions(name)
        if self.data.synthetic:
            roots += self.data.roots
        if self.initial:
            roots.append(_start_from)
        if self.method:
            roots += self.row.roots
        if self.objective == "distil":
            roots.append(Experiment.paraphraser)
        return roots + [root for earlier in self.earlier for root in earlier._roots()]

    def _rows(self) -> tuple[str, ...]:
        own = [models.structure(name) for name in (self.model, self.student) if name]
        own += [self.row.settings] if self.method else []
        return tuple(own) + tuple(text for e in self.earlier for text in e._rows())

    @property
    def name(self) -> str:
        """A readable name with the key: the folder in the store."""
        kind = f"{self.model}-{self.student}-sft" if self.student else self.model
        if self.method:
            origin = "sft" if self.teacher.student else self.teacher.model
            variant = "" if self.variant == "paper" else f"-{self.variant}"
            kind += f"-{self.method}{variant}-from-{origin}"
        if self.objective == "paraphrase":
            kind += "-paraphraser"
        if self.objective == "imitate":
            kind += "-imitating"
        if self.initial:
            kind += "-continued"
        return f"{kind}-{self.key}"


@dataclass(frozen=True)
class Result:
    """A finished experiment: its network with the best weights, and how it came about.

    network     in evaluation mode; for "sft" a ``StudentFriendlyTeacher``, for "distil" a
                ``Distiller``, for "adversarial" the ``Adversaries``, for "paraphrase" the list of
                paraphrasers
    history     one row an epoch: epoch, rate, train_loss, validation_loss, validation_psnr, seconds
    provenance  seed, data, commit, hardware, precision, versions, when, seconds
    """

    experiment: Experiment
    network: nn.Module
    history: pd.DataFrame
    provenance: dict

    @property
    def model(self) -> models.Staged:
        """The network that reconstructs: of "sft" the teacher, of "distil" the student."""
        objective = self.experiment.objective
        part = {"distil": "student", "sft": "teacher", "adversarial": "generator"}.get(objective)
        return getattr(self.network, part) if part else self.network

    @property
    def student(self) -> models.Staged:
        """The network to go on with: of "sft" the student, whose stages were the branches."""
        return self.network.student if self.experiment.objective == "sft" else self.model

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
    network = tasks.network(experiment)
    try:
        network.load_state_dict(weights)
    except RuntimeError:
        warnings.warn(
            f"result {experiment.name} was made by a version of the library whose network had "
            "other weights; it is taken for absent"
        )
        return None
    network.to(pick_device(device), memory_format=torch.channels_last).eval()
    return Result(experiment, network, pd.DataFrame(record["history"]), record["provenance"])


def exists(experiment: Experiment) -> bool:
    """Whether ``find`` has a result: there is one, and a stale one still fits the network."""
    entry = store.find(experiment.name, experiment.code)
    if entry is None or entry[1]["code"] == experiment.code:
        return entry is not None
    own = tasks.network(experiment).state_dict()
    return {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in entry[0].items()}


def run(experiment: Experiment, device: str = "auto", quiet: bool = False) -> Result:
    """The remembered result, or train now; its teacher and initial experiment come first."""
    result = find(experiment, device)
    if result is not None:
        return result
    # what cannot be built, or cannot start there, is an error before anything is trained
    network = tasks.network(experiment)
    if experiment.initial is not None:
        blank = Result(experiment.initial, tasks.network(experiment.initial), pd.DataFrame(), {})
        _start_from(blank, network, experiment)
    for earlier in experiment.earlier:
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
    code = _seal(experiment)
    precision = _continue_or_restart(place, code, effective_precision(experiment.precision, device))
    train, validation = (_examples(experiment, name, device) for name in ("train", "validation"))
    network = tasks.network(experiment)
    if experiment.initial is not None:
        _start_from(find(experiment.initial, "cpu"), network, experiment)
    network.to(device, memory_format=torch.channels_last)
    exact = replace(experiment, precision=precision)
    task = tasks.task(exact, network, train, validation, *_frozen(experiment, device))
    history = fit(
        network,
        task.objective,
        task.validate,
        len(train.targets),
        experiment.schedule,
        place,
        experiment.seed,
        precision,
        line,
    )
    provenance = {
        "experiment": asdict(experiment),
        "data": experiment.data.describe(),
        "kd_weight": task.weight,
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
    store.put(experiment.name, network.state_dict(), record, code)
    (place / "checkpoint.safetensors").unlink(missing_ok=True)
    (place / "code.txt").unlink(missing_ok=True)
    line.close(
        f"done in {clock(time.perf_counter() - clock_start)}, validation "
        + (
            f"{min(history, key=_loss)['validation_psnr']:.2f} dB"
            if "validation_psnr" in history[0]
            else f"loss {_loss(min(history, key=_loss)):.3g}"
        )
    )
    return Result(experiment, network, pd.DataFrame(history), provenance)


def _loss(row: dict) -> float:
    return row["validation_loss"]


def _examples(experiment: Experiment, split: str, device: torch.device) -> objectives.Examples:
    images = experiment.data.load(split).images
    return objectives.Examples(
        experiment.sampling.measure(images, split).to(device), images.to(device)
    )


def _frozen(experiment: Experiment, device: torch.device) -> tuple[nn.Module | None, list]:
    """The teacher, and the paraphrasers of its features, where the experiment has them."""
    if experiment.teacher is None:
        return None, []
    teacher = find(experiment.teacher, str(device)).model.requires_grad_(False)
    if experiment.paraphraser is None:
        return teacher, []
    return teacher, list(find(experiment.paraphraser, str(device)).network.requires_grad_(False))


def _start_from(earlier: Result, network: nn.Module, experiment: Experiment) -> None:
    objective = experiment.objective
    if objective == earlier.experiment.objective and objective in ("sft", "adversarial"):
        target, weights = network, earlier.network.state_dict()
    else:
        part = {"distil": "student", "adversarial": "generator"}.get(objective)
        target = getattr(network, part) if part else network
        weights = earlier.student.state_dict()
    try:
        target.load_state_dict(weights)  # strict: every weight or an error
    except RuntimeError as error:
        raise InputError(
            f"the weights of {experiment.initial.name} do not fit {experiment.name}; give an "
            "initial experiment of the same network"
        ) from error


def _seal(experiment: Experiment) -> str:
    """The code that a result is filed under; another word where it builds on stale ones."""
    stale = [e.name for e in experiment.earlier if store.find(e.name, e.code)[1]["code"] != e.code]
    return f"{experiment.code} on stale {' '.join(stale)}" if stale else experiment.code


def _continue_or_restart(place: Path, seal: str, precision: str) -> str:
    """Drop a checkpoint that other code left; returns the precision in which training began."""
    note = place / "code.txt"
    code, *began = note.read_text().splitlines() if note.exists() else [seal]
    if code != seal:
        (place / "checkpoint.safetensors").unlink(missing_ok=True)
        began = []
    precision = began[0] if began else precision
    storage.write_bytes(note, f"{seal}\n{precision}\n".encode())
    return precision


def _changed(value) -> object:
    """A dataclass as JSON values, without the fields that are at their defaults."""
    if not is_dataclass(value):
        return value
    return {
        f.name: _changed(getattr(value, f.name))
        for f in fields(value)
        if getattr(value, f.name) != _default(f)
    }


def _default(of: Field) -> object:
    return of.default if of.default_factory is MISSING else of.default_factory()


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


__all__ = [
    "Experiment",
    "Result",
    "Sampling",
    "Schedule",
    "exists",
    "find",
    "reconstruct",
    "run",
]
