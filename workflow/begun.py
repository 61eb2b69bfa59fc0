"""Keep trainings that are begun beside the results, or go on from there on another machine.

    python workflow/begun.py keep|take HOME [STAGE]

``keep`` copies what the trainings of a stage have left in the store of HOME, an SFTKD_HOME, into
``results/begun``: the checkpoint of the last epoch, the seal of its code, and the log of all
epochs. ``take`` copies it back where HOME has none or an earlier one; ``workflow/study.py`` goes on
from there. ``keep`` takes away what HOME has finished: ``workflow/ship.py`` ships that.
"""

import argparse
import shutil
from pathlib import Path

import study

from sftkd_core import system
from sftkd_core.experiments.running import with_earlier
from sftkd_core.experiments.store import BEGUN, LOG

ROOT = Path(__file__).resolve().parents[1]
FILES = ("checkpoint.safetensors", "code.txt", LOG)  # the log last: it says how far


def epochs(place: Path) -> int:
    """How many epochs the log in a folder has; -1 without a checkpoint."""
    if not (place / FILES[0]).exists() or not (place / LOG).exists():
        return -1
    return len((place / LOG).read_text().splitlines())


def copy(source: Path, target: Path) -> int:
    """The files of a begun training, if the source is further; returns its epochs, 0 if not."""
    found = epochs(source)
    if found <= epochs(target):
        return 0
    for name in FILES:
        system.write_bytes(target / name, (source / name).read_bytes())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", choices=("keep", "take"))
    parser.add_argument("home", type=Path)
    parser.add_argument("stage", nargs="?", default="paper's size")
    options = parser.parse_args()
    for experiment in with_earlier(study.wanted(options.stage)):
        here = ROOT / "results" / BEGUN / experiment.name
        there = options.home / "store" / experiment.name
        if (there / "result.json").exists():
            if options.way == "keep":
                shutil.rmtree(here, ignore_errors=True)
            continue
        number = copy(there, here) if options.way == "keep" else copy(here, there)
        if number:
            print(f"{experiment.name}: {number} of {experiment.schedule.epochs} epochs")


if __name__ == "__main__":
    main()
