"""A matrix on the two nodes that ``run.sh`` has started; one node is killed in the middle."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import small_matrix  # noqa: E402


def command(place: Path, matrix: Path) -> list[str]:
    profile = ROOT / "workflow/profiles/slurm"
    return [
        *(sys.executable, "-m", "snakemake", "-s", str(ROOT / "workflow/rerun.smk")),
        *("--profile", str(profile), "--jobs", "8", "--latency-wait", "20", "--nolock"),
        *("--default-resources", "slurm_partition=both", "mem_mb=2000", "runtime=20"),
        *("--slurm-status-command", "squeue", "--slurm-no-account"),
        *("--slurm-init-seconds-before-status-checks", "2"),  # 40 would be most of the test
        *("--config", "profile=smoke", "device=cpu", f"output={place / 'out'}", f"matrix={matrix}"),
    ]


def main() -> None:
    place, node = Path(sys.argv[1]), int(sys.argv[2])
    os.environ |= {"SFTKD_HOME": str(place / "home"), "SFTKD_SHIPPED": "no"}
    os.environ["PYTHONPATH"] = str(ROOT)
    started, out, store = time.monotonic(), place / "out", place / "home/store"
    words, said = command(place, small_matrix.write(place)), place / "snakemake.log"
    with said.open("w") as log:
        run = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)
    try:
        lost = wait_for_the_middle(run)
        trained = small_matrix.times(store, "result.json")
        for pid in descendants(node):
            os.kill(pid, signal.SIGKILL)
        print(f"{len(trained)} networks trained; node n2 killed with jobs {lost}", flush=True)
        assert run.wait() == 0, "the matrix did not complete"
    finally:
        run.kill()
    jobs = asked("squeue", "-h", "-t", "all", "-o", "%T").split()
    assert "NODE_FAIL" in jobs, jobs
    assert jobs.count("COMPLETED") == 8, f"each run once, but for those that were lost: {jobs}"
    networks = small_matrix.times(store, "result.json")
    assert len(networks) == 8, sorted(networks)
    assert trained.items() <= networks.items(), "a network was trained twice"
    table = pd.read_csv(out / "numbers.csv")
    assert len(table.query("name == 'student' and metric == 'psnr'")) == 8
    assert "8 of 8 are done" in (out / "index.html").read_text()
    assert "Nothing to be done" in asked(*words, "--dry-run")
    minutes = (time.monotonic() - started) / 60
    print(f"complete in {minutes:.1f} min: 8 runs, 8 networks, {len(jobs)} jobs, nothing twice")


def wait_for_the_middle(run: subprocess.Popen) -> list[str]:
    """Until a job is done and others run on the second node; their numbers."""
    running: list[str] = []
    while not running or "COMPLETED" not in asked("squeue", "-h", "-t", "all", "-o", "%T"):
        assert run.poll() is None, "it ended before a node could be killed"
        time.sleep(0.5)
        running = asked("squeue", "-h", "-w", "n2", "-t", "running", "-o", "%A").split()
    return running


def asked(*command: str) -> str:
    """What a command says."""
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout
    return run.stdout


def descendants(pid: int) -> list[int]:
    """A process and all below it, and job steps, which have sessions of their own."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True)
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    children: dict[int, list[int]] = {}
    for own, parent, _ in rows:
        children.setdefault(int(parent), []).append(int(own))
    found, waiting = [], [pid]
    steps = [int(own) for own, _, words in rows if "slurmstepd" in words and on_node(int(own))]
    waiting += steps
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting += children.get(one, [])
    return found


def on_node(pid: int) -> bool:
    """Whether a job step belongs to the second node, by the spool folder that it works in."""
    try:
        files = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
        return any(name.endswith("slurmd-n2.log") for name in files)
    except OSError:
        return False


if __name__ == "__main__":
    main()
