"""What ``reconstruct`` takes for several coils: its peak of memory, and its time.

    python benchmarks/coils.py [--coils 8] [--size 256] [--slices 32] [reconstruct's options]

A synthetic head is measured by that many coils around it, as complex k-space in a file, and
reconstructed by the command of the command line in a process of its own. The peak is the resident
memory of all of it, torch and the file's own pages included, as Linux tells it. The README names
what was measured here with the defaults; ``tests/test_coils.py`` fails above 1.5 GB.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from sftkd_core import data
from sftkd_core.data.phantoms.coils import coil_kspace
from sftkd_core.system import describe

RUN = """
import re, sys, warnings
warnings.simplefilter("ignore")
from sftkd_core.__main__ import main
status = main(sys.argv[1:])
print(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
sys.exit(status)
"""


def write_kspace(path: Path, coils: int, size: int, slices: int) -> None:
    """k-space (slices, coils, size, size) complex64 of a head; four slices over and over."""
    images = data.brain_phantom(3, size, min(4, slices)).slices
    images = np.resize(images, (slices, *images.shape[1:]))
    np.save(path, coil_kspace(images, coils))


def peak_and_seconds(folder: Path, options: list[str]) -> tuple[float, float]:
    """Peak of resident memory in GB, and seconds on the clock, of one reconstruction."""
    words = ["reconstruct", "kspace.npy", "image.npy", *options]
    started = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-c", RUN, *words], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    seconds = time.perf_counter() - started
    if run.returncode:
        raise SystemExit(run.returncode)  # it has said why
    return int(run.stdout.split()[-1]) * 1024 / 1e9, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("--coils", 8), ("--size", 256), ("--slices", 32)):
        parser.add_argument(name, type=int, default=value)
    asked, others = parser.parse_known_args()
    print(describe(torch.device("cpu")), flush=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_kspace(folder / "kspace.npy", asked.coils, asked.size, asked.slices)
        stored = (folder / "kspace.npy").stat().st_size / 1e9
        peak, seconds = peak_and_seconds(folder, others)
    print(
        f"{asked.coils} coils, {asked.size} x {asked.size} x {asked.slices} ({stored:.2f} GB): "
        f"peak {peak:.2f} GB, {seconds:.0f} s"
    )


if __name__ == "__main__":
    main()
