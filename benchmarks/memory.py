"""What keeping freed memory is worth: a training step with it and without, one after the other.

    python benchmarks/memory.py [--size 96]

Each runs in a process of its own, since the setting cannot be taken back. Printed are the median
time of a step and the page faults in it.
"""

import argparse
import resource
import subprocess
import sys
import time

import torch

from sftkd_core import models
from sftkd_core.consistency import measure
from sftkd_core.experiments import Sampling, objectives
from sftkd_core.system import autocast, describe, keep_freed_memory


def step_and_faults(size: int, repeats: int = 15) -> tuple[float, float]:
    """Median seconds and mean page faults of a plain student's step, batch 4."""
    device = torch.device("cpu")
    images = torch.rand(4, 1, size, size, generator=torch.Generator().manual_seed(0))
    train = objectives.Examples(measure(images, Sampling(4).mask(size)), images)
    student = models.build("D3C5", 0).to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(student.parameters(), 1e-3)
    objective = objectives.reconstruction(train)
    times, before = [], 0
    for number in range(repeats + 3):
        if number == 3:  # the first steps fill the caches
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        started = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        with autocast(device, "auto"):
            loss = objective(student, torch.arange(4))
        loss.backward()
        optimiser.step()
        times.append(time.perf_counter() - started)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return sorted(times[3:])[repeats // 2], faults / repeats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--alone", choices=("kept", "fresh"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        if options.alone == "kept":
            keep_freed_memory()
        seconds, faults = step_and_faults(options.size)
        print(f"memory {options.alone:6}{1e3 * seconds:9.1f} ms a step{faults:10.0f} page faults")
        return
    print(f"{describe(torch.device('cpu'))}; {options.size} x {options.size}, batch 4", flush=True)
    for choice in ("fresh", "kept"):
        command = [sys.executable, __file__, "--size", str(options.size), "--alone", choice]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
