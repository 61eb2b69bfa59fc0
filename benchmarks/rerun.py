"""What a matrix of runs costs beside its runs, in processor time; a few minutes on two cores.

    python benchmarks/rerun.py [--profile smoke] [--limit 1.3]

Eight runs (2 chapters x 2 accelerations x 2 seeds, of small chapters that share a network) are done
one by one by ``workflow/run_chapter.py``, and then as a matrix by ``workflow/rerun.smk``; each way
starts without a trained network and trains each one once. Printed are the user and system seconds
of both, with all their processes. Ends with status 1 where the matrix costs more than the limit.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "workflow")]

import matrix  # noqa: E402
import small_matrix  # noqa: E402


def spent(commands: list[list], home: Path) -> float:
    """Processor seconds, user and system, of commands one after the other, with what they start."""
    given = {"SFTKD_HOME": str(home), "SFTKD_SHIPPED": "no", "PYTHONPATH": str(ROOT)}
    environment = os.environ | given | {"OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for command in commands:
        run = subprocess.run(
            list(map(str, command)), env=environment, capture_output=True, text=True
        )
        if run.returncode:
            raise SystemExit(f"{command[1:4]} failed:\n{(run.stdout + run.stderr)[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def by_hand(runs: list[matrix.Run], place: Path) -> list[list]:
    """A command for each run."""
    program = [sys.executable, ROOT / "workflow/run_chapter.py"]
    return [
        [*program, f"{run.chapter}.ipynb", place / f"{number}.ipynb",
         *(word for name, value in run.given for word in ("-p", name, value))]
        for number, run in enumerate(runs)
    ]  # fmt: skip


def as_matrix(path: Path, place: Path, profile: str) -> list[list]:
    """The one command that ``make rerun`` calls."""
    how = ["--cores", "2", "--rerun-triggers", "mtime", "params", "input", "--nolock", "--quiet"]
    config = [f"profile={profile}", "device=cpu", f"matrix={path}", f"output={place}"]
    snakemake = [sys.executable, "-m", "snakemake", "-s", ROOT / "workflow/rerun.smk"]
    return [[*snakemake, *how, "all", "--config", *config]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="smoke")
    parser.add_argument("--limit", type=float, default=1.3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        path = small_matrix.write(place)
        runs = matrix.read(path, options.profile, "cpu")
        alone = spent(by_hand(runs, place / "alone"), place / "first")
        print(f"{len(runs)} runs one by one: {alone:.0f} s of processor time", flush=True)
        together = spent(as_matrix(path, place / "out", options.profile), place / "second")
    ratio = together / alone
    print(f"as a matrix: {together:.0f} s, {ratio:.2f} times as much (limit {options.limit:g})")
    return int(ratio > options.limit)


if __name__ == "__main__":
    sys.exit(main())
