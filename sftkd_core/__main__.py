"""The command line: ``python -m sftkd_core train | evaluate | reconstruct``."""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from sftkd_core import __version__, experiments, metrics, storage
from sftkd_core.consistency import measure
from sftkd_core.data import nifti
from sftkd_core.errors import InputError
from sftkd_core.settings import ALIASES, PLAN, PROFILES, Setting


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 on success, 2 with one line on standard error for a wrong input."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except (InputError, storage.StorageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last finished epoch", file=sys.stderr)
        return 130
    return 0


def train(options: argparse.Namespace) -> None:
    """Train an experiment of the plan (and those it builds on), or find it finished."""
    setting = _setting(options)
    started = time.perf_counter()
    result = setting.run(options.name)
    best = result.history["validation_psnr"][result.history["validation_loss"].idxmin()]
    print(
        f"{options.name}: {result.experiment.name}, {len(result.history)} epochs, validation "
        f"{best:.2f} dB; trained in {result.seconds:.0f} s, here in "
        f"{time.perf_counter() - started:.0f} s"
    )
    if options.receipt:
        receipt = {
            "name": options.name,
            "entry": result.experiment.name,
            "best_validation_psnr": float(best),
            "provenance": result.provenance,
        }
        storage.write_bytes(options.receipt, json.dumps(receipt, indent=1).encode())


def evaluate(options: argparse.Namespace) -> None:
    """Print the metrics of experiments on the test set; write them slice by slice as CSV."""
    setting = _setting(options)
    names = options.names or ["student"]
    for name in names:
        if name != "zero-filled":
            setting.experiment(name)  # a wrong name is noticed before anything is trained
    print(setting.describe())
    tables = {name: setting.evaluate(name) for name in dict.fromkeys(["zero-filled", *names])}
    columns = list(metrics.METRICS)
    print(f"{'':16}" + "".join(f"{column:>10}" for column in columns))
    for name, table in tables.items():
        means = table[columns].mean()
        print(f"{name:16}" + "".join(f"{means[column]:10.4g}" for column in columns))
    if options.csv:
        rows = [table.assign(method=name) for name, table in tables.items()]
        text = "".join(r.to_csv(index=False, header=not i) for i, r in enumerate(rows))
        storage.write_bytes(options.csv, text.encode())
        print(f"slice by slice: {options.csv}")


def reconstruct(options: argparse.Namespace) -> None:
    """Undersample a NIfTI volume slice by slice and reconstruct it."""
    nifti.check_output(options.output)
    if Path(options.output).resolve() == Path(options.input).resolve():
        raise InputError(f"output {options.output} is the input; choose another name")
    stack = nifti.load_nifti(options.input)
    setting = _setting(options)
    experiment = setting.experiment(options.model)
    mask = setting.sampling.mask(stack.images.shape[-2])
    if experiments.find(experiment, options.device) is None:
        print(
            f"no trained {options.model} of profile {options.profile} at acceleration "
            f"{setting.acceleration} yet: training it first, on synthetic brains",
            flush=True,
        )
    model = experiments.run(experiment, options.device).model
    measurement = measure(stack.images, mask)
    images = experiments.reconstruct(model, measurement).clamp(min=0)
    nifti.write_nifti(stack.restore(images), options.output)
    count, height, width = (stack.images.shape[i] for i in (0, 2, 3))
    print(f"{options.input}: {count} axial slices of {height} x {width}, {mask.sum()} lines each")
    rows = {"zero-filled": measurement.zero_filled, options.model: images}
    for name, reconstructed in rows.items():
        psnr = metrics.psnr(reconstructed, stack.images, reduction="slice").numpy()
        psnr = psnr[np.isfinite(psnr)]
        ssim = metrics.ssim(reconstructed, stack.images)
        print(f"{name:12} PSNR {psnr.mean():6.2f} dB (of slices, mean)   SSIM {ssim:.4f}")
    print(f"written: {options.output}")


def _setting(options: argparse.Namespace) -> Setting:
    fields = ("profile", "acceleration", "seed", "device")
    chosen = {name: getattr(options, name) for name in fields}
    return Setting(**chosen, data=getattr(options, "data", "brain"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sftkd_core",
        description="Student-friendly knowledge distillation for MRI reconstruction.",
    )
    parser.add_argument("--version", action="version", version=f"sftkd_core {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    plan = "\n".join(f"  {name:15} {what}" for name, what in PLAN.items())

    def command(function, **extra):
        text = function.__doc__
        added = commands.add_parser(
            function.__name__,
            help=text,
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=f"experiments:\n{plan}",
        )
        default = Setting()
        added.set_defaults(command=function)
        added.add_argument("--profile", choices=list(PROFILES), default=default.profile)
        added.add_argument(
            "--acceleration", type=float, default=default.acceleration, metavar="R",
            help="lines of k-space over measured lines (default: %(default)s)",
        )  # fmt: skip
        added.add_argument("--seed", type=int, default=default.seed)
        added.add_argument("--device", default=default.device, help="auto, cpu, cuda, ...")
        if extra.get("data", True):
            added.add_argument(
                "--data", default=default.data,
                help="brain, cardiac, or the path of a NIfTI volume or folder",
            )  # fmt: skip
        return added

    trained = command(train)
    trained.add_argument("name", help="experiment of the plan")
    trained.add_argument("--receipt", metavar="JSON", help="write what was done to this file")
    evaluated = command(evaluate)
    evaluated.add_argument("names", nargs="*", help="experiments of the plan (default: student)")
    evaluated.add_argument("--csv", help="write every slice's metrics to this file")
    rebuilt = command(reconstruct, data=False)
    rebuilt.add_argument("input", help="NIfTI volume, fully sampled (.nii, .nii.gz)")
    rebuilt.add_argument("output", help="where the reconstruction goes (.nii, .nii.gz)")
    rebuilt.add_argument(
        "--model", default="student", help=f"experiment of the plan, or {', '.join(ALIASES)}"
    )
    return parser


__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
