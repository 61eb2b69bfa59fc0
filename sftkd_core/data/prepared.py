"""A prepared data set: a folder with ``manifest.json`` and one ``.npy`` file a subject.

The manifest says of each subject its file with a checksum, shape, scaling, split, and its source
files with their SHA-256. The checksum (CRC-32) finds damage; what a subject was made from, and how,
is in its key. Nothing in it is trusted: files must lie in the folder, and be what it says.
"""

import hashlib
import io
import json
import zlib
from pathlib import Path

import numpy as np

from sftkd_core import system
from sftkd_core.data.slices import SPLITS
from sftkd_core.system import InputError, files

VERSION = 1
MANIFEST = "manifest.json"
_LONGEST = 1 << 26  # bytes of a manifest


def place_of(name: str) -> Path:
    """Where the data set of a short name is kept once prepared."""
    return system.home() / "datasets" / name


def is_prepared(folder: str | Path) -> bool:
    """Whether a folder holds a manifest."""
    return (Path(folder) / MANIFEST).is_file()


def read_manifest(folder: str | Path) -> dict:
    """The manifest of a prepared folder, its fields checked."""
    path = Path(folder) / MANIFEST
    manifest = _read_json(path)
    if not isinstance(manifest, dict) or manifest.get("version") != VERSION:
        raise _foreign(path)
    subjects = manifest.get("subjects")
    if not isinstance(subjects, list) or not subjects or not isinstance(manifest.get("name"), str):
        raise _foreign(path)
    if not all(is_entry(entry) and entry.get("split") in SPLITS for entry in subjects):
        raise _foreign(path)
    return manifest


def is_entry(entry) -> bool:
    """Whether something read as JSON describes a subject."""
    if not isinstance(entry, dict):
        return False
    texts = ("subject", "file", "crc32", "dtype", "scaling", "key")
    if not all(isinstance(entry.get(name), str) for name in texts):
        return False
    shape, file = entry.get("shape"), entry["file"]
    if not isinstance(shape, list) or len(shape) != 3:
        return False
    whole = all(type(n) is int and n > 0 for n in shape)
    plain = file.endswith(".npy") and Path(file).name == file and "\\" not in file
    return whole and plain and entry["dtype"] in ("float32", "complex64")


def read_note(path: Path) -> dict | None:
    """The entry of a finished subject, None where there is none, or its slices are not whole."""
    try:
        entry = _read_json(path)
        if is_entry(entry):
            read_subject(path.parent, entry)
            return entry
    except InputError:
        pass
    return None


def read_subject(folder: str | Path, entry: dict) -> np.ndarray:
    """A subject's slices (n, h, w), float32 in [0, 1] or complex64; a damaged one is refused."""
    path = Path(folder) / entry["file"]
    if path.is_symlink():
        raise InputError(f"{path} is a link; prepare the data set again")
    array = files.open_npy(path, "prepared subject")
    files.check_volume(array.shape, path)
    if list(array.shape) != entry["shape"] or array.dtype != np.dtype(entry["dtype"]):
        raise InputError(
            f"{path} has shape {array.shape} and type {array.dtype}, not what the manifest says; "
            "prepare the data set again"
        )
    if checksum(array) != entry["crc32"]:
        raise InputError(f"{path} is damaged (its checksum differs); prepare the data set again")
    files.check_finite(array, path)
    return np.array(array)


def write_subject(path: Path, images: np.ndarray) -> None:
    """Write slices as ``.npy``, whole or not at all."""
    images = np.ascontiguousarray(images)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(images))
    system.write_bytes(path, header.getvalue(), images.data.cast("B"))


def checksum(images: np.ndarray) -> str:
    """The CRC-32 of an array's values, in hexadecimal."""
    return f"{zlib.crc32(np.ascontiguousarray(images).data.cast('B')):08x}"


def fingerprint(folder: str | Path) -> str:
    """A hash of all subjects, their sources and their splits, from the manifest alone."""
    subjects = read_manifest(folder)["subjects"]
    content = sorted([entry[f] for f in ("subject", "split", "key", "crc32")] for entry in subjects)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _read_json(path: Path):
    content = files.contents(path, _LONGEST)
    try:
        return json.loads(bytes(content).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({type(error).__name__}); it is damaged") from None


def _foreign(path: Path) -> InputError:
    return InputError(
        f"{path} is not the manifest of a data set prepared by this version; prepare it again"
    )
