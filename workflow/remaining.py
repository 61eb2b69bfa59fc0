"""Say how many of a run's networks are trained and how long the others will take.

    python workflow/remaining.py _build/quick/wanted.json 2

The file lists the receipts of all networks that the run wants; those that exist say how long it
took to train them here, or to find them trained. The number is how many are trained at once.
"""

import json
import statistics
import sys
from pathlib import Path


def remaining(wanted: list[Path], at_once: int = 1) -> str:
    """One line of progress. A network found trained counts with the time it took to find it."""
    done = [path for path in wanted if path.exists()]
    left = len(wanted) - len(done)
    line = f"{len(done)} of {len(wanted)} networks are there"
    if not left or not done:
        return line
    seconds = [_seconds(path) for path in done]
    minutes = left * statistics.mean(seconds) / 60 / min(at_once, left)
    return f"{line}; the other {left} take about {max(1, round(minutes))} min, {at_once} at once"


def _seconds(receipt: Path) -> float:
    """What a training took; nothing where its receipt is being written, or is no receipt."""
    try:
        return float(json.loads(receipt.read_text()).get("seconds", 0))
    except (OSError, ValueError, AttributeError, TypeError):
        return 0.0


if __name__ == "__main__":
    listed, at_once = sys.argv[1:]
    print(
        remaining([Path(p) for p in json.loads(Path(listed).read_text())], int(at_once)), flush=True
    )
