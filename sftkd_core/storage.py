"""Files that are either whole or not there: atomic writes, locks, and what to do about damage."""

import errno
import os
import shutil
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StorageError(OSError):
    """A file could not be written: one sentence naming it, the cause and the remedy."""


def home() -> Path:
    """Where phantoms and experiments are kept: ``$SFTKD_HOME``, else ``~/.cache/sftkd_core``."""
    return Path(os.environ.get("SFTKD_HOME") or Path.home() / ".cache" / "sftkd_core")


def write_bytes(path: str | Path, *payload: bytes | memoryview) -> None:
    """Write a whole file or nothing: to a neighbour first, to disk, then renamed into place.

    Creates the folder; of several payloads the file holds one after the other. Two processes must
    not write one path at once (see ``lock``). Raises ``StorageError`` where the disk is full or the
    place cannot be written; no part stays behind.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)  # what a killed process left, or a link that leads elsewhere
        with open(part, "xb") as file:
            for piece in payload:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise _explained(error, path, sum(len(piece) for piece in payload)) from error


@contextmanager
def lock(path: str | Path):
    """Hold ``path`` against other processes; the lock goes when its process ends, however."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(path.with_name(f"{path.name}.lock"))
        held.acquire()
    except OSError as error:
        raise _explained(error, path, 0) from error
    try:
        yield
    finally:
        held.release()


def set_aside(path: str | Path, why: str) -> None:
    """Rename a damaged file or folder to ``<name>.damaged-<n>``, with a warning."""
    path = Path(path)
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    try:
        os.replace(path, aside)
    except FileNotFoundError:
        return  # another process was faster
    warnings.warn(f"{path} is set aside as {aside.name}: {why}; it will be made again")


def _explained(error: OSError, path: Path, size: int) -> StorageError:
    if error.errno in _FULL:
        free = shutil.disk_usage(_existing(path)).free
        reason = (
            f"no room to write {path} ({size / 1e6:.1f} MB; {free / 1e6:.0f} MB free); "
            "free some space, or set SFTKD_HOME to a folder on another disk"
        )
    else:
        reason = (
            f"cannot write {path} ({error.strerror or error}); "
            "check its permissions, or set SFTKD_HOME to a folder of yours"
        )
    return StorageError(reason)


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
