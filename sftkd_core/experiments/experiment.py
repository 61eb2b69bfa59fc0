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

from sftkd_core import distillation, models
from sftkd_core.data import Dataset
from sftkd_core.distillation import CONSISTENT, TAPS
from sftkd_core.experiments.fingerprint import seal, shape_of
from sftkd_core.experiments.objectives import OBJECTIVES, learn, start
from sftkd_core.experiments.sampling import Sampling
from sftkd_core.experiments.training import Schedule
from sftkd_core.sft import NORMS, SIDES
from sftkd_core.system import PRECISIONS, InputError, autocast, effective_precision


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
    variant      of the method: "cited" or "released", see ``distillation``
    taps         key of ``distillation.TAPS`` or ``CONSISTENT``; None takes the method's own
    weight       "distil": of the KD term; None lets it follow from ``share``
                 "imitate": of the imitation term; None is 1
    share        "distil": KD gradient over reconstruction gradient when training starts; None
                 takes the method's default
    labelled     "imitate": how many subjects have a target, of the others the teacher's images are
                 all there is; None: all
    joint        "distil": ``L_rec + weight * L_KD``; False trains ``L_KD`` alone, the first phase
                 of the released code's two
    sft_weights  "sft": of the three terms of the loss
    released     "sft": the released code's divided imitation term
    apart        "sft": whether the student is drawn from a seed of its own; where not, the first
                 layers of both networks start equal
    branches     "sft": behind which teacher stages a branch leaves, see ``sft``; None: all
    detached     "sft": what the imitation term's gradient does not reach, of ``sft.SIDES``
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
    variant: str = "cited"
    taps: str | None = None
    weight: float | None = None
    share: float | None = None
    labelled: int | None = None
    joint: bool = True
    sft_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    released: bool = False
    branches: tuple[int, ...] | None = None
    apart: bool = False
    detached: str | None = None
    norm: str = "l1"
    precision: str = "auto"

    def __post_init__(self):
        tables: dict[str, Collection[str]] = {
            "objective": OBJECTIVES,
            "norm": NORMS,
            "precision": PRECISIONS,
        }
        if self.detached is not None:
            tables["detached"] = SIDES
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
        if self.branches is not None:  # a list where a record is read back
            object.__setattr__(self, "branches", tuple(self.branches))
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
        if self.labelled is not None and not 1 <= self.labelled <= self.data.train:
            raise InputError(
                f"labelled is {self.labelled}; give a number of subjects from 1 to the "
                f"{self.data.train} to train on"
            )
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
        canonical = json.dumps([changed(self), self.data.fingerprint()], sort_keys=True)
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
            places = (TAPS | CONSISTENT)[row.taps]
            own = (row.summary, row.distance, row.student_part, row.teacher_part, places)
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
            variant = "" if self.variant == "cited" else f"-{self.variant}"
            kind += f"-{self.method}{variant}-from-{origin}"
        if self.objective == "paraphrase":
            kind += "-paraphraser"
        if self.objective == "imitate":
            kind += "-imitating"
        if self.initial:
            kind += "-continued"
        return f"{kind}-{self.key}"


def changed(value) -> object:
    """A dataclass as JSON values, without the fields that are at their defaults."""
    if not is_dataclass(value):
        return value
    return {
        f.name: changed(getattr(value, f.name))
        for f in fields(value)
        if getattr(value, f.name) != _default(f)
    }


def _default(of: Field) -> object:
    return of.default if of.default_factory is MISSING else of.default_factory()
