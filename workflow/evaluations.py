"""Evaluate every shipped network on its test set, and ship the tables beside the weights.

    python workflow/evaluations.py

A table is filed under a hash of weights, which data, and the code of phantoms and metrics. Those
that are there and still right are not computed again; tables that no shipped network has any more
are taken away.
"""

import json
import multiprocessing
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from sftkd_core import experiments, metrics
from sftkd_core.book import Setting
from sftkd_core.book.plan import TEACHERS
from sftkd_core.book.setting import NOISE_FREE
from sftkd_core.experiments import Experiment, store

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "results" / store.EVALUATIONS


def setting_of(experiment: Experiment) -> Setting:
    """Whose test set a network is evaluated on."""
    names = {synthetic: name for name, synthetic in NOISE_FREE.items()}
    profile = "study" if experiment.data.name in names else "quick"
    data = names.get(experiment.data.name, experiment.data.name)
    seed = experiment.seed % TEACHERS if profile == "study" else experiment.seed
    return Setting(profile, data, experiment.sampling.acceleration, seed)


def shipped(records_alone: bool = True) -> list[tuple[Setting, Experiment]]:
    """The shipped networks that reconstruct, each with the setting of its test set.

    records_alone  with those whose record is shipped alone: they cannot be evaluated again
    """
    found = []
    for path in sorted((ROOT / "results").glob("*/result.json")):
        if not records_alone and not (path.parent / "weights.safetensors").exists():
            continue
        experiment = Experiment.from_record(
            json.loads(path.read_text())["provenance"]["experiment"]
        )
        if experiment.objective != "paraphrase":
            found.append((setting_of(experiment), experiment))
    return found


def again(setting: Setting, experiment: Experiment) -> pd.DataFrame:
    """The table of a network, computed from its weights whatever is known."""
    measured = setting.measured(experiment.sampling)
    images = experiments.reconstruct(experiments.find(experiment, "cpu").model, measured)
    return metrics.table(images, setting.test_set.images, setting.test_set.subjects)


def same(known: pd.DataFrame, computed: pd.DataFrame) -> bool:
    """Whether two tables of metrics agree, to what two processors may differ in."""
    columns = list(metrics.METRICS)
    return known["subject"].tolist() == computed["subject"].tolist() and np.allclose(
        known[columns], computed[columns], rtol=1e-4, atol=1e-3
    )


def evaluate(one: tuple[Setting, Experiment]) -> None:
    """Have the table of a network, and of its zero-filled images, in the store."""
    setting, experiment = one
    for name in ("zero-filled", experiment):
        setting.evaluate(name, experiment.sampling)


def needed() -> set[str]:
    """The files of all tables of shipped networks, and of their zero-filled images."""
    return {
        store.table_name(*setting.deciding(which, experiment.sampling))
        for setting, experiment in shipped()
        for which in ("zero-filled", experiment)
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        os.environ["SFTKD_HOME"] = home
        wanted = shipped(records_alone=False)
        with multiprocessing.Pool(os.cpu_count(), torch.set_num_threads, (1,)) as pool:
            for number, _ in enumerate(pool.imap_unordered(evaluate, wanted), 1):
                print(f"{number} of {len(wanted)}", end="\r", flush=True)
        computed = list((Path(home) / store.EVALUATIONS).glob("*.csv"))
        SHIPPED.mkdir(exist_ok=True)
        for path in computed:
            shutil.copy(path, SHIPPED)
    kept = needed()
    for path in SHIPPED.glob("*.csv"):
        if path.name not in kept:
            path.unlink()
    print(f"{len(list(SHIPPED.glob('*.csv')))} tables in {SHIPPED.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
