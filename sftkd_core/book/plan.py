"""The book's plan: every experiment that has a name, and what the name stands for.

One function a chapter's worth of experiments: it takes a ``settings.Setting`` and returns names
and experiments. The teachers of one are experiments of the plan themselves, trained once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from sftkd_core import distillation
from sftkd_core.experiments import Experiment
from sftkd_core.system import InputError

if TYPE_CHECKING:
    from sftkd_core.book.setting import Setting

METHOD_NAMES = {
    "at": "AT",
    "fitnets": "FitNets",
    "sp": "SP",
    "fsp": "FSP",
    "cc": "CC",
    "pkt": "PKT",
    "ft": "FT",
    "nst": "NST",
}
CAST = {
    "teacher": "D5C5 alone",
    "sft-teacher": "D5C5 with branches of D3C5",
    "student": "D3C5 alone",
    "kd": "D3C5 distilled from the teacher",
    "sft-kd-random": "D3C5 distilled from the SFT teacher, random start",
    "sft-kd": "D3C5 distilled from the SFT teacher, SFT start",
    "student-long": "control: D3C5 alone, the steps of both phases",
    "sft-finetuned": "control: D3C5 alone, SFT start",
}
COMPRESSED = ("D4C5", "D2C5")  # students beside D3C5 (Table 8)
RESOLUTION_METHODS = ("at", "fitnets", "cc", "pkt", "ft", "nst")  # Table 9
SFT_VARIANTS = {  # name -> what it says, and the fields that differ from the paper's SFT training
    "no-imitation": ("no imitation term", {"sft_weights": (1.0, 1.0, 0.0)}),
    "strong-imitation": ("the imitation term four times", {"sft_weights": (1.0, 1.0, 4.0)}),
    "first-branch": ("one branch, behind stage 1", {"branches": (1,)}),
    "last-branch": ("one branch, behind stage 4", {"branches": (4,)}),
    "released": ("the released code's divided imitation term", {"released": True}),
}
PHASE = 1.0  # radians, standard deviation over a slice


def _describe() -> dict[str, str]:
    plan = dict(CAST)
    for name, rows in distillation.METHODS.items():
        word = METHOD_NAMES.get(name, name)
        if name != "at":
            plan[f"kd-{name}"] = f"D3C5 distilled from the teacher by {word}"
            plan[f"sft-kd-{name}"] = f"D3C5 distilled from the SFT teacher by {word}"
        if "released" in rows:
            plan[f"kd-{name}-released"] = f"kd, {word} as in the released code"
    plan["student-twice"] = "control: D3C5 alone, then the same schedule once more"
    plan["kd-two-phase"] = "kd in two phases, as released: attention alone, then the image alone"
    for student in COMPRESSED:
        plan |= {
            f"student-{student}": f"{student} alone",
            f"sft-teacher-{student}": f"D5C5 with branches of {student}",
            f"kd-{student}": f"{student} distilled from the teacher",
            f"sft-kd-{student}": f"{student} distilled from its SFT teacher, SFT start",
            f"student-long-{student}": f"control: {student} alone, the steps of both phases",
        }
    plan |= {
        "teacher-unet": "DC-UNet alone",
        "sft-teacher-unet": "DC-UNet with branches of D3C5",
        "kd-unet": "D3C5 distilled from DC-UNet",
        "sft-kd-unet": "D3C5 distilled from the SFT DC-UNet, SFT start",
        "teacher-residual": "residual CNN of 25 layers alone, MSE",
        "sft-teacher-residual": "residual CNN of 25 layers with branches of 15 layers, MSE",
        "student-residual": "residual CNN of 15 layers alone, MSE",
        "kd-residual": "residual CNN of 15 layers distilled, MSE",
        "sft-kd-residual": "residual CNN of 15 layers distilled from its SFT teacher, MSE",
        "student-mse": "D3C5 alone, MSE",
        "student-free-mse": "D3C5 alone without data consistency, MSE",
        "sft-teacher-elsewhere": "D5C5 with branches of D3C5, on the other anatomy",
        "sft-teacher-pretrained": "D5C5 with branches of D3C5, started on the other anatomy",
    }
    for variant, (what, _) in SFT_VARIANTS.items():
        plan[f"sft-teacher-{variant}"] = f"D5C5 with branches of D3C5: {what}"
        plan[f"sft-kd-{variant}"] = f"D3C5 distilled from that teacher, SFT start: {what}"
    plan |= {
        "DC-RDN": "DC-RDN alone",
        "MAC-ReconNet": "MAC-ReconNet alone, one context",
        "DAGAN": "DAGAN: generator against discriminator",
        "kd-mri": "KD-MRI: D3C5, attention first, then image and imitation",
        "student-padded": "D3C5 with 5 pixels of zeros around each block's input, as released",
        "student-hermitian": "D3C5 whose data consistency knows that images are real",
        "phase-student-real": "D3C5 alone, images with phase, real part kept",
        "phase-student": "complex D3C5 alone, images with phase",
        "phase-sft-teacher": "complex D5C5 with branches of complex D3C5, images with phase",
        "phase-sft-kd": "complex D3C5 distilled from that teacher, SFT start",
        "phase-student-long": "control: complex D3C5 alone, the steps of both phases",
        "sr-teacher": "super-resolution: VDSR-12 alone",
        "sr-sft-teacher": "super-resolution: VDSR-12 with branches of VDSR-4",
        "sr-student": "super-resolution: VDSR-4 alone",
        "sr-student-long": "control: VDSR-4 alone, the steps of both phases",
        "sr-sft-finetuned": "control: VDSR-4 alone, SFT start",
    }
    for name in RESOLUTION_METHODS:
        word = METHOD_NAMES[name]
        plan[f"sr-kd-{name}"] = f"super-resolution: VDSR-4 distilled by {word}"
        plan[f"sr-sft-kd-{name}"] = f"super-resolution: VDSR-4 distilled from SFT by {word}"
    return plan


PLAN = _describe()
ALIASES = {
    "D5C5": "teacher",
    "D4C5": "student-D4C5",
    "D3C5": "student",
    "D2C5": "student-D2C5",
    "kd-at": "kd",
    "sft-kd-at": "sft-kd",
}


def experiment(setting: Setting, name: str) -> Experiment:
    """An experiment by its name or alias; raises ``InputError`` for one that the plan has not."""
    name = ALIASES.get(name, name)
    if name not in PLAN:
        known = ", ".join([*PLAN, *ALIASES])
        raise InputError(f"unknown experiment {name!r}; choose one of {known}")
    parts = (_spine, _methods, _compression, _unet, _residual, _pretraining, _variants)
    parts += (_rivals, _released, _phase, _resolution)
    return next(found for part in parts if (found := part(setting).get(name)) is not None)()


Named = dict[str, Callable[[], Experiment]]


def _longer(alone: Callable[[], Experiment]) -> Callable[[], Experiment]:
    """A control without a teacher that has the epochs of both phases."""
    return lambda: alone().lengthened(2)


def _family(prefix: str, suffix: str, teacher: str, student: str, common: dict, start=True, **sft):
    """Teacher, SFT teacher, student, KD and SFT-KD by attention transfer of two networks."""

    def named(role):
        return f"{prefix}{role}{suffix}"

    def alone(model):
        return lambda: Experiment("reconstruct", model, **common)

    def joint():
        return Experiment("sft", teacher, student=student, **common, **sft)

    def distilled(origin, initial=None):
        return lambda: Experiment(
            "distil",
            student,
            teacher=origin(),
            initial=initial() if initial else None,
            method="at",
            **common,
        )

    return {
        named("teacher"): alone(teacher),
        named("sft-teacher"): joint,
        named("student"): alone(student),
        named("kd"): distilled(alone(teacher)),
        named("sft-kd"): distilled(joint, joint if start else None),
    }


def _spine(setting: Setting) -> Named:
    common = setting.common
    own = _family("", "", "D5C5", "D3C5", common)
    joint = own["sft-teacher"]
    return own | {
        "sft-kd-random": lambda: setting.distil("at", "sft-teacher"),
        "student-long": _longer(own["student"]),
        "student-twice": lambda: Experiment(
            "reconstruct", "D3C5", initial=own["student"](), **common
        ),
        "sft-finetuned": lambda: Experiment("reconstruct", "D3C5", initial=joint(), **common),
    }


def _methods(setting: Setting) -> Named:
    def made(method, friendly, variant="paper"):
        teacher = "sft-teacher" if friendly else "teacher"
        return lambda: setting.distil(method, teacher, sft_start=friendly, variant=variant)

    named = {}
    for method, rows in distillation.METHODS.items():
        named |= {f"kd-{method}": made(method, False), f"sft-kd-{method}": made(method, True)}
        if "released" in rows:
            named[f"kd-{method}-released"] = made(method, False, "released")
    return named


def _compression(setting: Setting) -> Named:
    named = {}
    for student in COMPRESSED:
        own = _family("", f"-{student}", "D5C5", student, setting.common)
        named |= own | {f"student-long-{student}": _longer(own[f"student-{student}"])}
    return named


def _unet(setting: Setting) -> Named:
    teacher = "DC-UNet" if setting.profile == "paper" else "DC-UNet-tiny"
    return _family("", "-unet", teacher, "D3C5", setting.common)


def _residual(setting: Setting) -> Named:
    common = {**setting.common, "norm": "mse"}
    # the original training does not reuse the student's weights
    own = _family("", "-residual", "ResCNN-25", "ResCNN-15", common, start=False)
    return own | {
        "student-mse": lambda: Experiment("reconstruct", "D3C5", **common),
        "student-free-mse": lambda: Experiment("reconstruct", "D3C5-free", **common),
    }


def _pretraining(setting: Setting) -> Named:
    def joint(**changes):
        return Experiment("sft", "D5C5", student="D3C5", **{**setting.common, **changes})

    return {
        "sft-teacher-elsewhere": lambda: joint(data=setting.elsewhere),
        "sft-teacher-pretrained": lambda: joint(initial=joint(data=setting.elsewhere)),
    }


def _variants(setting: Setting) -> Named:
    named = {}
    for variant, (_, changes) in SFT_VARIANTS.items():
        named |= _family("", f"-{variant}", "D5C5", "D3C5", setting.common, **changes)
    return named


def _rivals(setting: Setting) -> Named:
    common = setting.common
    generator = "DAGAN" if setting.profile == "paper" else "DAGAN-narrow"

    def imitating():
        features = setting.distil("at", joint=False)
        teacher = setting.experiment("teacher")
        return Experiment("imitate", "D3C5", teacher=teacher, initial=features, **common)

    return {
        "DC-RDN": lambda: Experiment("reconstruct", "DC-RDN", **common),
        "MAC-ReconNet": lambda: Experiment("reconstruct", "MAC-ReconNet", **common),
        "DAGAN": lambda: Experiment("adversarial", generator, **common),
        "kd-mri": imitating,
    }


def _released(setting: Setting) -> Named:
    common = setting.common

    def two_phases():
        features = setting.distil("at", joint=False)
        return Experiment("reconstruct", "D3C5", initial=features, **common)

    return {
        "kd-two-phase": two_phases,
        "student-padded": lambda: Experiment("reconstruct", "D3C5-padded", **common),
        "student-hermitian": lambda: Experiment("reconstruct", "D3C5-hermitian", **common),
    }


def _phase(setting: Setting) -> Named:
    common = {**setting.common, "sampling": replace(setting.sampling, phase=PHASE)}
    own = _family("phase-", "", "D5C5-complex", "D3C5-complex", common)
    return own | {
        "phase-student-real": lambda: Experiment("reconstruct", "D3C5", **common),
        "phase-student-long": _longer(own["phase-student"]),
    }


def _resolution(setting: Setting) -> Named:
    """Central k-space only; VDSR of 64 channels, half as many for two processor cores."""
    width = "" if setting.profile == "paper" else "-narrow"
    teacher, student = f"VDSR-12{width}", f"VDSR-4{width}"
    common = {**setting.common, "sampling": replace(setting.sampling, pattern="centre")}
    own = _family("sr-", "", teacher, student, common)
    alone, joint = own["sr-teacher"], own["sr-sft-teacher"]

    def distilled(method, origin, initial):
        return lambda: Experiment(
            "distil",
            student,
            teacher=origin(),
            initial=initial and initial(),
            method=method,
            **common,
        )

    for method in RESOLUTION_METHODS:
        own[f"sr-kd-{method}"] = distilled(method, alone, None)
        own[f"sr-sft-kd-{method}"] = distilled(method, joint, joint)
    return own | {
        "sr-student-long": _longer(own["sr-student"]),
        "sr-sft-finetuned": lambda: Experiment("reconstruct", student, initial=joint(), **common),
    }
