"""Give shipped results the seal of today's code where yesterday's code called them fresh.

    python workflow/reseal.py --since COMMIT

For code that was rewritten and computes what it did. An entry whose seal is not that of COMMIT's
code is refused: it was stale already, and must be trained again. So is everything where the golden
trainings (``tests/test_golden.py``) have other weights than at COMMIT. Say in CHANGELOG.md why the
seals have changed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = "tests/golden.json"

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


def seals(tree: Path, described: dict[str, dict]) -> dict[str, str]:
    """The seal of each experiment under the code of a tree."""
    run = subprocess.run(
        [sys.executable, "-c", SEALS], input=json.dumps(described), capture_output=True, text=True,
        cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, check=True,
    )  # fmt: skip
    return json.loads(run.stdout)


def reseal(results: Path, before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Write the new seals; returns the entries that were refused and left as they are."""
    refused = []
    for name, code in now.items():
        path = results / name / "result.json"
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["code"] == code:
            continue
        if record["code"] != before[name]:
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
    since = parser.parse_args().since
    golden = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/test_golden.py"], cwd=ROOT
    ).returncode
    shown = subprocess.run(
        ["git", "show", f"{since}:{GOLDEN}"], cwd=ROOT, capture_output=True, text=True
    )
    if golden or (shown.returncode == 0 and shown.stdout != (ROOT / GOLDEN).read_text()):
        print(f"error: {GOLDEN} is not what it was at {since}: train again", file=sys.stderr)
        return 1
    entries = [path.parent for path in sorted((ROOT / "results").glob("*/result.json"))]
    records = {path.name: json.loads((path / "result.json").read_text()) for path in entries}
    described = {name: record["provenance"]["experiment"] for name, record in records.items()}
    worktree = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "before"
        subprocess.run([*worktree, "add", "--quiet", "--detach", tree, since], check=True)
        try:
            before = seals(tree, described)
        finally:
            subprocess.run([*worktree, "remove", "--force", tree], check=True)
    refused = reseal(ROOT / "results", before, seals(ROOT, described))
    for name in refused:
        print(f"refused: {name} was stale at {since} already", file=sys.stderr)
    print(f"{len(described) - len(refused)} of {len(described)} results have today's seal")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
