"""Find the networks that are trained already, in one process, and write a receipt for each.

    python workflow/look_up.py _build/quick/wanted.json _build/quick/found --profile quick

WANTED lists receipts and what they are of, as the Snakefile writes it. Of the networks that come
with the book some are tried: their weights have the checksum that their record holds, or they are
not found; and ``TRIED`` of them, others in each run, must give the table that is shipped with them.
"""

import argparse
import json
import random
import time
from pathlib import Path

import evaluations

from sftkd_core import experiments
from sftkd_core.book import Setting
from sftkd_core.cli.train import write_receipt
from sftkd_core.experiments import store

TRIED = 5


def look_up(wanted: dict[str, list], found: Path, profile: str, device: str) -> list:
    """Write a receipt below ``found`` for each that is there; returns (setting, experiment)."""
    there = []
    for receipt, (name, data, acceleration, seed) in wanted.items():
        setting = Setting(profile, data, acceleration, seed, device)
        experiment = setting.experiment(name)
        started = time.perf_counter()
        if experiments.exists(experiment):
            result = experiments.find(experiment, device)
            place = found / Path(receipt).parent.name / Path(receipt).name
            place.parent.mkdir(parents=True, exist_ok=True)
            write_receipt(place, name, result, True, time.perf_counter() - started)
            there.append((setting, experiment))
    return there


def try_some(there: list) -> list[str]:
    """Names of some shipped networks, whose tables of metrics have been computed again.

    Raises ``SystemExit`` where one gives other numbers than its shipped table.
    """
    shipped = [
        (setting, experiment)
        for setting, experiment in there
        if not store.is_there(experiment.name) and experiment.objective != "paraphrase"
    ]
    chosen = random.sample(shipped, min(TRIED, len(shipped)))
    for setting, experiment in chosen:
        known = setting.evaluate(experiment)
        if not evaluations.same(known, evaluations.again(setting, experiment)):
            raise SystemExit(
                f"error: {experiment.name} does not give the table of metrics that is shipped with "
                "it; take the results of this commit, or make RETRAIN=yes book"
            )
    return [experiment.name for _, experiment in chosen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wanted", type=Path)
    parser.add_argument("found", type=Path)
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    wanted = json.loads(options.wanted.read_text())
    options.found.mkdir(parents=True, exist_ok=True)
    there = look_up(wanted, options.found, options.profile, options.device)
    print(f"{len(there)} of {len(wanted)} networks are there")
    print(f"give the tables that are shipped with them: {', '.join(try_some(there)) or 'none'}")


if __name__ == "__main__":
    main()
