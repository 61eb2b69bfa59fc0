"""Experiments as values: what is measured, what is trained, from where, how long.

An ``Experiment`` is frozen and says everything that decides its weights; equal experiments have
equal keys. It trains nothing: see ``running``.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from math import inf
from numbers import Real

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sftkd_core import distillation, masks, models
from sftkd_core.consistency import Measurement, measure
from sftkd_core.data import SPLITS, Dataset
from sftkd_core.distillation import TAPS
from sftkd_core.experiments.fingerprint import seal, shape_of
from sftkd_core.experiments.objectives import OBJECTIVES, learn, start
from sftkd_core.experiments.training import Schedule
from sftkd_core.sft import NORMS
from sftkd_core.system import PRECISIONS, InputError, autocast, effective_precision

PATTERNS = ("lines", "centre")


@dataclass(frozen=True)
class Sampling:
    """Which part of k-space is measured, for images of any size.

    acceleration  "lines": lines over measured lines; "centre": the same in both directions
    seed          of the lines, the noise and the phase
    pattern       "lines": a ``masks.cartesian_mask``, its ten central lines always measured, or
                  half of all where that is fewer; "centre": a ``masks.central_mask``, the
                  low-resolution scan of super-resolution
    noise         standard deviation of the noise in k-space, see ``consistency.measure``
    phase         standard deviation, in radians, of a smooth random phase that each slice is
                  given before it is measured: 0 leaves the images real
    """

    acceleration: float = 4
    seed: int = 0
    pattern: str = "lines"
    noise: float = 0.0
    phase: float = 0.0

    def __post_init__(self):
        if self.pattern not in PATTERNS:
            raise InputError(
                f"unknown pattern {self.pattern!r}; choose one of {', '.join(PATTERNS)}"
            )
        for name in ("noise", "phase"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{name} is {getattr(self, name)}; it must be a number >= 0")

    def mask(self, lines: int, columns: int | None = None) -> np.ndarray:
        """(lines,) bool of "lines", (lines, columns) of "centre" (default: as many); un-shifted."""
        if self.pattern == "centre":
            return masks.central_mask(lines, columns or lines, self.acceleration)
        centre = min(10, max(1, masks.line_count(lines, self.acceleration) // 2))
        return masks.cartesian_mask(lines, self.acceleration, self.seed, centre)

    def measure(self, images: Tensor, split: str = "test") -> Measurement:
        """Measure the slices (n, 1, h, w) of a split; noise and phase differ between splits."""
        number = SPLITS.index(split)
        if self.phase:
            images = images * torch.exp(1j * self._phases(images.shape, number))
        mask = self.mask(*images.shape[-2:])
        return measure(images, mask, self.noise, seed=1000 * self.seed + number)

    def _phases(self, shape: tuple[int, ...], number: int) -> Tensor:
        """Smooth random maps in radians, one a slice: (n, 1, h, w) float32."""
        generator = np.random.default_rng([self.seed, number])
        coarse = generator.standard_normal((shape[0], 1, 4, 4)).astype(np.float32)
        smooth = interpolate(
            torch.from_numpy(coarse), size=shape[-2:], mode="bicubic", align_corners=True
        )
        smooth = smooth - smooth.mean(dim=(2, 3), keepdim=True)
        return self.phase * smooth / smooth.std(dim=(2, 3), keepdim=True)


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
    apart        "sft": whether the student is drawn from a seed of its own; where not, the first
                 layers of both networks start equal
    branches     "sft": behind which teacher stages a branch leaves, see ``sft``; None: all
    norm         "l1" or "mse": of the reconstruction loss, key of ``sft.NORMS``
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
    apart: bool = False
    norm: str = "l1"
    precision: str = "auto"

    def __post_init__(self):
        tables: dict[str, Collection[str]] = {
            "objective": OBJECTIVES,
            "norm": NORMS,
            "precision": PRECISIONS,
        }
        for name, known in tables.items():
            value = getattr(self, name)
            if value not in known:
                raise InputError(f"unknown {name} {value!r}; choose one of {', '.join(known)}")
        for name in filter(None, (self.model, self.student)):
            models.check_name(name)
        weights = self.sft_weights
        if len(weights) != 3 or not all(0 <= weight < inf for weight in weights):
            raise InputError(
                f"sft_weights is {weights}; give three numbers from 0 up: of the teacher's term, "
                "of the branches' and of imitation"
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
        aim = OBJECTIVES[self.objective]
        owned = {name for other in OBJECTIVES.values() for name in other.uses}
        for f in fields(self):
            given = getattr(self, f.name) != _default(f)
            if given and f.name in owned and f.name not in aim.uses:
                verb = "takes no"
            elif not given and f.name in aim.needs:
                verb = "needs"
            else:
                continue
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
        return distillation.method(self.method, self.variant, self.taps)  # type: ignore[arg-type]

    @property
    def paraphraser(self) -> "Experiment | None":
        """What must be trained between teacher and student: factor transfer's first step."""
        if self.objective != "distil" or self.row.teacher_part is None:
            return None
        quarter = replace(self.schedule, epochs=max(1, self.schedule.epochs // 4))
        return type(self)(  # not by name: what else an experiment can do decides nothing here
            "paraphrase",
            self.teacher.model,  # type: ignore[union-attr]
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
            **{role: e.lengthened(factor) for role, e in earlier.items() if e},  # type: ignore[arg-type]
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
        aim = OBJECTIVES[self.objective]
        roots = [aim.network, aim.task, learn, Sampling, NORMS[self.norm]]
        roots += [autocast, effective_precision]  # what of the system decides a number
        for name in filter(None, (self.model, self.student)):
            roots += models.definitions(name)
        if self.data.synthetic:
            roots += self.data.roots
        if self.initial:
            roots.append(start)
        if self.method:
            row = self.row
            own = (row.summary, row.distance, row.student_part, row.teacher_part, TAPS[row.taps])
            roots += filter(None, own)
        if self.objective == "distil":
            roots.append(Experiment.paraphraser)
        return roots + [root for earlier in self.earlier for root in earlier._roots()]

    def _rows(self) -> tuple[str, ...]:
        """What table rows say of it: networks in layers; functions by what they compute."""
        own = [models.structure(name) for name in (self.model, self.student) if name]
        if self.method:
            values = {f.name: getattr(self.row, f.name) for f in fields(self.row)}
            del values["why"]
            own.append(str({k: shape_of(v) if callable(v) else v for k, v in values.items()}))
        aim = OBJECTIVES[self.objective]
        own.append(f"{aim.part} {aim.onward} {aim.starts} {aim.goes_on}")
        return tuple(own) + tuple(text for e in self.earlier for text in e._rows())

    @property
    def name(self) -> str:
        """A readable name with the key: the folder in the store."""
        kind = f"{self.model}-{self.student}-sft" if self.student else self.model
        if self.method and self.teacher:
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
