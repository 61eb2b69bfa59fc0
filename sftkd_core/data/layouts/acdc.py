"""ACDC: cardiac cine of 150 patients (Bernard et al., IEEE TMI 2018), NIfTI, as downloaded.

``training/patient001/`` holds ``Info.cfg`` (lines such as ``ED: 1`` and ``ES: 12``; also Group,
Height, NbFrame, Weight), the series ``patient001_4d.nii.gz``, and frames of it with their labels:
``patient001_frame01.nii.gz``, ``patient001_frame01_gt.nii.gz``, ...
"""

import re
from functools import partial
from pathlib import Path

import numpy as np

from sftkd_core.data.formats import volume
from sftkd_core.data.layouts.source import Found, Source, files_in, natural, side_of
from sftkd_core.system import InputError

FRAMES = ("ED", "ES")
TRAINING = 100  # patients 1 to 100 are the challenge's training set
_LONGEST = 10_000  # bytes of an Info.cfg


def find(folder: Path) -> Found:
    """The patients below ``folder``: the end-diastolic and end-systolic frame of each."""
    sources, skipped = [], []
    for note in files_in(folder, ("info.cfg",)):
        patient = note.parent
        try:
            frames = tuple(_frame(patient, number) for number in _numbers(note))
        except InputError as error:
            skipped.append((patient.name, str(error)))
            continue
        split = side_of(note, folder, ("training",), ("testing",)) or _by_number(patient.name)
        read = partial(read_frames, frames)
        sources.append(Source(patient.name, split, frames, read, patient.name))
    return Found(sorted(sources, key=lambda s: natural(s.subject)), skipped)


def read_frames(frames: tuple[Path, ...]) -> np.ndarray:
    """The short-axis planes of both frames, (n, h, w): first end-diastole, then end-systole."""
    stacks = [volume.planes(volume.read_nifti(path), 2) for path in frames]
    if len({stack.shape[1:] for stack in stacks}) > 1:
        raise InputError(
            f"{frames[0]} and {frames[1]} differ in size: {stacks[0].shape[1:]} and "
            f"{stacks[1].shape[1:]}; they are not of one patient"
        )
    return np.concatenate(stacks)


def _numbers(note: Path) -> list[int]:
    """The frame numbers of end-diastole and end-systole."""
    try:
        with open(note, "rb") as file:
            text = file.read(_LONGEST).decode("latin1")
    except OSError as error:
        raise InputError(f"{note} cannot be read ({error.strerror})") from None
    fields = dict(re.findall(r"^\s*(\w+)\s*:\s*(.*?)\s*$", text, re.MULTILINE))
    numbers = []
    for frame in FRAMES:
        value = fields.get(frame, "")
        if not re.fullmatch(r"[0-9]{1,4}", value):
            raise InputError(f"{note} says {frame}: {value[:20]!r}, which is no frame number")
        numbers.append(int(value))
    return numbers


def _frame(patient: Path, number: int) -> Path:
    for ending in (".nii.gz", ".nii"):
        path = patient / f"{patient.name}_frame{number:02d}{ending}"
        if path.is_file():
            return path
    raise InputError(f"{patient} lacks {patient.name}_frame{number:02d}.nii.gz")


def _by_number(name: str) -> str | None:
    """The split of a patient where no folder tells it."""
    digits = re.search(r"(\d{1,6})$", name)
    if digits is None:
        return None
    return "train" if int(digits.group(1)) <= TRAINING else "test"
