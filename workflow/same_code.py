"""Which networks of unclean commits were trained by the code of a clean one, by their seals.

    python workflow/same_code.py [NAME ...]

``commit`` in a record ends in "-dirty" where files of the clone held changes at the training. Its
``code``, as it was first shipped, is a hash of all source that decides the weights. Where a clean
checkout of the same commit gives this hash, the changes lay elsewhere, and the record is given
``same_code``: that commit. Needs the history of the repository; changes nothing else.
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from reseal import ROOT, seals, tree_at
from ship import compact

from sftkd_core import system

DIRTY = "-dirty"


def first_shipped(name: str) -> dict:
    """A result's record as it came into the history."""
    path = f"results/{name}/result.json"
    commit = json.loads((ROOT / path).read_text())["provenance"]["commit"]
    git = ["git", "-C", str(ROOT)]
    for found in _said([*git, "log", "--reverse", "--format=%H", "--", path]).split():
        record = json.loads(_said([*git, "show", f"{found}:{path}"]) or "null")
        if record and record["provenance"]["commit"] == commit:
            return record
    raise system.InputError(f"{path} is not in the history; a shallow clone has none")


def _said(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


def agree(names: list[str]) -> dict[str, bool]:
    """Whether each result's first seal is the one of a clean checkout of its commit."""
    by_commit: dict[str, dict[str, dict]] = defaultdict(dict)
    for name in names:
        record = first_shipped(name)
        by_commit[record["provenance"]["commit"].removesuffix(DIRTY)][name] = record
    same = {}
    for commit, records in by_commit.items():
        described = {n: r["provenance"]["experiment"] for n, r in records.items()}
        with tree_at(commit) as tree:
            found = seals(tree, described)
        same |= {name: found[name] == record["code"] for name, record in records.items()}
    return same


def note(path: Path) -> None:
    """Write ``same_code`` into a record."""
    record = json.loads(path.read_text())
    provenance = record["provenance"]
    provenance["same_code"] = provenance["commit"].removesuffix(DIRTY)
    system.write_bytes(path, compact(record))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="else all of unclean commits")
    paths = {p.parent.name: p for p in sorted((ROOT / "results").glob("*/result.json"))}
    names = parser.parse_args().names or [
        n for n, p in paths.items() if f'{DIRTY}"' in p.read_text()
    ]
    same = agree(names)
    for name, equal in same.items():
        print(f"{name}: {'the code of its commit' if equal else 'other code: train it again'}")
        if equal:
            note(paths[name])
    return 0 if all(same.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
