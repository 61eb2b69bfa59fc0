"""Which device runs the networks, and what it can do."""

import ctypes
import os
import platform
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import torch

from sftkd_core.errors import InputError


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
