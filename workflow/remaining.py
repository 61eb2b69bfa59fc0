"""Say how many of a run's networks are trained and how long the others will take.

    python workflow/remaining.py _build/quick/wanted.json

The file lists the receipts of all networks that the run wants; those that exist say how long their
training took.
"""

import json
import statistics
import sys
from pathlib import Path


def remaining(wanted: list[Path]) -> str:
    """One line of progress. A network found trained counts with the time its training took."""
    done = [path for path in wanted if path.exists()]
    left = len(wanted) - len(done)
    line = f"{len(done)} of {len(wanted)} networks are there"
    if not left or not done:
        return line
    seconds = [json.loads(path.read_text())["provenance"]["seconds"] for path in done]
    minutes = left * statistics.mean(seconds) / 60
    return f"{line}; the other {left} take about {max(1, round(minutes))} min, one after another"


if __name__ == "__main__":
    print(remaining([Path(p) for p in json.loads(Path(sys.argv[1]).read_text())]), flush=True)
