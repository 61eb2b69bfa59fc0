"""Files of others, read without trust: sizes are checked before memory is asked for.

What a file's header declares is compared with what the file holds and with ``LIMIT``; compressed
data are unpacked no further than allowed; nothing in a file is ever run.
"""

import ast
import hashlib
import math
import mmap
import stat
import zlib
from pathlib import Path

import numpy as np

from sftkd_core.system import InputError

VOXELS = 2**27  # of one volume: 512 x 512 x 512; as float32 half a gibibyte
LIMIT = 8 * VOXELS  # bytes of one volume in its own numbers
SLICE = 2**21  # points of one slice of k-space
_BLOCK = 1 << 18
_NPY_HEADER = 10_000  # characters; numpy's own limit


def check_regular(path: str | Path, what: str = "file") -> Path:
    """``path``, if it is a file that can be read to its end (no folder, pipe or device)."""
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InputError(f"{what} {path} does not exist; check the spelling") from None
    except OSError as error:
        raise InputError(f"{what} {path} cannot be reached ({error.strerror})") from None
    except ValueError:
        raise InputError(f"{what} {str(path)!r} is no path; it holds a null character") from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{what} {path} is a folder; pass one file")
    if not stat.S_ISREG(mode):
        raise InputError(f"{what} {path} is a pipe or a device; pass a regular file")
    return path


def read_bytes(path: str | Path, limit: int = LIMIT) -> bytes | bytearray:
    """All of a file, unpacked where its name ends in ``.gz``; ``InputError`` beyond ``limit``."""
    path = check_regular(path)
    try:
        with open(path, "rb") as file:
            if path.name.lower().endswith(".gz"):
                return _gunzip(file, path, limit)
            if path.stat().st_size > limit:
                raise _too_large(path, limit)
            return file.read(limit)
    except OSError as error:
        raise _unreadable(path, error) from None


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    try:
        with open(check_regular(path), "rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise _unreadable(path, error) from None
    return digest.hexdigest()


def open_npy(path: str | Path, what: str = "array") -> np.ndarray:
    """The array of a ``.npy`` file as a read-only map of it: no byte is read before it is used.

    Raises ``InputError`` for anything but one plain array of numbers whose shape and dtype account
    for every byte of the file; pickled objects and archives (``.npz``) are refused.
    """
    path = check_regular(path, what)
    try:
        with open(path, "rb") as file:
            shape, fortran, dtype = _npy_header(file, path, what)
            start, size = file.tell(), path.stat().st_size
            if start + math.prod(shape) * dtype.itemsize != size:
                raise InputError(
                    f"{what} {path} says it holds {_words(shape)} numbers of type {dtype}, but has "
                    f"{size - start} bytes of them; it is truncated or damaged"
                )
            if not math.prod(shape):
                raise InputError(f"{what} {path} has shape {shape}: it is empty")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise _unreadable(path, error) from None
    order = "F" if fortran else "C"
    return np.ndarray(shape, dtype, buffer=mapped, offset=start, order=order)


def check_volume(shape: tuple[int, ...], path: str | Path) -> None:
    """Raise ``InputError`` unless the numbers of this shape are some, and not too many."""
    if any(extent < 1 for extent in shape):
        raise InputError(f"{path} has shape {tuple(shape)}: it is empty")
    if math.prod(shape) > VOXELS:
        raise InputError(
            f"{path} says it holds {_words(shape)} = {math.prod(shape):.2g} numbers; a volume "
            f"has at most {VOXELS} here (512 x 512 x 512), so crop or resample it first"
        )


def check_slice(shape: tuple[int, int], path: str | Path) -> None:
    """Raise ``InputError`` unless a slice of this shape can be transformed in little memory."""
    if any(extent < 1 for extent in shape) or math.prod(shape) > SLICE:
        raise InputError(
            f"{path} says its slices have {_words(shape)} points; k-space has up to "
            f"{SLICE} of them here (2048 x 1024)"
        )


def check_finite(values: np.ndarray, path: str | Path) -> None:
    """Raise ``InputError`` where a number is NaN or infinite."""
    if values.dtype.kind in "fc":
        for plane in values.reshape(len(values), -1):  # a whole volume of booleans is memory too
            if not np.isfinite(plane).all():
                raise InputError(
                    f"{path} holds NaN or infinite values; replace them, by 0 for instance"
                )


def _gunzip(file, path: Path, limit: int) -> bytearray:
    """Every member of a gzip file; zlib checks each one's length and checksum."""
    unpacked = bytearray()
    pending = file.read(_BLOCK)
    while pending:
        unpacker = zlib.decompressobj(wbits=31)
        while not unpacker.eof:
            if not pending:
                pending = file.read(_BLOCK)
                if not pending:
                    raise InputError(f"{path} cannot be unpacked: it ends too early; copy it again")
            try:
                unpacked += unpacker.decompress(pending, min(_BLOCK, limit + 1 - len(unpacked)))
            except zlib.error as error:
                raise InputError(
                    f"{path} cannot be unpacked ({error}); it is damaged or no gzip file"
                ) from None
            pending = unpacker.unconsumed_tail
            if len(unpacked) > limit:
                raise _too_large(path, limit)
        pending = unpacker.unused_data or file.read(_BLOCK)
        if not pending.strip(b"\0"):  # some writers pad with zeros
            break
    return unpacked


def _npy_header(file, path: Path, what: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and dtype; numpy's format, read here so that every surprise has one answer."""
    wrong = InputError(f"{what} {path} is not a plain .npy array; save one with numpy.save")
    start = file.read(8)
    if start[:4] == b"PK\x03\x04":
        raise InputError(f"{what} {path} holds several arrays; save one with numpy.save")
    if len(start) < 8 or start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3):
        raise wrong
    length = int.from_bytes(file.read(2 if start[6] == 1 else 4), "little")
    header = file.read(length) if length <= _NPY_HEADER else b""
    if len(header) != length or not length:
        raise wrong
    try:
        fields = ast.literal_eval(header.decode("utf-8" if start[6] == 3 else "latin1").strip())
        shape, descr, fortran = fields["shape"], fields["descr"], fields["fortran_order"]
        dtype = np.dtype(descr) if isinstance(descr, str) else None
    except Exception:  # literal_eval and dtype fail in many ways, and none is of interest
        raise wrong from None
    plain = isinstance(shape, tuple) and all(type(n) is int and 0 <= n < 2**40 for n in shape)
    if not plain or type(fortran) is not bool or dtype is None or len(shape) > 32:
        raise wrong
    if dtype.hasobject:
        raise InputError(
            f"{what} {path} is not a plain .npy array: it holds pickled objects, which could run "
            "code; save plain numbers with numpy.save"
        )
    if dtype.kind not in "biufc":
        raise InputError(f"{what} {path} holds values of type {dtype}; save plain numbers")
    return shape, fortran, dtype


def _words(shape: tuple[int, ...]) -> str:
    return " x ".join(str(extent) for extent in shape) or "single"


def _too_large(path: Path, limit: int) -> InputError:
    return InputError(
        f"{path} holds more than {limit} bytes when unpacked; that is no volume of at most "
        "512 x 512 x 512 numbers"
    )


def _unreadable(path: str | Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be read ({error.strerror or error}); check its permissions")
