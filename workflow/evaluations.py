"""Evaluate every shipped network on its test set, and ship the tables beside the weights.

    python workflow/evaluations.py

A table is filed under a hash of weights, images, k-space and the code of the metrics. Those that
are there and still right are not computed again; remove the folder first to drop all others.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path

from sftkd_core.book import Setting
from sftkd_core.experiments import Experiment, store

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "results" / store.EVALUATIONS


def shipped() -> list[tuple[Setting, Experiment]]:
    """The shipped networks that reconstruct, each with the setting of its test set."""
    found = []
    for path in sorted((ROOT / "results").glob("*/result.json")):
        experiment = Experiment.from_record(
            json.loads(path.read_text())["provenance"]["experiment"]
        )
        if experiment.objective != "paraphrase":
            about = (experiment.data.name, experiment.sampling.acceleration, experiment.seed)
            found.append((Setting("quick", *about), experiment))
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        os.environ["SFTKD_HOME"] = home
        wanted = shipped()
        for number, (setting, experiment) in enumerate(wanted, 1):
            for name in ("zero-filled", experiment):
                setting.evaluate(name, experiment.sampling)
            print(f"{number} of {len(wanted)}", end="\r", flush=True)
        computed = list((Path(home) / store.EVALUATIONS).glob("*.csv"))
        SHIPPED.mkdir(exist_ok=True)
        for path in computed:
            shutil.copy(path, SHIPPED)
    print(f"{len(list(SHIPPED.glob('*.csv')))} tables in {SHIPPED.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
