"""What a network costs: parameters, multiply-adds a slice, and the time of a step."""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn.functional import conv2d
from torch.utils.flop_counter import FlopCounterMode

from sftkd_core.consistency import measure


def parameter_count(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@torch.no_grad()
def multiply_adds(model: nn.Module, height: int, width: int) -> int:
    """Multiply-adds of reconstructing one slice of ``height`` x ``width`` pixels.

    Counted are convolutions, linear layers and matrix products, so also data consistency in its
    matrix forms. Not counted: Fourier transforms, additions, activations, normalisation.
    """
    device = next(model.parameters()).device
    blank = torch.zeros(1, 1, height, width, device=device)
    measurement = measure(blank, np.ones(height, dtype=bool))
    with FlopCounterMode(display=False) as counter:
        model(measurement)
    return counter.get_total_flops() // 2  # the library counts a multiplication and an addition


def operations(step: Callable[[], object]) -> int:
    """Multiplications and additions of whatever a function does, backward passes with them.

    Counted are convolutions, linear layers and matrix products, as in ``multiply_adds``.
    """
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def clocked(step: Callable[[], object], device: torch.device) -> float:
    """Seconds of a call: of the processor's time, all threads together, or of a GPU's clock.

    Processor time does not count what other programs do meanwhile; what it does count is waiting
    of one thread for another.
    """
    if device.type != "cuda":
        started = time.process_time()
        step()
        return time.process_time() - started
    torch.cuda.synchronize(device)
    started = time.perf_counter()
    step()
    torch.cuda.synchronize(device)
    return time.perf_counter() - started


def convolution_peak(device: torch.device, dtype: torch.dtype, seconds: float = 1.0) -> float:
    """The best rate of a 3x3 convolution that this machine shows, forward, in FLOP/s."""
    best = 0.0
    for channels, size in ((32, 240), (64, 128), (256, 64)):
        x = torch.randn(4, channels, size, size, device=device, dtype=dtype)
        w = torch.randn(channels, channels, 3, 3, device=device, dtype=dtype)
        x, w = (t.to(memory_format=torch.channels_last) for t in (x, w))
        work = 2 * 9 * channels**2 * size**2 * 4
        with torch.inference_mode():
            conv2d(x, w, padding=1)
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                best = max(best, work / clocked(partial(conv2d, x, w, padding=1), device))
    return best
