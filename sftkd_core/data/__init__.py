"""Slices to learn from and to test on: synthetic subjects, or NIfTI volumes of your own."""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate, pad

from sftkd_core import storage
from sftkd_core.data.brain import brain_phantom
from sftkd_core.data.cardiac import cardiac_phantom
from sftkd_core.data.nifti import load_nifti, read_nifti, subject_of, write_nifti
from sftkd_core.data.volume import Slices, Volume, stack
from sftkd_core.errors import InputError

__all__ = [
    "PHANTOMS",
    "Dataset",
    "Slices",
    "Volume",
    "brain_phantom",
    "cardiac_phantom",
    "load_nifti",
    "read_nifti",
    "write_nifti",
]

PHANTOMS = {"brain": brain_phantom, "cardiac": cardiac_phantom}
PHANTOM_VERSION = 1  # raise it when a phantom changes: cached subjects are then made again
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Dataset:
    """Subjects in three splits that share none.

    name      "brain" or "cardiac" (synthetic), the path of a NIfTI file (all of it is the test
              split), or of a folder of them (60 % train, 20 % validation, 20 % test by subject)
    size      pixels in plane; None keeps a NIfTI volume's own
    slices    of a subject; of a longer volume, evenly spaced ones of its middle half
    train, validation, test   number of synthetic subjects, or at most that many of a folder
    seed      of the subjects, and of the order in which a folder is split
    """

    name: str = "brain"
    size: int | None = 240
    slices: int = 48
    train: int = 5
    validation: int = 1
    test: int = 6
    seed: int = 0

    def __post_init__(self):
        if self.name in PHANTOMS:
            if self.size is None:
                raise InputError(f'data "{self.name}" is synthetic; give its size in pixels')
        elif not Path(self.name).exists():
            known = ", ".join(f'"{name}"' for name in PHANTOMS)
            raise InputError(
                f'data "{self.name}" is neither {known} nor the path of an existing NIfTI file '
                "or folder; check the spelling, or give the whole path"
            )

    @property
    def synthetic(self) -> bool:
        """Whether the subjects are computed rather than scanned."""
        return self.name in PHANTOMS

    def load(self, split: str) -> Slices:
        """The slices of "train", "validation" or "test", in the order of the subjects."""
        if split not in SPLITS:
            raise InputError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}")
        volumes = self._synthetic(split) if self.synthetic else self._scanned(split)
        return stack(volumes, self.describe())

    def describe(self) -> str:
        """One honest sentence."""
        if self.synthetic:
            kind = {"brain": "synthetic T1 brains", "cardiac": "synthetic short-axis hearts"}
            return (
                f"{kind[self.name]} of {self.size} x {self.size} pixels, {self.slices} slices "
                f"each: {self.train} subjects to train on, {self.validation} to choose the epoch "
                f"by, {self.test} to test on"
            )
        size = "their own size" if self.size is None else f"{self.size} x {self.size} pixels"
        return f"NIfTI data {Path(self.name).name}, up to {self.slices} slices a subject, {size}"

    def fingerprint(self) -> str:
        """A hash of what the subjects are made from: the files' bytes, or the phantoms' version."""
        if self.synthetic:
            return f"phantoms {PHANTOM_VERSION}"
        digest = hashlib.sha256()
        for path in _files(self.name):
            digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:16]

    def _synthetic(self, split: str) -> list[Volume]:
        counts = {name: getattr(self, name) for name in SPLITS}
        first = sum(counts[earlier] for earlier in SPLITS[: SPLITS.index(split)])
        subjects = range(first, first + counts[split])
        # subject k of data set seed s is phantom 1000 s + k: seeds share no subject
        return [
            _cached_phantom(self.name, 1000 * self.seed + k, self.size, self.slices)
            for k in subjects
        ]

    def _scanned(self, split: str) -> list[Volume]:
        paths = _files(self.name)
        if Path(self.name).is_file():
            if split != "test":
                raise InputError(f"{self.name} is one volume: it can be tested on, not trained on")
            chosen = paths
        else:
            chosen = self._share(paths)[split]
        volumes = []
        for path in chosen:
            images = _middle(load_nifti(path).images, self.slices, path)
            if self.size is not None:
                images = _fit(images, self.size)
            volumes.append(Volume(subject_of(path), images[:, 0].numpy(), synthetic=False))
        if len({volume.slices.shape[1:] for volume in volumes}) > 1:
            shapes = sorted({volume.slices.shape[1:] for volume in volumes})
            raise InputError(f"volumes of {self.name} differ in size: {shapes}; give a size")
        return volumes

    def _share(self, paths: list[Path]) -> dict[str, list[Path]]:
        if len(paths) < 3:
            raise InputError(
                f"folder {self.name} holds {len(paths)} NIfTI volumes; at least 3 subjects are "
                "needed to train, validate and test on different ones"
            )
        order = np.random.default_rng(self.seed).permutation(len(paths))
        held = max(1, round(0.2 * len(paths)))
        parts = np.split(order, [len(paths) - 2 * held, len(paths) - held])
        return {
            name: [paths[i] for i in sorted(part[: getattr(self, name)])]
            for name, part in zip(SPLITS, parts, strict=True)
        }


def _files(name: str) -> list[Path]:
    place = Path(name)
    if place.is_file():
        return [place]
    return sorted(path for path in place.rglob("*.nii*") if path.name.endswith((".nii", ".nii.gz")))


def _middle(images: torch.Tensor, count: int, path: Path) -> torch.Tensor:
    """``count`` evenly spaced slices of the middle half, or all where there are not so many."""
    available = len(images)
    if min(images.shape[-2:]) < 16:
        raise InputError(
            f"{path} has slices of {tuple(images.shape[-2:])} pixels; at least 16 x 16"
        )
    if available <= count:
        return images
    span = max(count, available // 2)
    first = (available - span) // 2
    return images[first + np.linspace(0, span - 1, count).round().astype(int)]


def _fit(images: torch.Tensor, size: int) -> torch.Tensor:
    """Pad to a square with zeros, then resample to (n, 1, size, size); maxima are 1 again."""
    height, width = images.shape[-2:]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    images = pad(images, (left, side - width - left, top, side - height - top))
    if side != size:
        images = interpolate(images, size=(size, size), mode="bilinear", antialias=True)
    return (images / images.amax(dim=(2, 3), keepdim=True)).contiguous()


def _cached_phantom(kind: str, seed: int, size: int, slices: int) -> Volume:
    """A phantom from the cache, or made now and put there; damage is noticed by checksum."""
    path = storage.home() / "phantoms" / f"{kind}-{seed}-{size}-{slices}-v{PHANTOM_VERSION}.npy"
    volume = _read_phantom(path)
    if volume is None:
        with storage.lock(path):
            volume = _read_phantom(path)  # another process may have made it meanwhile
            if volume is None:
                volume = PHANTOMS[kind](seed, size, slices)
                _write_phantom(path, volume)
    return volume


def _write_phantom(path: Path, volume: Volume) -> None:
    buffer = io.BytesIO()
    np.save(buffer, volume.slices, allow_pickle=False)
    payload = buffer.getvalue()
    note = {"name": volume.name, "sha256": hashlib.sha256(payload).hexdigest()}
    storage.write_bytes(path, payload)
    storage.write_bytes(path.with_suffix(".json"), json.dumps(note).encode())


def _read_phantom(path: Path) -> Volume | None:
    note_path = path.with_suffix(".json")
    if not note_path.exists():
        return None
    try:
        note = json.loads(note_path.read_text())
        payload = path.read_bytes()
        if hashlib.sha256(payload).hexdigest() != note["sha256"]:
            raise ValueError("its checksum differs")
        return Volume(note["name"], np.load(io.BytesIO(payload), allow_pickle=False), True)
    except (OSError, ValueError, KeyError) as error:
        storage.set_aside(path, f"damaged ({error})")
        note_path.unlink(missing_ok=True)
        return None
