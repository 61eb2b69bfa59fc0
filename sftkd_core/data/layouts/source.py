"""What a reader finds in a folder: subjects that can be read, and files that it leaves out."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sftkd_core.system import InputError


@dataclass(frozen=True)
class Source:
    """One subject, not read yet.

    subject  its name, also that of its file once prepared
    split    "train" or "test" as the folder says, None where it says nothing
    files    what it is read from
    read     no arguments -> planes (n, h, w), unscaled: magnitudes >= 0 or complex64
    group    subjects of one group stay in one split (visits of one patient)
    """

    subject: str
    split: str | None
    files: tuple[Path, ...]
    read: Callable[[], np.ndarray]
    group: str


@dataclass(frozen=True)
class Found:
    """Subjects of a folder, and what was left out, as pairs of a name and the reason."""

    sources: list[Source]
    skipped: list[tuple[str, str]]


def files_in(folder: str | Path, endings: tuple[str, ...]) -> list[Path]:
    """Regular files below ``folder`` whose names end so, sorted; hidden ones and caches excluded.

    Folders that are links are not entered, so that no walk is endless or leaves ``folder``.
    """
    folder = check_folder(folder)
    found = []

    def refuse(error: OSError):
        raise InputError(f"folder {error.filename} cannot be listed ({error.strerror})")

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        paths = (Path(place, name) for name in names if not name.startswith("."))
        found += [p for p in paths if p.name.lower().endswith(endings) and p.is_file()]
    return sorted(found, key=natural)


def check_folder(folder: str | Path) -> Path:
    """``folder`` as a path, if it is a folder."""
    folder = Path(folder).expanduser()
    if folder.is_file():
        archive = folder.name.lower().endswith((".zip", ".tar", ".tgz", ".tar.gz", ".7z", ".rar"))
        remedy = "unpack it and pass the folder" if archive else "pass the folder it lies in"
        raise InputError(f"{folder} is a file, not a folder; {remedy}")
    if not folder.is_dir():
        raise InputError(f"folder {folder} does not exist; check the spelling")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise InputError(f"folder {folder} cannot be listed; check its permissions")
    return folder


def natural(path: str | Path) -> list:
    """A sorting key that puts 2 before 10."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts]


def side_of(path: Path, folder: Path, train: tuple[str, ...], test: tuple[str, ...]) -> str | None:
    """Which split the folders between ``folder`` and a file say: one of their names starts so."""
    for part in (folder / path.relative_to(folder)).parts[:-1][::-1]:
        for split, names in (("train", train), ("test", test)):
            if part.lower().startswith(names):
                return split
        if part == folder.name:
            break
    return None


def plain_name(text: str) -> str:
    """A name fit for a file anywhere: letters, digits, dots and dashes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:100] or "subject"


def check_distinct(sources: list[Source]) -> None:
    """Raise ``InputError`` where two sources have one name (however it is capitalised)."""
    seen: dict[str, Source] = {}
    for source in sources:
        earlier = seen.setdefault(source.subject.lower(), source)
        if earlier is not source:
            raise InputError(
                f"subject {source.subject} is there twice: {earlier.files[0]} and "
                f"{source.files[0]}; keep one"
            )
