"""What the machine gives, and what users see of it: devices, whole files, progress, one error.

Nothing here decides what a network learns: seals do not look into this file, but for ``autocast``.
"""

import ctypes
import errno
import os
import platform
import shutil
import sys
import time
import warnings
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from filelock import FileLock

if TYPE_CHECKING:
    from jaxtyping import Bool, Complex, Float, Inexact
else:
    try:  # shapes in annotations are for people, and for the tests, which check them
        from jaxtyping import Bool, Complex, Float, Inexact
    except ImportError:

        class Float:
            """``Float[Tensor, "b 1 h w"]`` is then ``Tensor``."""

            def __class_getitem__(cls, item):
                return item[0]

        Bool = Complex = Inexact = Float

PRECISIONS = ("auto", "float32", "bfloat16")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StorageError(OSError):
    """A file could not be written: one sentence naming it, the cause and the remedy."""


def home() -> Path:
    """Where phantoms and experiments are kept: ``$SFTKD_HOME``, else ``~/.cache/sftkd_core``."""
    try:
        return Path(os.environ.get("SFTKD_HOME") or "~/.cache/sftkd_core").expanduser()
    except RuntimeError:  # no HOME, and no such user: a container, a cluster's node
        raise InputError("your home folder is not known; set SFTKD_HOME to a folder") from None


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
        free = shutil.disk_usage(next(p for p in path.absolute().parents if p.exists())).free
        reason = (
            f"no room to write {path} ({size / 1e6:.1f} MB; {free / 1e6:.0f} MB free); "
            "free some space, or set SFTKD_HOME to a folder on another disk"
        )
    else:
        ours = home() in path.absolute().parents
        reason = f"cannot write {path} ({error.strerror or error}); check its permissions, or " + (
            "set SFTKD_HOME to a folder of yours" if ours else "choose another place"
        )
    return StorageError(reason)


class InputError(ValueError):
    """Something passed in cannot be used: one sentence naming it, its value and the remedy."""


def check_output(path: str | Path, endings: tuple[str, ...], what: str = "output") -> Path:
    """``path``, if a file can have this name, which must end in one of ``endings``."""
    path = Path(path)
    if not path.name.lower().endswith(endings):
        raise InputError(f"{what} {path} is not named {' or '.join(endings)}; choose such a name")
    if path.is_dir():
        raise InputError(f"{what} {path} is a folder; name a file in it")
    return path


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name; ``"auto"`` takes a GPU where there is one.

    Raises ``InputError`` for a name torch does not know or a device that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, ImportError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "not available"
        raise InputError(
            f'device "{name}" cannot be used ({reason}); use "auto", "cpu" or "cuda"'
        ) from None
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 convolutions run faster than float32 ones on this device."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)


def effective_precision(precision: str, device: torch.device) -> str:
    """ "float32" or "bfloat16": what a precision, perhaps "auto", means on this device."""
    if precision not in PRECISIONS:
        raise InputError(f"unknown precision {precision!r}; choose one of {', '.join(PRECISIONS)}")
    if precision != "auto":
        return precision
    return "bfloat16" if has_bfloat16(device) else "float32"


def autocast(device: torch.device, precision: str):
    """The context in which forward passes of this precision run."""
    if effective_precision(precision, device) == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Let this process keep the memory of freed tensors, for the next ones (Linux with glibc).

    By default each large tensor is a fresh mapping, and touching its pages for the first time can
    cost more than the arithmetic on it: of a training step at 96 x 96, thousands of page faults.
    ``benchmarks/memory.py`` shows what that is worth.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the most that glibc allows
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def describe(device: torch.device) -> str:
    """The hardware in words, for provenance: the processor and its cores, or the GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()}, {torch.get_num_threads()} of {os.cpu_count()} cores"


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        return names[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


class Line:
    """A line ``label: text``, replaced at each ``show`` and removed or kept by ``close``.

    In a notebook the line is one display that updates; in a terminal it is rewritten; in a log
    file a line is written at most every ``interval`` seconds. ``quiet`` shows nothing.
    """

    def __init__(self, label: str, quiet: bool = False, interval: float = 20.0):
        self.label, self.quiet, self.interval = label, quiet, interval
        self._handle = None
        self._last = 0.0

    def show(self, text: str) -> None:
        """Replace the line."""
        if self.quiet:
            return
        message = f"{self.label}: {text}"
        if _in_notebook():
            self._display(message)
        elif sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{message}")
            sys.stderr.flush()
        elif time.monotonic() - self._last >= self.interval:
            self._last = time.monotonic()
            print(message, file=sys.stderr, flush=True)

    def show_epoch(self, history: list[dict], epochs: int) -> None:
        """How far a training is, its last validation, and how long the other epochs will take."""
        done, last = len(history), history[-1]
        left = sum(row["seconds"] for row in history) / done * (epochs - done)
        self.show(f"epoch {done} of {epochs}, validation {score(last)}, {clock(left)} left")

    def close(self, text: str) -> None:
        """Leave a last line."""
        self._last = 0.0
        self.show(text)
        if not self.quiet and not _in_notebook() and sys.stderr.isatty():
            sys.stderr.write("\n")

    def _display(self, message: str) -> None:
        from IPython.display import HTML, display

        content = HTML(f'<span class="sftkd-progress">{message}</span>')
        if self._handle is None:
            self._handle = display(content, display_id=True)
        else:
            self._handle.update(content)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def score(row: dict) -> str:
    """The validation of an epoch in words: its PSNR, or its loss where there is none."""
    psnr = row.get("validation_psnr")
    return f"loss {row['validation_loss']:.3g}" if psnr is None else f"{psnr:.2f} dB"


def counted(number: int, thing: str) -> str:
    """``1, "slice" -> "1 slice"``, ``2, "slice" -> "2 slices"``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def clock(seconds: float) -> str:
    """``95 -> "1 min 35 s"``."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
