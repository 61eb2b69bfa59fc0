"""Time the making of phantoms: the first of a process, the next ones, and one from the cache.

python benchmarks/phantoms.py
"""

import os
import tempfile
import time

from sftkd_core.data import PHANTOMS, Dataset


def timed(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def main():
    with tempfile.TemporaryDirectory() as empty:
        os.environ["SFTKD_HOME"] = empty
        measure_phantoms()


def measure_phantoms():
    for kind, size, slices in (("brain", 240, 48), ("brain", 96, 8), ("cardiac", 150, 10)):
        first = timed(lambda k=kind, s=size, n=slices: PHANTOMS[k](0, s, n))
        later = min(timed(lambda k=kind, s=size, n=slices: PHANTOMS[k](1, s, n)) for _ in range(3))
        dataset = Dataset(kind, size, slices, 1, 0, 0)
        dataset.load("train")
        cached = timed(lambda d=dataset: d.load("train"))
        print(
            f"{kind:8} {size} x {size} x {slices}: first {first:.2f} s, then {later:.2f} s, "
            f"from the cache {cached:.3f} s"
        )


if __name__ == "__main__":
    main()
