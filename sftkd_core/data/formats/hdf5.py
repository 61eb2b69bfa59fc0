"""Arrays of an HDF5 file, checked before they are read.

HDF5 can point elsewhere (external links, external storage, virtual data sets) and can load filters
as shared libraries; an array that does any of this is refused.
"""

import io
import math
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from sftkd_core import system
from sftkd_core.system import InputError, files

_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
_FILTERS |= {h5py.h5z.FILTER_LZF}
PAIR = ("real", "imag")  # of numbers as MATLAB writes complex ones
_CHUNK = 1 << 28  # bytes
_HEAP = b"GCOL\x01\0\0\0"  # how a global heap begins
_OBJECTS = 10_000  # groups and arrays of a file


@contextmanager
def opened(path: str | Path):
    """An HDF5 file to read from; whatever the library finds wrong is one ``InputError``."""
    path = files.check_regular(path)
    with explained(path), h5py.File(path, "r", locking=False) as file:
        yield file


@contextmanager
def explained(path: str | Path):
    """Turn whatever the library finds wrong with a file into one ``InputError``."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # damaged files make h5py raise nearly anything
        raise InputError(
            f"{path} cannot be read as HDF5 ({files.first_line(error)}); it may be truncated or "
            "another format"
        ) from None


def array_of(
    file: h5py.File, name: str, dimensions: int | tuple[int, ...], kinds: str = "iuf"
) -> h5py.Dataset:
    """The data set ``name`` of a file, ``group/name`` of one in a group, not read yet, checked.

    dimensions  how many axes it must have, or may have
    kinds       of its dtype: "i", "u", "f", "c"; with the last pairs of real and imaginary parts
                are taken as well, as MATLAB writes them (see ``numbers``)
    """
    path = file.filename
    found: h5py.Group | h5py.Dataset = file
    for part in name.split("/"):
        link = found.get(part, getlink=True) if isinstance(found, h5py.Group) else None
        if link is None:
            held = ", ".join(list(file)[:8]) or "nothing"
            raise InputError(f"{path} holds no {name} but {held}; is it of this data set?")
        if not isinstance(link, h5py.HardLink):
            raise InputError(
                f"{path}: {name} is a link to somewhere else; copy the data into the file"
            )
        found = found[part]
    if not isinstance(found, h5py.Dataset):
        raise InputError(f"{path}: {name} is a group, not an array")
    dtype = found.dtype
    if dtype.names == PAIR and "c" in kinds:
        dtype = np.result_type(*(dtype[part] for part in PAIR), np.complex64)
    if dtype.kind not in kinds or dtype.hasobject:
        raise InputError(f"{path}: {name} holds values of type {found.dtype}; expected numbers")
    wanted = (dimensions,) if isinstance(dimensions, int) else dimensions
    if found.shape is None or len(found.shape) not in wanted:
        raise InputError(
            f"{path}: {name} has shape {found.shape}; expected "
            f"{' or '.join(map(str, wanted))} dimensions"
        )
    files.check_volume(found.shape, f"{path}: {name}")
    _check_stored(found, f"{path}: {name}")
    # unwritten chunks read as zeros, so a tiny file can claim a lot; stored bytes say otherwise
    stored = found.id.get_storage_size()
    if not stored:
        raise InputError(f"{path}: {name} has shape {found.shape} but no values are stored")
    return found


def names(file: h5py.File) -> list[str]:
    """Data sets of a file and of its groups, ``group/name``; links to elsewhere are left out."""
    return [name for name, found in _walk(file) if isinstance(found, h5py.Dataset)]


def numbers(values: np.ndarray) -> np.ndarray:
    """Values as they are, but for pairs of real and imaginary parts, which become complex."""
    if values.dtype.names != PAIR:
        return values
    return values["real"] + values["imag"] * np.complex64(1j)


def check_inside(path: str | Path) -> None:
    """Raise ``InputError`` where anything in a file points out of it, or would load a library."""
    check_heaps(path)
    with opened(path) as file:
        for name, found in _walk(file):
            if found is None:
                raise InputError(f"{path}: {name} is a link to somewhere else; copy the data")
            if isinstance(found, h5py.Dataset):
                _check_stored(found, f"{path}: {name}")


def check_heaps(path: str | Path) -> None:
    """Raise ``InputError`` where a global heap, which holds values of any length, is damaged.

    The library follows the sizes of its objects, and one of zero without an end.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = content.find(_HEAP)
        while place >= 0:
            end = place + int.from_bytes(content[place + 8 : place + 16], "little")
            at = place + 16
            sound = at <= end <= len(content)
            while sound and end - at >= 16:  # index, count, size, and the object
                size = int.from_bytes(content[at + 8 : at + 16], "little")
                free = content[at : at + 2] == b"\0\0"  # its size has these 16 bytes in it
                step = size if free else 16 + -(-size // 8) * 8
                sound = 16 <= step <= end - at
                at += step
            if not sound:
                raise InputError(f"{path} cannot be read as HDF5 (a damaged heap); copy it again")
            place = content.find(_HEAP, end)


def _walk(file: h5py.File) -> Iterator[tuple[str, h5py.Group | h5py.Dataset | None]]:
    """All that a file holds, with its name; None for a link to somewhere else.

    Raises ``InputError`` where that has no end: groups can hold each other.
    """
    groups: list[tuple[str, h5py.Group]] = [("", file)]
    count = 0
    while groups:
        before, group = groups.pop()
        for key in group:
            count += 1
            if count > _OBJECTS:
                raise InputError(
                    f"{file.filename} holds more than {_OBJECTS} groups and arrays, or groups in "
                    "each other; is it a scan?"
                )
            held = isinstance(group.get(key, getlink=True), h5py.HardLink)
            found = group[key] if held else None
            yield before + key, found
            if isinstance(found, h5py.Group):
                groups.append((f"{before}{key}/", found))


def _check_stored(found: h5py.Dataset, name: str) -> None:
    """Raise ``InputError`` unless an array's values lie in its own file, packed in a known way."""
    if found.external or found.is_virtual:
        raise InputError(f"{name}: its values lie in another file; copy them into this")
    if found.chunks and math.prod(found.chunks) * found.dtype.itemsize > _CHUNK:
        raise InputError(f"{name} is stored in pieces of {found.chunks}; store it in less")
    properties = found.id.get_create_plist()
    filters = {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}
    if filters - _FILTERS:
        raise InputError(f"{name} is compressed by another filter than gzip or lzf")


def text_of(file: h5py.File, name: str) -> str | None:
    """A short text attribute of the file, None where there is none."""
    if name not in file.attrs:
        return None
    kind = file.attrs.get_id(name)
    if kind.shape not in ((), (1,)) or kind.get_storage_size() > 10_000:
        return None
    value = np.ravel(file.attrs[name])[0]
    value = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return value[:200]


def write(path: str | Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays to a new HDF5 file, whole or not at all; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=False) as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, track_times=False)
    system.write_bytes(path, buffer.getbuffer())
