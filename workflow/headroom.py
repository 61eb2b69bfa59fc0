"""Teacher and student alone at several lengths: how far the teacher leads, and for which length.

    python workflow/headroom.py [--epochs 10 5 20] [--seeds 0 1 2 3 4] [--data brain cardiac]

Trains what is missing of profile "study" (resumable, in the order given), then prints the leads
with their intervals over seeds. The rule is in ``results/README.md``.
"""

import argparse
from dataclasses import replace

import pandas as pd

from sftkd_core import experiments
from sftkd_core.book import Setting
from sftkd_core.book.comparisons import paired
from sftkd_core.experiments import Experiment

PAIR = ("teacher", "student")


def of_length(setting: Setting, name: str, epochs: int) -> Experiment:
    """A network of the plan, trained for another number of epochs."""
    experiment = setting.experiment(name)
    return replace(experiment, schedule=replace(experiment.schedule, epochs=epochs))


def lead(settings: list[Setting], epochs: int):
    """Teacher minus student over the seeds whose networks are there; None where there are none."""
    tables = {name: [] for name in PAIR}
    for setting in settings:
        pair = {name: of_length(setting, name, epochs) for name in PAIR}
        if all(map(experiments.exists, pair.values())):
            for name, experiment in pair.items():
                tables[name].append(setting.evaluate(experiment).assign(seed=setting.seed))
    return paired(*(pd.concat(tables[n]) for n in PAIR)) if tables["teacher"] else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, nargs="+", default=[10, 5, 20])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--data", nargs="+", default=["brain", "cardiac"])
    options = parser.parse_args()
    for epochs in options.epochs:
        for data in options.data:
            settings = [Setting("study", data, 4, seed) for seed in options.seeds]
            for setting in settings:
                for name in PAIR:
                    experiments.run(of_length(setting, name, epochs))
                found = lead(settings, epochs)
                steps = 80 * epochs
                print(
                    f"{data}, {steps} steps: {found.mean:+.3f} dB ({found.low:+.3f} to "
                    f"{found.high:+.3f}), by seed {[round(v, 3) for v in found.by_seed]}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
