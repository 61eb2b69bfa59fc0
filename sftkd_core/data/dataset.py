"""Slices to learn from and to test on: synthetic subjects, or scans of your own."""

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate

from sftkd_core.data import phantoms, prepared
from sftkd_core.data.formats import dicom
from sftkd_core.data.layouts import kdmri, nifti_folder
from sftkd_core.data.layouts.source import (
    Found,
    Source,
    by_group,
    check_distinct,
    files_in,
    links_in,
)  # fmt: skip
from sftkd_core.data.phantoms import PHANTOM_VERSION, PHANTOMS
from sftkd_core.data.prepare import FORMATS
from sftkd_core.data.slices import SPLITS, Slices, Volume, centre, scale_slices, stack
from sftkd_core.system import InputError, files

SHORT_NAMES = tuple(FORMATS)  # of data sets that ``prepare`` puts where they are found
_RULES = b"planes as acquired, persons apart"  # of reading a folder: other rules, other data


@dataclass(frozen=True)
class Dataset:
    """Subjects in three splits that share none.

    name      "brain", "cardiac", "head" or "heart" (synthetic), the path of a NIfTI file (all of
              it is the test split), or of a folder of them (60 % train, 20 % validation, 20 % test
              by subject);
              "acdc" or another of ``SHORT_NAMES``, or the path of a folder, prepared by
              ``prepare`` (its own splits); the path of a folder of KD-MRI's HDF5 volumes (a tenth
              of those to train on is held out to validate, "validation" is the test split)
    size      pixels in plane; None keeps a scan's own
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
        elif self.name in SHORT_NAMES:
            if not prepared.is_prepared(self._place):
                raise InputError(
                    f'data "{self.name}" is not in {self._place}; prepare it first: '
                    f"python -m sftkd_core prepare {self.name} FOLDER"
                )
        elif not self._place.exists():
            known = ", ".join(f'"{name}"' for name in (*PHANTOMS, *SHORT_NAMES))
            raise InputError(
                f'data "{self.name}" is neither {known} nor the path of an existing NIfTI file '
                "or folder; check the spelling, or give the whole path"
            )

    @property
    def synthetic(self) -> bool:
        """Whether the subjects are computed rather than scanned."""
        return self.name in PHANTOMS

    @property
    def is_volume(self) -> bool:
        """Whether it is one NIfTI file: something to test on, nothing to train on."""
        return not self.synthetic and _is_file(self._place)

    @property
    def is_prepared(self) -> bool:
        """Whether it is a folder that ``prepare`` wrote."""
        return not self.synthetic and prepared.is_prepared(self._place)

    @property
    def own_size(self) -> int | None:
        """Of prepared data the size in pixels that all its slices have; None of all others."""
        if not self.is_prepared:
            return None
        shapes = [e["shape"][1:] for e in prepared.read_manifest(self._place)["subjects"]]
        return shapes[0][0] if all(s == shapes[0] and s[0] == s[1] for s in shapes) else None

    @property
    def test_file(self) -> Path | None:
        """The volume of the first subject to test on; None where no file is one subject.

        Synthetic, prepared and KD-MRI's data have only slices, those of ``load("test")``.
        """
        if self.synthetic or self.is_prepared or _is_kdmri(self._place):
            return None
        if self.is_volume:
            return self._place
        return self._share(_found(self._place).sources)["test"][0].files[0]

    @property
    def _place(self) -> Path:
        """The file or folder of scanned data."""
        return prepared.place_of(self.name) if self.name in SHORT_NAMES else Path(self.name)

    def load(self, split: str, complex_valued: bool = False) -> Slices:
        """The slices of "train", "validation" or "test", in the order of the subjects.

        complex_valued  complex64 where the scans are complex; otherwise their magnitude
        """
        if split not in SPLITS:
            raise InputError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}")
        volumes = self._synthetic(split) if self.synthetic else self._scanned(split, complex_valued)
        if not volumes:
            raise InputError(f"{self.describe()}: no subject to {split}; ask for at least 1")
        return stack(volumes, self.describe())

    def describe(self) -> str:
        """One honest sentence."""
        if self.synthetic:
            return (
                f"{phantoms.SPOKEN[self.name]} of {self.size} x {self.size} pixels, "
                f"{self.slices} slices each: {self.train} subjects to train on, "
                f"{self.validation} to choose the epoch by, {self.test} to test on"
            )
        size = "their own size" if self.size is None else f"{self.size} x {self.size} pixels"
        if prepared.is_prepared(self._place):
            manifest = prepared.read_manifest(self._place)
            splits = [entry["split"] for entry in manifest["subjects"]]
            own = "" if "validation" in splits else ", with test subjects choosing the epoch"
            return (
                f"prepared data {manifest['name']}, up to {self.slices} slices a subject, {size}; "
                f"split by subject{own}"
            )
        about = f"data {Path(self.name).name}, up to {self.slices} slices a subject, {size}"
        if _is_kdmri(self._place):
            return f"KD-MRI's HDF5 {about}"
        found = _found(self._place)
        people = len(by_group(found.sources))
        if people < len(found.sources):
            about += f"; {len(found.sources)} volumes of {people} people, each in one split"
        if found.skipped:
            about += f"; left out: {found.skipped[0][0]} ({found.skipped[0][1]})"
            about += f" and {len(found.skipped) - 1} more" if len(found.skipped) > 1 else ""
        return f"NIfTI {about}"

    def fingerprint(self) -> str:
        """A hash of what the subjects are made from.

        The phantoms' version; the manifest's checksums of prepared data; else the files' bytes,
        which are read once a process for as long as size and time of a file stay the same, and
        their places in the folder, which name the subjects and may name their split.
        """
        if self.synthetic:
            return f"phantoms {PHANTOM_VERSION}"
        if prepared.is_prepared(self._place):
            return prepared.fingerprint(self._place)
        found = (kdmri.find if _is_kdmri(self._place) else _found)(self._place)
        paths = [path for source in found.sources for path in source.files]
        digest = hashlib.sha256(_RULES)
        for path in paths:
            inside = path.name if self.is_volume else path.relative_to(self._place).as_posix()
            digest.update(inside.encode() + b"\0" + _digest(path))
        return digest.hexdigest()[:16]

    @property
    def roots(self) -> list:
        """Of synthetic data the definitions that a seal of results starts from."""
        return [Dataset._synthetic, phantoms.subject, stack, PHANTOMS[self.name]]

    def _synthetic(self, split: str) -> list[Volume]:
        counts = {name: getattr(self, name) for name in SPLITS}
        first = sum(counts[earlier] for earlier in SPLITS[: SPLITS.index(split)])
        subjects = range(first, first + counts[split])
        # subject k of data set seed s is phantom 1000 s + k: seeds share no subject
        return [
            phantoms.subject(self.name, 1000 * self.seed + k, self.size, self.slices)  # type: ignore[arg-type]
            for k in subjects
        ]

    def _scanned(self, split: str, complex_valued: bool) -> list[Volume]:
        volumes, skipped = [], []
        for subject, read in self._subjects(split):
            try:
                images = read()
            except InputError as error:
                if self.is_volume or self.is_prepared:
                    raise
                skipped.append(f"skipped {subject}: {error}")
                warnings.warn(skipped[-1])
                continue
            if images.dtype.kind == "c" and not complex_valued:
                images = np.abs(images)
            images = _middle(images, self.slices, subject)
            if self.size is not None:
                images = _fit(images, self.size)
            volumes.append(Volume(subject, images, synthetic=False))
        if skipped and not volumes:
            raise InputError(f"{self.name} has no readable subject to {split}; {skipped[0]}")
        if len({volume.slices.shape[1:] for volume in volumes}) > 1:
            shapes = sorted({volume.slices.shape[1:] for volume in volumes})
            raise InputError(f"volumes of {self.name} differ in size: {shapes}; give a size")
        return volumes

    def _subjects(self, split: str) -> list[tuple[str, Callable[[], np.ndarray]]]:
        """Names of a split's subjects, and how to read the images (n, h, w) of each."""
        place, most = self._place, getattr(self, split)
        if prepared.is_prepared(place):
            entries = prepared.read_manifest(place)["subjects"]
            splits = {entry["split"] for entry in entries}
            if split == "validation" and split not in splits:
                split = "test"  # as the paper, when none were held out
            chosen = [entry for entry in entries if entry["split"] == split][:most]
            return [(e["subject"], partial(prepared.read_subject, place, e)) for e in chosen]
        if _is_kdmri(place):
            found = kdmri.find(place).sources
            if not found:
                raise InputError(
                    f"{place} holds HDF5 files, but none in train/ or validation/ as KD-MRI's are; "
                    f"prepare other kinds first, with python -m sftkd_core prepare fastmri {place}"
                )
            sources = _kdmri_split(found, split)[:most]
            return [(source.subject, partial(_scaled, source)) for source in sources]
        sources = _found(place).sources
        if self.is_volume:
            if split != "test":
                raise InputError(f"{self.name} is one volume: it can be tested on, not trained on")
        else:
            check_distinct(sources)
            sources = self._share(sources)[split]
        return [(source.subject, partial(_scaled, source)) for source in sources]

    def _share(self, sources: list[Source]) -> dict[str, list[Source]]:
        """Persons to each split, however many volumes they have."""
        persons = list(by_group(sources).values())
        if len(persons) < 3:
            raise InputError(
                f"folder {self.name} holds {len(sources)} NIfTI volumes of {len(persons)} persons; "
                "at least 3 subjects are needed to train, validate and test on different ones"
            )
        order = np.random.default_rng(self.seed).permutation(len(persons))
        held = max(1, round(0.2 * len(persons)))
        parts = np.split(order, [len(persons) - 2 * held, len(persons) - held])
        return {
            name: [source for i in sorted(part[: getattr(self, name)]) for source in persons[i]]
            for name, part in zip(SPLITS, parts, strict=True)
        }


def _found(place: Path) -> Found:
    """The volumes of a file or folder, named by the folders below ``place`` and the file.

    As ``nifti_folder.find`` but for order and spelling: those that results were made with.
    """
    if _is_file(place):
        name, read = files.stem(place), partial(nifti_folder.read_file, place)
        paths = (place,) if place.is_file() else dicom.files_in_series(place)
        return Found([Source(name, None, paths, read, name)], [])
    found = nifti_folder.find(place)
    sources = []
    for source in sorted(found.sources, key=lambda source: source.files):
        parts = source.files[0].relative_to(place).parts[:-1]
        name = "-".join((*parts, files.stem(source.files[0])))
        group = name if source.group == source.subject else source.group
        sources.append(replace(source, subject=name, group=group))
    return Found(sources, found.skipped + links_in(place))


def _is_file(place: Path) -> bool:
    """Whether it is one volume: a file, or the DICOM slices of a folder."""
    return place.is_file() or (place.is_dir() and dicom.is_series(place))


def _scaled(source: Source) -> np.ndarray:
    return scale_slices(source.read())[0]


def _is_kdmri(place: Path) -> bool:
    """Whether a folder is of HDF5 volumes rather than of NIfTI files."""
    if not place.is_dir() or dicom.is_series(place) or files_in(place, nifti_folder.ENDINGS):
        return False
    return bool(files_in(place, (".h5", ".hdf5")))


def _kdmri_split(sources: list[Source], split: str) -> list[Source]:
    """A tenth of the subjects to train on, the last ones, choose the epoch."""
    train = [source for source in sources if source.split == "train"]
    held = max(1, round(len(train) / 10)) if len(train) > 1 else 0
    parts = {"train": train[: len(train) - held], "validation": train[len(train) - held :]}
    return parts.get(split, [source for source in sources if source.split == "test"])


def _digest(path: Path) -> bytes:
    """The SHA-256 of a file's bytes."""
    about = path.stat()
    return _digest_once(str(path.resolve()), about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest_once(path: str, size: int, time: int) -> bytes:
    return bytes.fromhex(files.sha256(path))


def _middle(images: np.ndarray, count: int, path: str) -> np.ndarray:
    """``count`` evenly spaced slices of the middle half, or all where there are not so many."""
    available = len(images)
    if min(images.shape[-2:]) < 16:
        raise InputError(f"{path} has slices of {images.shape[-2:]} pixels; at least 16 x 16")
    if available <= count:
        return images
    span = max(count, available // 2)
    first = (available - span) // 2
    return images[first + np.linspace(0, span - 1, count).round().astype(int)]


def _fit(planes: np.ndarray, size: int) -> np.ndarray:
    """Pad to a square with zeros, then resample to (n, size, size), each with its maximum."""
    if planes.shape[1:] == (size, size):
        return planes
    images = torch.from_numpy(centre(planes, max(planes.shape[1:])))[:, None]
    if images.shape[-1] != size:
        highest = images.abs().amax(dim=(2, 3), keepdim=True)
        parts = [images.real, images.imag] if images.is_complex() else [images]
        parts = [
            interpolate(part, size=(size, size), mode="bilinear", antialias=True) for part in parts
        ]
        images = torch.complex(*parts) if len(parts) == 2 else parts[0]
        # an empty slice of a volume scaled as a whole stays empty
        greatest = images.abs().amax(dim=(2, 3), keepdim=True).clamp(min=torch.finfo().tiny)
        images = images / greatest * highest
    return images[:, 0].contiguous().numpy()
