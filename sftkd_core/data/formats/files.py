"""Files of others, read without trust: sizes are checked before memory is asked for.

What a file's header declares is compared with what the file holds and with ``LIMIT``; compressed
data are unpacked no further than allowed; nothing in a file is ever run.
"""

import gzip
import hashlib
import math
import mmap
import stat
import warnings
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sftkd_core.system import InputError

VOXELS = 2**27  # of one volume: 512 x 512 x 512; as float32 half a gibibyte
LIMIT = 8 * VOXELS  # bytes of one volume in its own numbers
SLICE = 2**21  # points of one slice of k-space
_BLOCK = 1 << 18
_PACKED = (".gz", ".mgz")


def ending(path: str | Path) -> str:
    """The file's ending in lower case, ``.nii.gz`` as one."""
    path = Path(path)
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()


def stem(path: str | Path) -> str:
    """The file's name without ``ending``."""
    name = Path(path).name
    return name[: len(name) - len(ending(path))]


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


def contents(path: str | Path, limit: int = LIMIT) -> mmap.mmap | bytearray:
    """All of a file, unpacked where its name says that it is packed; ``InputError`` beyond limit.

    A plain file is mapped: no byte is read before it is used. What is changed stays in memory.
    """
    path = check_regular(path)
    unpacked = bytearray()
    try:
        if not path.name.lower().endswith(_PACKED):
            size = path.stat().st_size
            if size > limit:
                raise _too_large(path, limit)
            with open(path, "rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) if size else unpacked
        with gzip.open(path) as file:
            while block := file.read(_BLOCK):
                unpacked += block
                if len(unpacked) > limit:
                    raise _too_large(path, limit)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path} cannot be read: unpacking fails ({first_line(error)}); it is damaged, cut "
            "off, or no gzip file"
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from None
    return unpacked


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.memmap):
            array.close()
            raise InputError(f"{what} {path} holds several arrays; save one with numpy.save")
        if array.offset + array.nbytes != path.stat().st_size:
            raise ValueError("the file is longer than what its header declares")
    except InputError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from None
    except Exception as error:  # numpy's kinds of failure are many, and none is of interest
        raise InputError(
            f"{what} {path} is not a plain .npy array of numbers, whole and not pickled, which "
            f"could run code ({first_line(error)}); save one with numpy.save"
        ) from None
    if array.dtype.kind not in "biufc":
        raise InputError(f"{what} {path} holds values of type {array.dtype}; save plain numbers")
    if not array.size:
        raise InputError(f"{what} {path} has shape {array.shape}: it is empty")
    return np.asarray(array)


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
    # plane by plane: a whole volume of booleans is memory too
    if not all(np.isfinite(part).all() for part in (values if values.ndim > 2 else [values])):
        raise InputError(f"{path} holds NaN or infinite values; replace them, by 0 for instance")


def check_magnitudes(parts: Iterable[np.ndarray], path: str | Path) -> None:
    """Raise ``InputError`` unless values, which come in parts, can be those of magnitude images.

    They are finite, not below 0 by more than 5 % of the highest, and not all equal.
    """
    lowest, highest = math.inf, -math.inf
    for part in parts:
        check_finite(part, path)
        lowest, highest = min(lowest, float(part.min())), max(highest, float(part.max()))
    if lowest == highest:
        raise InputError(f"{path} is {lowest:g} everywhere; there is nothing to reconstruct")
    if lowest < -0.05 * highest:
        raise InputError(
            f"{path} holds values down to {lowest:g}; pass a magnitude image, which has none "
            "below 0"
        )


def first_line(error: Exception) -> str:
    """An error's message in one line, or its kind where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _words(shape: tuple[int, ...]) -> str:
    return " x ".join(str(extent) for extent in shape) or "single"


def _too_large(path: Path, limit: int) -> InputError:
    return InputError(
        f"{path} holds more than {limit} bytes when unpacked; that is no volume of at most "
        "512 x 512 x 512 numbers"
    )


def _unreadable(path: str | Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be read ({error.strerror or error}); check its permissions")
