"""Arrays of an HDF5 file, checked before they are read.

HDF5 can point elsewhere (external links, external storage, virtual data sets) and can load filters
as shared libraries; an array that does any of this is refused.
"""

import io
import math
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from sftkd_core import system
from sftkd_core.system import InputError, files

_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
_FILTERS |= {h5py.h5z.FILTER_LZF}
_CHUNK = 1 << 28  # bytes


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


def array_of(file: h5py.File, name: str, dimensions: int, kinds: str = "iuf") -> h5py.Dataset:
    """The data set ``name`` at the top of a file, not read yet, after all checks.

    dimensions  how many axes it must have
    kinds       of its dtype: "i", "u", "f", "c"
    """
    path = file.filename
    link = file.get(name, getlink=True) if name in list(file) else None
    if link is None:
        held = ", ".join(list(file)[:8]) or "nothing"
        deep = " (data sets in groups are not read: copy it to the top)" if "/" in name else ""
        raise InputError(f"{path} holds no {name} but {held}; is it of this data set?{deep}")
    if not isinstance(link, h5py.HardLink):
        raise InputError(f"{path}: {name} is a link to somewhere else; copy the data into the file")
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise InputError(f"{path}: {name} is a group, not an array")
    if found.external or found.is_virtual:
        raise InputError(f"{path}: the values of {name} lie in another file; copy them into this")
    if found.dtype.names == ("real", "imag"):
        raise InputError(
            f"{path}: {name} holds pairs of real and imaginary parts; save complex numbers, "
            "a['real'] + 1j * a['imag']"
        )
    if found.dtype.kind not in kinds or found.dtype.hasobject:
        raise InputError(f"{path}: {name} holds values of type {found.dtype}; expected numbers")
    if found.shape is None or len(found.shape) != dimensions:
        raise InputError(
            f"{path}: {name} has shape {found.shape}; expected {dimensions} dimensions"
        )
    files.check_volume(found.shape, f"{path}: {name}")
    if found.chunks and math.prod(found.chunks) * found.dtype.itemsize > _CHUNK:
        raise InputError(f"{path}: {name} is stored in pieces of {found.chunks}; store it in less")
    properties = found.id.get_create_plist()
    filters = {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}
    if filters - _FILTERS:
        raise InputError(f"{path}: {name} is compressed by another filter than gzip or lzf")
    # unwritten chunks read as zeros, so a tiny file can claim a lot; stored bytes say otherwise
    stored = found.id.get_storage_size()
    if not stored:
        raise InputError(f"{path}: {name} has shape {found.shape} but no values are stored")
    return found


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
