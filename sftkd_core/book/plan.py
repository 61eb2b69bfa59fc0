"""The book's plan: every experiment that has a name, and beside it what the name stands for.

One function a chapter's worth of experiments: it takes a ``Basis`` and returns names, sentences and
experiments. The teachers of one are experiments of the plan themselves, trained once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from sftkd_core import distillation
from sftkd_core.data import Dataset
from sftkd_core.experiments import Experiment, Sampling, Schedule
from sftkd_core.system import InputError

METHOD_NAMES = {
    "at": "AT", "fitnets": "FitNets", "sp": "SP", "fsp": "FSP", "cc": "CC", "pkt": "PKT",
    "ft": "FT", "nst": "NST",
}  # fmt: skip
COMPRESSED = ("D4C5", "D2C5")  # students beside D3C5 (Table 8)
RESOLUTION_METHODS = ("at", "fitnets", "cc", "pkt", "ft", "nst")  # Table 9
# name -> what it says, and the fields that differ from the paper's SFT training
SFT_VARIANTS: dict[str, tuple[str, dict]] = {
    "no-imitation": ("no imitation term", {"sft_weights": (1.0, 1.0, 0.0)}),
    "strong-imitation": ("the imitation term four times", {"sft_weights": (1.0, 1.0, 4.0)}),
    "first-branch": ("one branch, behind stage 1", {"branches": (1,)}),
    "last-branch": ("one branch, behind stage 4", {"branches": (4,)}),
    "released": ("the released code's divided imitation term", {"released": True}),
}
PHASE = 1.0  # radians, standard deviation over a slice
TEACHERS = 1_000  # added to a teacher's seed where networks are drawn apart
ALIASES = {
    "D5C5": "teacher", "D4C5": "student-D4C5", "D3C5": "student", "D2C5": "student-D2C5",
    "kd-at": "kd", "sft-kd-at": "sft-kd",
}  # fmt: skip


@dataclass(frozen=True)
class Basis:
    """What the experiments of a plan share, besides their names.

    elsewhere  the other anatomy, for networks that learn there first
    full       whether networks have the paper's size, or what two processor cores can train
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
    def of_teachers(self) -> dict:
        """``common`` for a teacher: its seed is nobody else's where networks are drawn apart."""
        return {**self.common, "seed": self.seed + TEACHERS * self.apart}

    @property
    def common(self) -> dict:
        """The fields that all experiments share: data, sampling, schedule, seed."""
        names = ("data", "sampling", "schedule", "seed")
        return {name: getattr(self, name) for name in names}

    def distil(
        self, method: str, teacher: str = "teacher", sft_start: bool = False, **changes
    ) -> Experiment:
        """D3C5 distilled from a teacher of the plan; ``changes`` are fields of ``Experiment``."""
        known = experiment(self, teacher)
        fields = {"teacher": known, "initial": known if sft_start else None, **self.common}
        fields |= changes
        return Experiment("distil", fields.pop("model", "D3C5"), method=method, **fields)


Made = Callable[[], Experiment]
Named = dict[str, tuple[str, Made]]  # name -> what it stands for, and the experiment


def experiment(basis: Basis, name: str) -> Experiment:
    """An experiment by its name or alias; raises ``InputError`` for one that the plan has not."""
    name = ALIASES.get(name, name)
    if name not in PLAN:
        known = ", ".join([*PLAN, *ALIASES])
        raise InputError(f"unknown experiment {name!r}; choose one of {known}")
    return _entries(basis)[name][1]()


def _entries(basis: Basis) -> Named:
    parts: tuple[Callable[[Basis], Named], ...] = (
        _spine, _methods, _compression, _unet, _residual, _pretraining, _variants, _rivals, _phase,
        _resolution,
    )  # fmt: skip
    return {name: entry for part in parts for name, entry in part(basis).items()}


def _alone(model: str, common: dict, factor: int = 1, **changes) -> Made:
    """A network alone; ``factor`` 2 is a control that has the epochs of both phases."""
    return lambda: Experiment("reconstruct", model, **common, **changes).lengthened(factor)


def _family(
    name: str,
    teacher: str,
    student: str,
    basis: Basis,
    words: str = "{}",
    origins: tuple[str, str] = ("the teacher", "the SFT teacher"),
    start: bool = True,
    changes: dict | None = None,
    **sft,
) -> Named:
    """Teacher, SFT teacher, student, KD and SFT-KD by attention transfer of two networks.

    name, words  of a role and of its sentence, with a place for them: "sr-{}"
    origins      what the sentences call the two teachers
    start        whether the distilled student starts from the branches' weights
    changes      fields of all five experiments; ``sft`` those of the joint training
    """
    common, of_teachers = (
        {**all_, **(changes or {})} for all_ in (basis.common, basis.of_teachers)
    )
    joint_fields = {**of_teachers, "apart": basis.apart, **sft}
    whole, small = (n.removesuffix("-complex") for n in (teacher, student))

    def joint():
        return Experiment("sft", teacher, student=student, **joint_fields)

    def distilled(origin, initial=None):
        fields = {"teacher": origin(), "initial": initial() if initial else None, **common}
        return Experiment("distil", student, method="at", **fields)

    alone, after = _alone(teacher, of_teachers), ", SFT start" if start else ""
    roles: Named = {
        "teacher": (f"{whole} alone", alone),
        "sft-teacher": (f"{whole} with branches of {small}", joint),
        "student": (f"{small} alone", _alone(student, common)),
        "kd": (f"{small} distilled from {origins[0]}", lambda: distilled(alone)),
        "sft-kd": (
            f"{small} distilled from {origins[1]}{after}",
            lambda: distilled(joint, joint if start else None),
        ),
    }
    return {name.format(r): (words.format(what), made) for r, (what, made) in roles.items()}


def _spine(basis: Basis) -> Named:
    common = basis.common
    own = _family("{}", "D5C5", "D3C5", basis)
    joint, student = own["sft-teacher"][1], own["student"][1]
    return {
        **own,
        "sft-kd-random": (
            "D3C5 distilled from the SFT teacher, random start",
            lambda: basis.distil("at", "sft-teacher"),
        ),
        "student-long": (
            "control: D3C5 alone, the steps of both phases", _alone("D3C5", common, 2),
        ),
        "sft-finetuned": (
            "control: D3C5 alone, SFT start",
            lambda: Experiment("reconstruct", "D3C5", initial=joint(), **common),
        ),
        "student-twice": (
            "control: D3C5 alone, then the same schedule once more",
            lambda: Experiment("reconstruct", "D3C5", initial=student(), **common),
        ),
    }  # fmt: skip


def _methods(basis: Basis) -> Named:
    def made(method, friendly, variant="paper"):
        teacher = "sft-teacher" if friendly else "teacher"
        return lambda: basis.distil(method, teacher, sft_start=friendly, variant=variant)

    named: Named = {}
    for method, rows in distillation.METHODS.items():
        word = METHOD_NAMES.get(method, method)
        if method != "at":
            for friendly, kind, origin in (
                (False, "kd", "teacher"),
                (True, "sft-kd", "SFT teacher"),
            ):
                sentence = f"D3C5 distilled from the {origin} by {word}"
                named[f"{kind}-{method}"] = (sentence, made(method, friendly))
        if "released" in rows:
            sentence = f"kd, {word} as in the released code"
            named[f"kd-{method}-released"] = (sentence, made(method, False, "released"))
    return named


def _compression(basis: Basis) -> Named:
    named: Named = {}
    for student in COMPRESSED:
        named |= _family(f"{{}}-{student}", "D5C5", student, basis)
        what = f"control: {student} alone, the steps of both phases"
        named[f"student-long-{student}"] = (what, _alone(student, basis.common, 2))
    del named["teacher-D4C5"], named["teacher-D2C5"]  # the teacher of the spine
    return named


def _unet(basis: Basis) -> Named:
    teacher = "DC-UNet" if basis.full else "DC-UNet-tiny"
    own = _family("{}-unet", teacher, "D3C5", basis, origins=("DC-UNet", "the SFT DC-UNet"))
    del own["student-unet"]  # the student of the spine
    return own


def _residual(basis: Basis) -> Named:
    common = {**basis.common, "norm": "mse"}
    # the original training does not reuse the student's weights
    own = _family(
        "{}-residual", "ResCNN-25", "ResCNN-15", basis, "{}, MSE", start=False,
        changes={"norm": "mse"},
    )  # fmt: skip
    return own | {
        "student-mse": ("D3C5 alone, MSE", _alone("D3C5", common)),
        "student-free-mse": (
            "D3C5 alone without data consistency, MSE", _alone("D3C5-free", common),
        ),
    }  # fmt: skip


def _pretraining(basis: Basis) -> Named:
    def joint(**changes):
        fields = {**basis.of_teachers, "apart": basis.apart, **changes}
        return Experiment("sft", "D5C5", student="D3C5", **fields)

    return {
        "sft-teacher-elsewhere": (
            "D5C5 with branches of D3C5, on the other anatomy",
            lambda: joint(data=basis.elsewhere),
        ),
        "sft-teacher-pretrained": (
            "D5C5 with branches of D3C5, started on the other anatomy",
            lambda: joint(initial=joint(data=basis.elsewhere)),
        ),
    }


def _variants(basis: Basis) -> Named:
    named: Named = {}
    for variant, (what, changes) in SFT_VARIANTS.items():
        words = f"{{}}: {what}"
        own = _family(f"{{}}-{variant}", "D5C5", "D3C5", basis, words, **changes)
        named |= {
            f"{role}-{variant}": own[f"{role}-{variant}"] for role in ("sft-teacher", "sft-kd")
        }
    return named


def _rivals(basis: Basis) -> Named:
    """Other networks, and what the released code does otherwise."""
    common = basis.common
    generator = "DAGAN" if basis.full else "DAGAN-narrow"

    def features():
        return basis.distil("at", joint=False)

    def imitating():
        teacher = experiment(basis, "teacher")
        return Experiment("imitate", "D3C5", teacher=teacher, initial=features(), **common)

    return {
        "DC-RDN": ("DC-RDN alone", _alone("DC-RDN", common)),
        "MAC-ReconNet": ("MAC-ReconNet alone, one context", _alone("MAC-ReconNet", common)),
        "DAGAN": (
            "DAGAN: generator against discriminator",
            lambda: Experiment("adversarial", generator, **common),
        ),
        "kd-mri": ("KD-MRI: D3C5, attention first, then image and imitation", imitating),
        "kd-two-phase": (
            "kd in two phases, as released: attention alone, then the image alone",
            lambda: Experiment("reconstruct", "D3C5", initial=features(), **common),
        ),
        "student-padded": (
            "D3C5 with 5 pixels of zeros around each block's input, as released",
            _alone("D3C5-padded", common),
        ),
        "student-hermitian": (
            "D3C5 whose data consistency knows that images are real",
            _alone("D3C5-hermitian", common),
        ),
    }


def _phase(basis: Basis) -> Named:
    sampled = {"sampling": replace(basis.sampling, phase=PHASE)}
    common = {**basis.common, **sampled}
    words = "complex {}, images with phase"
    own = _family("phase-{}", "D5C5-complex", "D3C5-complex", basis, words, changes=sampled)
    del own["phase-teacher"], own["phase-kd"]  # nobody asks for them
    return own | {
        "phase-student-real": (
            "D3C5 alone, images with phase, real part kept", _alone("D3C5", common),
        ),
        "phase-student-long": (
            "control: complex D3C5 alone, the steps of both phases",
            _alone("D3C5-complex", common, 2),
        ),
    }  # fmt: skip


def _resolution(basis: Basis) -> Named:
    """Central k-space only; VDSR of 64 channels, half as many for two processor cores."""
    width = "" if basis.full else "-narrow"
    teacher, student = f"VDSR-12{width}", f"VDSR-4{width}"
    sampled = {"sampling": replace(basis.sampling, pattern="centre")}
    common = {**basis.common, **sampled}
    own = _family("sr-{}", teacher, student, basis, "super-resolution: {}", changes=sampled)
    alone, joint = own.pop("sr-teacher"), own.pop("sr-sft-teacher")
    del own["sr-kd"], own["sr-sft-kd"]
    own |= {"sr-teacher": alone, "sr-sft-teacher": joint}

    def distilled(method, origin, initial):
        start = initial[1]() if initial else None
        fields = {"teacher": origin[1](), "initial": start, **common}
        return Experiment("distil", student, method=method, **fields)

    for method in RESOLUTION_METHODS:
        for name, of, pair in (
            ("kd", "by", (alone, None)),
            ("sft-kd", "from SFT by", (joint, joint)),
        ):
            what = f"super-resolution: VDSR-4 distilled {of} {METHOD_NAMES[method]}"
            own[f"sr-{name}-{method}"] = (what, partial(distilled, method, *pair))
    return own | {
        "sr-student-long": (
            "control: VDSR-4 alone, the steps of both phases", _alone(student, common, 2),
        ),
        "sr-sft-finetuned": (
            "control: VDSR-4 alone, SFT start",
            lambda: Experiment("reconstruct", student, initial=joint[1](), **common),
        ),
    }  # fmt: skip


def _sentences() -> dict[str, str]:
    """What the names stand for, whatever the basis."""
    data = Dataset("brain", 64)
    any_basis = Basis(data, Sampling(), Schedule(1), 0, data, full=True)
    return {name: what for name, (what, _) in _entries(any_basis).items()}


PLAN = _sentences()
CAST = {  # the spine: two teachers, four students, two controls
    name: PLAN[name]
    for name in (
        "teacher", "sft-teacher", "student", "kd", "sft-kd-random", "sft-kd", "student-long",
        "sft-finetuned",
    )
}  # fmt: skip
