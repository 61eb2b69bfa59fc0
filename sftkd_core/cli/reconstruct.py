"""``reconstruct``: scans of any kind, a few slices at a time.

Fully sampled scans are measured anew: magnitude image, scaled by its maximum, Fourier transform,
mask. The scan itself is then the target. (A phase of full k-space is left out: the networks learnt
on magnitudes, and see real images only.)

k-space with missing lines is taken as it was measured. Its zero-filled magnitude, scaled by its
maximum, goes into the network, and data consistency adds its real part, as the published code does.
That is exact for a real image. A peak beside the zero frequency is a phase along the missing lines,
and goes by shifting k-space and mask together; a constant or column-wise phase commutes with
missing rows; so both are removed first, exactly. What then remains imaginary only a complex network
sees: where that is more than ``PHASE`` of the central energy, the complex ``phase-student`` takes
the place of the student.

k-space of several coils, whole or with missing lines, is combined by the coils' sensitivities to a
complex image for ``phase-student``, and the samples of every coil are put back after each of its
stages. That network learnt on one coil: the result is compared with what the coils give without it.

A network that learnt on another pattern than is measured has nothing to do here, and is refused.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sftkd_core import system
from sftkd_core.book.setting import Setting
from sftkd_core.cli import setting_of
from sftkd_core.cli.lines import check_acceleration, check_pattern, mask_of
from sftkd_core.cli.models import Trained, check_model, find_or_train
from sftkd_core.cli.panel import Panel
from sftkd_core.cli.report import Report
from sftkd_core.cli.several import each_of, is_several
from sftkd_core.cli.slices import imaginary_share, run
from sftkd_core.data.formats import Reading, Scan, check_input, check_output, open_scan
from sftkd_core.system import InputError

PHASE = 0.02  # of the central energy: beyond, the student errs more than the complex network does


@dataclass(frozen=True)
class Done:
    """A scan that was reconstructed."""

    report: Report
    model: str


def reconstruct(options: argparse.Namespace) -> int:
    """Reconstruct scans: undersampled as measured, or fully sampled and undersampled here."""
    setting = setting_of(options)
    model = "student" if options.model is None else options.model
    inputs, output = [Path(name) for name in options.input], Path(options.output)
    if not is_several(inputs, output):
        check_input(inputs[0])
        check_output(output, inputs[0])
        check_pattern(model, check_model(setting, model), options.mask)
        _one(inputs[0], output, setting, options)
        return 0
    check_pattern(model, check_model(setting, model), options.mask)
    return each_of(
        inputs, output, options, lambda *pair: _row(_one(pair[0], pair[1], setting, options))
    )


def reading_of(options: argparse.Namespace) -> Reading:
    """What the options say of how a file is to be read."""
    names = ("dataset", "order", "plane", "volume", "nan_as_zero")
    return Reading(**{name: getattr(options, name) for name in names if hasattr(options, name)})


def _row(done: Done) -> dict:
    """A scan's row in the table of several."""
    row = {"slices": done.report.slices, "network": done.model}
    for name, (psnr, ssim) in done.report.means().items():
        column = "network" if name == done.model else name
        row |= {f"{column} PSNR": psnr, f"{column} SSIM": ssim}
    return row


def _one(source: Path, output: Path, setting: Setting, options: argparse.Namespace) -> Done:
    """Reconstruct one scan and write it."""
    panel_path = system.check_output(options.panel, (".png",), "panel") if options.panel else None
    scan = open_scan(source, reading_of(options))
    _check_maps(scan, options.maps)
    mask, note = mask_of(scan, setting, options.mask, options.order)
    check_acceleration(scan, mask, options)
    print(f"{source}: {scan.note}{note}; {scan.height} x {scan.width} pixels", flush=True)
    trained = find_or_train(setting, _model(scan, mask, options.model))
    _warn_of_acceleration(trained, mask)
    panel = Panel(scan.count, scan.aspect, scan.plane) if panel_path else None
    report = run(scan, mask, trained, panel, options.maps or "centre")
    payloads = {output: scan.payload(output)}
    if panel_path and panel:
        payloads[panel_path] = panel.png(trained.name)
    for path, payload in payloads.items():
        system.write_bytes(path, payload)
    report.show(scan, mask, trained)
    print("written: " + ", ".join(str(path) for path in payloads))
    return Done(report, trained.name)


def _model(scan: Scan, mask: np.ndarray, asked: str | None) -> str:
    """The name of the network: the one asked for, or what the scan calls for."""
    if asked is not None:
        return asked
    if scan.coils:
        print("coils: their combined image is complex, so the network phase-student is taken")
        return "phase-student"
    if (share := imaginary_share(scan, mask)) > PHASE:
        print(
            f"phase: {share:.1%} of the central energy stays imaginary, so the complex network "
            "phase-student is taken; --model student would see the real part only"
        )
        return "phase-student"
    return "student"


def _check_maps(scan: Scan, maps: str | None) -> None:
    if maps is not None and not scan.coils:
        raise InputError(f"{scan.path} is not of several coils; leave --maps {maps} out")


def _warn_of_acceleration(trained: Trained, mask: np.ndarray) -> None:
    actual = mask.size / mask.sum()
    if mask.ndim == 2 and trained.sampling.pattern == "lines":
        print(f"note: {trained.name} learnt on lines; this mask is of points")
    elif mask.ndim == 1 and trained.acceleration and abs(actual / trained.acceleration - 1) > 0.15:
        print(f"note: {trained.name} learnt at {trained.acceleration}x; this scan is {actual:.1f}x")
