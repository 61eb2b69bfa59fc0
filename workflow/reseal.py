"""Give shipped results the seal of today's code where yesterday's code called them fresh.

    python workflow/reseal.py --since COMMIT [--but METHOD[:VARIANT] ...]

For code that was rewritten and computes what it did. An entry whose seal is not that of COMMIT's
code is refused: it was stale already, and must be trained again. So is everything where the golden
trainings (``tests/test_golden.py``) have other weights than at COMMIT, and what ``--but`` names: KD
methods that do compute something else now, with all that builds on them. Say in CHANGELOG.md why
the seals have changed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = "tests/golden.json"
MOVED = {"ft": ("distil, by factors", "paraphrase")}  # golden trainings of a method

# runs on the code of any commit: only the oldest public names
SEALS = """
import json, sys
from sftkd_core.data import Dataset
from sftkd_core.experiments import Experiment, Sampling, Schedule

def rebuilt(described):
    fields = {**described, "sft_weights": tuple(described["sft_weights"])}
    fields |= {"data": Dataset(**fields["data"]), "sampling": Sampling(**fields["sampling"])}
    fields["schedule"] = Schedule(**fields["schedule"])
    for name in ("teacher", "initial"):
        fields[name] = rebuilt(fields[name]) if fields[name] else None
    return Experiment(**fields)

described = json.load(sys.stdin)
json.dump({name: rebuilt(one).code for name, one in described.items()}, sys.stdout)
"""


def told(tree: Path, script: str, asked) -> dict[str, str]:
    """What a script says under the code of a tree; JSON goes in, JSON comes out."""
    run = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(asked), capture_output=True, text=True,
        cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, check=True,
    )  # fmt: skip
    return json.loads(run.stdout)


@contextmanager
def tree_at(commit: str) -> Iterator[Path]:
    """The files of a commit, in a folder that is gone afterwards."""
    worktree = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "before"
        subprocess.run([*worktree, "add", "--quiet", "--detach", tree, commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*worktree, "remove", "--force", tree], check=True)


def seals(tree: Path, described: dict[str, dict]) -> dict[str, str]:
    """The seal of each experiment under the code of a tree."""
    return told(tree, SEALS, described)


def concerned(described: dict | None, methods: list[str]) -> bool:
    """Whether an experiment, or one that it builds on, is of one of the methods."""
    if not described:
        return False
    names = {described["method"], f"{described['method']}:{described['variant']}"}
    earlier = (described[role] for role in ("teacher", "initial"))
    return bool(names & set(methods)) or any(concerned(e, methods) for e in earlier)


def golden_moved(since: str, methods: list[str]) -> bool:
    """Whether a golden training, other than those of the methods, differs from what it was."""
    shown = subprocess.run(
        ["git", "show", f"{since}:{GOLDEN}"], cwd=ROOT, capture_output=True, text=True
    )
    if shown.returncode:
        return False
    then, now = json.loads(shown.stdout), json.loads((ROOT / GOLDEN).read_text())
    free = {case for method in methods for case in MOVED.get(method, ())}
    return any(value != now.get(case) for case, value in then.items() if case not in free)


def records_of(tree: Path) -> dict[str, dict]:
    """The experiments of a tree's shipped results, as their records describe them."""
    paths = sorted((tree / "results").glob("*/result.json"))
    return {p.parent.name: json.loads(p.read_text())["provenance"]["experiment"] for p in paths}


def reseal(results: Path, before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Write the new seals; returns the entries that were refused and left as they are."""
    refused = []
    for name, code in now.items():
        path = results / name / "result.json"
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["code"] == code:
            continue
        if record["code"] != before.get(name):
            refused.append(name)
            continue
        part = path.with_suffix(".part")
        part.write_text(json.dumps({**record, "code": code}, indent=1), encoding="utf-8")
        os.replace(part, path)
    return refused


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--since", metavar="COMMIT", required=True, help="the last one with its own seals"
    )
    parser.add_argument(
        "--but", metavar="METHOD", nargs="*", default=[], help="KD methods that did change"
    )
    options = parser.parse_args()
    since = options.since
    golden = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/test_golden.py"], cwd=ROOT
    ).returncode
    if golden or golden_moved(since, options.but):
        print(f"error: {GOLDEN} is not what it was at {since}: train again", file=sys.stderr)
        return 1
    every = records_of(ROOT)
    described = {n: e for n, e in every.items() if not concerned(e, options.but)}
    with tree_at(since) as tree:
        before = seals(tree, described | records_of(tree))
    refused = reseal(ROOT / "results", before, seals(ROOT, described))
    for name in refused:
        print(f"refused: {name} was stale at {since} already", file=sys.stderr)
    for name in set(every) - set(described):
        print(f"left as it was: {name}")
    print(f"{len(described) - len(refused)} of {len(every)} results have today's seal")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
