"""The book's plan: every experiment that has a name, and beside it what the name stands for.

One function a chapter's worth of experiments returns names and entries. An entry's teacher and
start are names of the plan themselves, trained once; ``experiment`` makes an entry on a ``Basis``.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from sftkd_core import distillation
from sftkd_core.data import Dataset
from sftkd_core.experiments import Experiment, Sampling, Schedule
from sftkd_core.system import InputError

METHOD_NAMES = {
    "at": "AT", "fitnets": "FitNets", "sp": "SP", "fsp": "FSP", "cc": "CC", "pkt": "PKT",
    "ft": "FT", "nst": "NST", "output": "the image", "stages": "the images of all stages",
}  # fmt: skip
COMPRESSED = ("D4C5", "D2C5")  # students beside D3C5 (Table 8)
CASCADES = (1, 2, 3, 8)  # of teachers beside D5C5
RESOLUTION_METHODS = ("at", "fitnets", "cc", "pkt", "ft", "nst")  # Table 9
# name -> what it says, and the fields that differ from the paper's SFT training
SFT_VARIANTS: dict[str, tuple[str, dict]] = {
    "no-imitation": ("no imitation term", {"sft_weights": (1.0, 1.0, 0.0)}),
    "quarter-imitation": ("a quarter of the imitation term", {"sft_weights": (1.0, 1.0, 0.25)}),
    "half-imitation": ("half of the imitation term", {"sft_weights": (1.0, 1.0, 0.5)}),
    "strong-imitation": ("the imitation term four times", {"sft_weights": (1.0, 1.0, 4.0)}),
    "teacher-detached": ("imitation pulls at the branches only", {"detached": "teacher"}),
    "branches-detached": ("imitation pulls at the teacher only", {"detached": "branches"}),
    "first-branch": ("one branch, behind stage 1", {"branches": (1,)}),
    "last-branch": ("one branch, behind stage 4", {"branches": (4,)}),
    "mse": ("squared losses", {"fields": {"norm": "mse"}}),
    "no-imitation-mse": (
        "squared losses, no imitation", {"sft_weights": (1.0, 1.0, 0.0), "fields": {"norm": "mse"}},
    ),
    "released": ("the released code's divided imitation term", {"released": True}),
}  # fmt: skip
PHASE = 1.0  # radians, standard deviation over a slice
TEACHERS = 1_000  # added to a teacher's seed where networks are drawn apart
SMALLER = {  # what two processor cores can train
    "DC-UNet": "DC-UNet-tiny", "DAGAN": "DAGAN-narrow",
    "VDSR-12": "VDSR-12-narrow", "VDSR-4": "VDSR-4-narrow",
}  # fmt: skip
# of the KD gradient at the start where networks are drawn apart (profile "study"): of 0.1, 0.3
# and 1 the one with the best validation PSNR of a seed for tuning, ``workflow/study.py --tuned``
SHARES = {
    **dict.fromkeys(("fitnets", "cc", "ft"), 0.1),
    **dict.fromkeys(("at", "sp", "fsp", "output", "stages"), 0.3),
    **dict.fromkeys(("pkt", "nst"), 1.0),
}
ROLES = ("teacher", "sft-teacher", "student", "kd", "sft-kd")
ALIASES = {
    "D5C5": "teacher", "D4C5": "student-D4C5", "D3C5": "student", "D2C5": "student-D2C5",
    "kd-at": "kd", "sft-kd-at": "sft-kd",
}  # fmt: skip


@dataclass(frozen=True)
class Basis:
    """What the experiments of a plan share, besides their names.

    elsewhere  the other anatomy, for networks that learn there first
    full       whether networks have the paper's size, or that of ``SMALLER``
    apart      whether teacher and student are drawn from seeds of their own; where not, their
               first layers start equal
    """

    data: Dataset
    sampling: Sampling
    schedule: Schedule
    seed: int
    elsewhere: Dataset
    full: bool
    apart: bool = False

    @property
    def common(self) -> dict:
        """The fields that all experiments share: data, sampling, schedule, seed."""
        names = ("data", "sampling", "schedule", "seed")
        return {name: getattr(self, name) for name in names}

    def share_of(self, method: str | None, given: dict) -> dict:
        """The share that was chosen for a method, where nothing else says how hard it pulls."""
        said = {"weight", "share", "variant", "taps"} & set(given) or given.get("joint") is False
        return {} if said or not self.apart or method not in SHARES else {"share": SHARES[method]}

    def distil(
        self, method: str, teacher: str = "teacher", sft_start: bool = False, **changes
    ) -> Experiment:
        """D3C5 distilled from a teacher of the plan; ``changes`` are fields of ``Experiment``."""
        known = experiment(self, teacher)
        fields = {"teacher": known, "initial": known if sft_start else None, **self.common}
        fields |= {**self.share_of(method, changes), **changes}
        return Experiment("distil", fields.pop("model", "D3C5"), method=method, **fields)


@dataclass(frozen=True)
class Entry:
    """An experiment of the plan before its basis is known.

    what       what its name stands for
    fields     of ``Experiment``; "teacher" and "initial" are names of the plan, or entries
    sampling   fields in which its sampling differs from the basis's
    teaches    whether it has the seed of teachers
    elsewhere  whether it learns on the other anatomy
    factor     times the epochs of it alone, whatever it builds on
    """

    what: str
    objective: str
    model: str
    fields: dict = field(default_factory=dict)
    sampling: dict = field(default_factory=dict)
    teaches: bool = False
    elsewhere: bool = False
    factor: int = 1

    def on(self, basis: Basis) -> Experiment:
        """The experiment."""
        fields = {**basis.common, "sampling": replace(basis.sampling, **self.sampling)}
        fields["seed"] += TEACHERS * (self.teaches and basis.apart)
        if self.elsewhere:
            fields["data"] = basis.elsewhere
        if self.objective == "sft":
            fields["apart"] = basis.apart
        fields["schedule"] = replace(basis.schedule, epochs=self.factor * basis.schedule.epochs)
        fields |= self.fields | basis.share_of(self.fields.get("method"), self.fields)
        for role in {"teacher", "initial"} & set(fields):
            known = fields[role]
            fields[role] = (known if isinstance(known, Entry) else _ENTRIES[known]).on(basis)
        model = self.model if basis.full else SMALLER.get(self.model, self.model)
        if "student" in fields and not basis.full:
            fields["student"] = SMALLER.get(fields["student"], fields["student"])
        return Experiment(self.objective, model, **fields)


Named = dict[str, Entry]


def experiment(basis: Basis, name: str) -> Experiment:
    """An experiment by its name or alias; raises ``InputError`` for one that the plan has not."""
    name = ALIASES.get(name, name)
    if name not in PLAN:
        known = ", ".join([*PLAN, *ALIASES])
        raise InputError(f"unknown experiment {name!r}; choose one of {known}")
    return _ENTRIES[name].on(basis)


def _alone(what: str, model: str, factor: int = 1, sampling: dict | None = None, **fields) -> Entry:
    """A network alone; ``factor`` 2 is a control that has the epochs of both phases."""
    return Entry(what, "reconstruct", model, fields, sampling or {}, factor=factor)


def _by(what: str, student: str, method: str, teacher: str, start: bool = False, **more) -> Entry:
    """A student distilled from a teacher of the plan, perhaps from the start that this one gives.

    more  fields of ``Entry``
    """
    fields = {"teacher": teacher, "method": method, **more.pop("fields", {})}
    if start:
        fields["initial"] = teacher
    return Entry(what, "distil", student, fields, **more)


def _family(
    name: str,
    teacher: str,
    student: str,
    words: str = "{}",
    origins: tuple[str, str] = ("the teacher", "the SFT teacher"),
    start: bool = True,
    roles: tuple[str, ...] = ROLES,
    sampling: dict | None = None,
    fields: dict | None = None,
    **sft,
) -> Named:
    """Teacher, SFT teacher, student, KD and SFT-KD by attention transfer of two networks.

    name, words       of a role and of its sentence, with a place for them: "sr-{}"
    origins           what the sentences call the two teachers
    start             whether the distilled student starts from the branches' weights
    roles             those that are wanted; without a teacher, KD has that of the spine
    sampling, fields  of all entries; ``sft`` fields of the joint training
    """
    whole, small = (n.removesuffix("-complex") for n in (teacher, student))
    common: dict[str, Any] = {"sampling": sampling or {}, "fields": fields or {}}
    known = name.format("teacher") if "teacher" in roles else "teacher"
    friendly, after = name.format("sft-teacher"), ", SFT start" if start else ""
    joint = {"student": student, **common["fields"], **sft}
    family = {
        "teacher": Entry(f"{whole} alone", "reconstruct", teacher, **common, teaches=True),
        "sft-teacher": Entry(
            f"{whole} with branches of {small}", "sft", teacher, joint, common["sampling"], True
        ),
        "student": Entry(f"{small} alone", "reconstruct", student, **common),
        "kd": _by(f"{small} distilled from {origins[0]}", student, "at", known, **common),
        "sft-kd": _by(
            f"{small} distilled from {origins[1]}{after}", student, "at", friendly, start, **common
        ),
    }
    return {
        name.format(role): replace(family[role], what=words.format(family[role].what))
        for role in roles
    }


def _spine() -> Named:
    return _family("{}", "D5C5", "D3C5") | {
        "sft-kd-random": _by(
            "D3C5 distilled from the SFT teacher, random start", "D3C5", "at", "sft-teacher"
        ),
        "teacher-long": Entry(
            "control: D5C5 alone, the steps of both phases",
            "reconstruct",
            "D5C5",
            teaches=True,
            factor=2,
        ),
        "kd-long": _by(
            "control: kd, its steps those of both phases", "D3C5", "at", "teacher", factor=2
        ),
        "kd-fsp-long": _by(
            "control: kd-fsp, its steps those of both phases", "D3C5", "fsp", "teacher", factor=2
        ),
        "sft-kd-random-long": _by(
            "control: sft-kd-random, its steps those of both phases",
            "D3C5",
            "at",
            "sft-teacher",
            factor=2,
        ),
        "student-long": _alone("control: D3C5 alone, the steps of both phases", "D3C5", 2),
        "sft-finetuned": _alone("control: D3C5 alone, SFT start", "D3C5", initial="sft-teacher"),
        "student-twice": _alone(
            "control: D3C5 alone, then the same schedule once more", "D3C5", initial="student"
        ),
    }


def _methods() -> Named:
    named: Named = {}
    for method, rows in distillation.METHODS.items():
        word = METHOD_NAMES.get(method, method)
        if method != "at":
            by = f"D3C5 distilled from the {{}} by {word}"
            named[f"kd-{method}"] = _by(by.format("teacher"), "D3C5", method, "teacher")
            named[f"sft-kd-{method}"] = _by(
                by.format("SFT teacher"), "D3C5", method, "sft-teacher", start=True
            )
        if "released" in rows:
            what, released = f"kd, {word} as in the released code", {"variant": "released"}
            named[f"kd-{method}-released"] = _by(what, "D3C5", method, "teacher", fields=released)
    return named


def _compression() -> Named:
    named: Named = {}
    for student in COMPRESSED:
        named |= _family(f"{{}}-{student}", "D5C5", student, roles=ROLES[1:])
        what = f"control: {student} alone, the steps of both phases"
        named[f"student-long-{student}"] = _alone(what, student, 2)
    return named


def _cascades() -> Named:
    """The teacher with other numbers of stages."""
    return {
        f"teacher-C{count}": Entry(f"D5C{count} alone", "reconstruct", f"D5C{count}", teaches=True)
        for count in CASCADES
    }


def _unet() -> Named:
    roles = ("teacher", "sft-teacher", "kd", "sft-kd")  # the student is the spine's
    origins = ("DC-UNet", "the SFT DC-UNet")
    return _family("{}-unet", "DC-UNet", "D3C5", origins=origins, roles=roles)


def _residual() -> Named:
    mse: dict[str, Any] = {"norm": "mse"}
    # the original training does not reuse the student's weights
    own = _family("{}-residual", "ResCNN-25", "ResCNN-15", "{}, MSE", start=False, fields=mse)
    return own | {
        "student-mse": _alone("D3C5 alone, MSE", "D3C5", **mse),
        "student-free-mse": _alone("D3C5 alone without data consistency, MSE", "D3C5-free", **mse),
    }


def _pretraining() -> Named:
    words, branches = "D5C5 with branches of D3C5, {} the other anatomy", {"student": "D3C5"}
    first = Entry(words.format("on"), "sft", "D5C5", branches, teaches=True, elsewhere=True)
    then = {**branches, "initial": "sft-teacher-elsewhere"}
    return {
        "sft-teacher-elsewhere": first,
        "sft-teacher-pretrained": Entry(
            words.format("started on"), "sft", "D5C5", then, teaches=True
        ),
    }


def _variants() -> Named:
    named: Named = {}
    for variant, (what, changes) in SFT_VARIANTS.items():
        more = {"words": f"{{}}: {what}", "roles": ("sft-teacher", "sft-kd"), **changes}
        named |= _family(f"{{}}-{variant}", "D5C5", "D3C5", **more)
    for variant in ("no-imitation", "released"):
        what, start = f"control: D3C5 alone, SFT start, {variant}", f"sft-teacher-{variant}"
        named[f"sft-finetuned-{variant}"] = _alone(what, "D3C5", initial=start)
    return named


def _rivals() -> Named:
    """Other networks, and what the released code does otherwise."""
    features = _by("attention alone", "D3C5", "at", "teacher", fields={"joint": False})
    flow = _by(
        "the first of FSP's two stages: flow alone", "D3C5", "fsp", "teacher",
        fields={"joint": False},
    )  # fmt: skip
    return {
        "DC-RDN": _alone("DC-RDN alone", "DC-RDN"),
        "MAC-ReconNet": _alone("MAC-ReconNet alone, one context", "MAC-ReconNet"),
        "DAGAN": Entry("DAGAN: generator against discriminator", "adversarial", "DAGAN"),
        "kd-mri": Entry(
            "KD-MRI: D3C5, attention first, then image and imitation",
            "imitate", "D3C5", {"teacher": "teacher", "initial": features},
        ),
        "kd-two-phase": _alone(
            "kd in two phases, as released: attention alone, then the image alone",
            "D3C5", initial=features,
        ),
        "flow-alone": flow,
        "kd-fsp-two-stages": _alone(
            "FSP in two stages, as published: flow alone, then the image alone",
            "D3C5", initial="flow-alone",
        ),
        "student-padded": _alone(
            "D3C5 with 5 pixels of zeros around each block's input, as released", "D3C5-padded"
        ),
        "student-hermitian": _alone(
            "D3C5 whose data consistency knows that images are real", "D3C5-hermitian"
        ),
    }  # fmt: skip


def _phase() -> Named:
    phase = {"phase": PHASE}
    own = _family(
        "phase-{}", "D5C5-complex", "D3C5-complex", "complex {}, images with phase",
        roles=("sft-teacher", "student", "sft-kd"), sampling=phase,
    )  # fmt: skip
    real = "D3C5 alone, images with phase, real part kept"
    long = "control: complex D3C5 alone, the steps of both phases"
    return own | {
        "phase-student-real": _alone(real, "D3C5", sampling=phase),
        "phase-student-long": _alone(long, "D3C5-complex", 2, phase),
    }


def _resolution() -> Named:
    """Central k-space only."""
    centre, words = {"pattern": "centre"}, "super-resolution: {}"
    named = _family("sr-{}", "VDSR-12", "VDSR-4", words, roles=ROLES[:3], sampling=centre)
    for method in RESOLUTION_METHODS:
        for kind, of, teacher in (
            ("kd", "by", "teacher"),
            ("sft-kd", "from SFT by", "sft-teacher"),
        ):
            what = words.format(f"VDSR-4 distilled {of} {METHOD_NAMES[method]}")
            named[f"sr-{kind}-{method}"] = _by(
                what, "VDSR-4", method, f"sr-{teacher}", start=kind == "sft-kd", sampling=centre
            )
    long, start = (
        "control: VDSR-4 alone, the steps of both phases",
        "control: VDSR-4 alone, SFT start",
    )
    return named | {
        "sr-student-long": _alone(long, "VDSR-4", 2, centre),
        "sr-sft-finetuned": _alone(start, "VDSR-4", sampling=centre, initial="sr-sft-teacher"),
    }


_ENTRIES: Named = {
    **_spine(), **_methods(), **_compression(), **_cascades(), **_unet(), **_residual(),
    **_pretraining(), **_variants(), **_rivals(), **_phase(), **_resolution(),
}  # fmt: skip
PLAN = {name: entry.what for name, entry in _ENTRIES.items()}
CAST = {  # the spine: two teachers, four students, two controls
    name: PLAN[name]
    for name in (
        "teacher", "sft-teacher", "student", "kd", "sft-kd-random", "sft-kd", "student-long",
        "sft-finetuned",
    )
}  # fmt: skip
