"""``train``: an experiment of the plan, or find it finished."""

import argparse
import json
import time
from pathlib import Path

from sftkd_core import experiments, system
from sftkd_core.cli import setting_of


def train(options: argparse.Namespace) -> None:
    """Train an experiment of the plan (and those it builds on), or find it finished."""
    setting = setting_of(options)
    if setting.is_volume:
        print(f"{setting.data} is one volume, to test on; training is on {setting.dataset.name}")
    started = time.perf_counter()
    found = experiments.exists(setting.experiment(options.name))
    result = setting.run(options.name)
    seconds = time.perf_counter() - started
    print(
        f"{options.name}: {result.experiment.name}, {len(result.history)} epochs, validation "
        f"{best_psnr(result):.2f} dB; trained in {result.seconds:.0f} s, here in {seconds:.0f} s"
    )
    if options.receipt:
        write_receipt(options.receipt, options.name, result, found, seconds)


def write_receipt(
    path: str | Path, name: str, result: experiments.Result, found: bool, seconds: float
) -> None:
    """What was done for a name of the plan: trained here, or found, in so many seconds."""
    receipt = {
        "name": name,
        "entry": result.experiment.name,
        "best_validation_psnr": best_psnr(result),
        "found": found,
        "seconds": round(seconds, 1),
        "provenance": result.provenance,
    }
    system.write_bytes(path, json.dumps(receipt, indent=1).encode())


def best_psnr(result: experiments.Result) -> float:
    """Validation PSNR of the best epoch, dB."""
    history = result.history
    return float(history["validation_psnr"][history["validation_loss"].idxmin()])
