"""``train``: an experiment of the plan, or find it finished."""

import argparse
import json
import time

from sftkd_core import experiments, system
from sftkd_core.cli import setting_of


def train(options: argparse.Namespace) -> None:
    """Train an experiment of the plan (and those it builds on), or find it finished."""
    setting = setting_of(options)
    started = time.perf_counter()
    found = experiments.exists(setting.experiment(options.name))
    result = setting.run(options.name)
    seconds = time.perf_counter() - started
    best = result.history["validation_psnr"][result.history["validation_loss"].idxmin()]
    print(
        f"{options.name}: {result.experiment.name}, {len(result.history)} epochs, validation "
        f"{best:.2f} dB; trained in {result.seconds:.0f} s, here in {seconds:.0f} s"
    )
    if options.receipt:
        receipt = {
            "name": options.name,
            "entry": result.experiment.name,
            "best_validation_psnr": float(best),
            "found": found,
            "seconds": round(seconds, 1),
            "provenance": result.provenance,
        }
        system.write_bytes(options.receipt, json.dumps(receipt, indent=1).encode())
