"""What a reader finds in a folder: subjects that can be read, and files that it leaves out."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sftkd_core.system import InputError

SCANS = (".nii", ".nii.gz", ".mgz", ".mgh", ".npy", ".h5", ".hdf5", ".mrd")
_PERSON = re.compile(r"(?:^|[_.-])(sub-[a-z0-9]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """One subject, not read yet.

    subject  its name, also that of its file once prepared
    split    "train" or "test" as the folder says, None where it says nothing
    files    what it is read from
    read     no arguments -> planes (n, h, w), unscaled: magnitudes >= 0 or complex64
    group    subjects of one group stay in one split (visits of one patient)
    option   what else decides the planes, in words; "" for nothing
    """

    subject: str
    split: str | None
    files: tuple[Path, ...]
    read: Callable[[], np.ndarray]
    group: str
    option: str = ""


@dataclass(frozen=True)
class Found:
    """Subjects of a folder, and what was left out, as pairs of a name and the reason."""

    sources: list[Source]
    skipped: list[tuple[str, str]]


def files_in(folder: str | Path, endings: tuple[str, ...]) -> list[Path]:
    """Regular files below ``folder`` whose names end so, sorted; hidden ones and caches excluded.

    Folders that are links are not entered, so that no walk is endless or leaves ``folder``.
    """
    return sorted((p for p in _walk(folder) if _is_named(p, endings) and p.is_file()), key=natural)


def links_in(folder: str | Path) -> list[tuple[str, str]]:
    """Links below ``folder`` that ``files_in`` leaves out, if they may lead to scans; and why."""
    found = []
    for path in filter(Path.is_symlink, sorted(_walk(folder), key=natural)):
        name = str(path.relative_to(folder))
        if path.is_dir():
            found.append((name, "a linked folder; pass it itself, or copy it here"))
        elif not path.exists() and _is_named(path, SCANS):
            found.append((name, "a link whose file is not here; fetch it (datalad get)"))
    return found


def _is_named(path: Path, endings: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(endings)


def _walk(folder: str | Path) -> Iterator[Path]:
    """Files and links below ``folder`` but for hidden ones; links are not followed."""
    folder = check_folder(folder)

    def refuse(error: OSError):
        raise InputError(f"folder {error.filename} cannot be listed ({error.strerror})")

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        linked = [name for name in folders if Path(place, name).is_symlink()]
        yield from (Path(place, name) for name in names + linked if not name.startswith("."))


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


def person_of(inside: Path) -> str | None:
    """Whose scan it is, by a file's place in its folder as BIDS names it (``sub-01``), or None."""
    found = next(filter(None, map(_PERSON.search, inside.parts)), None)
    return found[1] if found else None


def by_group(sources: list[Source]) -> dict[str, list[Source]]:
    """The sources of each group, in their order."""
    groups: dict[str, list[Source]] = {}
    for source in sources:
        groups.setdefault(source.group, []).append(source)
    return groups


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
