"""``reconstruct``: a scan of any kind, a few slices at a time.

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

A network that learnt on another pattern than lines has nothing to do here, and is refused.
"""

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from sftkd_core import experiments, masks, metrics, system
from sftkd_core.book.setting import Setting
from sftkd_core.cli import setting_of
from sftkd_core.cli.models import Trained, check_model, find_or_train
from sftkd_core.cli.panel import Panel
from sftkd_core.consistency import Measurement, from_kspace, measure
from sftkd_core.data.formats import BATCH, Scan, check_input, check_output, open_scan
from sftkd_core.data.formats.kspace import remove_phase, unshifted
from sftkd_core.experiments.experiment import Sampling
from sftkd_core.models.cascade import ComplexCascade
from sftkd_core.system import InputError, Line, counted, describe

PHASE = 0.02  # of the central energy: beyond, the student errs more than the complex network does


def reconstruct(options: argparse.Namespace) -> None:
    """Reconstruct a scan: undersampled as measured, or fully sampled and undersampled here."""
    source, output = Path(options.input), Path(options.output)
    check_input(source)
    check_output(output, source)
    panel_path = system.check_output(options.panel, (".png",), "panel") if options.panel else None
    setting = setting_of(options)
    model = "student" if options.model is None else options.model
    _check_pattern(model, check_model(setting, model))
    scan = open_scan(source, options.dataset, options.order, options.plane)
    mask, note = _mask(scan, setting, options.mask, options.order)
    _check_acceleration(scan, mask, options)
    print(f"{source}: {scan.note}{note}; {scan.height} x {scan.width} pixels", flush=True)
    if options.model is None and (share := _imaginary_share(scan, mask)) > PHASE:
        model = "phase-student"
        print(
            f"phase: {share:.1%} of the central energy stays imaginary, so the complex network "
            f"{model} is taken; --model student would see the real part only"
        )
    trained = find_or_train(setting, model)
    _warn_of_acceleration(trained, mask)
    panel = Panel(scan.count, scan.aspect, scan.plane) if panel_path else None
    report = _run(scan, mask, trained, panel)
    payloads = {output: scan.payload(output)}
    if panel_path and panel:
        payloads[panel_path] = panel.png(trained.name)
    for path, payload in payloads.items():
        system.write_bytes(path, payload)
    report.show(scan, mask, trained)
    print("written: " + ", ".join(str(path) for path in payloads))


@dataclass
class Report:
    """What is known after the last slice: qualities of each slice, time, phase."""

    rows: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    slices: int = 0
    seconds: float = 0.0  # for everything
    network: float = 0.0  # of these, for the network
    imaginary: float = 0.0  # energy that stays imaginary, of k-space's symmetric centre
    energy: float = 0.0

    def add(self, name: str, image: np.ndarray, target: np.ndarray) -> None:
        """Compare slices (b, h, w) with their targets, each over its target's maximum."""
        peak = target.max((1, 2), keepdims=True)
        there = peak[:, 0, 0] > 0
        ours, true = (torch.from_numpy(x[there] / peak[there])[:, None] for x in (image, target))
        if not there.any():
            return
        row = self.rows.setdefault(name, {"psnr": [], "ssim": []})
        row["psnr"] += metrics.psnr(ours, true, reduction="slice").tolist()
        row["ssim"] += metrics.ssim(ours, true, reduction="slice").tolist()

    def show(self, scan: Scan, mask: np.ndarray, trained: Trained) -> None:
        """Print it."""
        lines = f"{mask.sum()} of {len(mask)} lines each"
        how, over = f"measured again with {lines}", "its maximum"
        if scan.measured is not None:
            how, over = f"as measured {lines}", "its zero-filled maximum"
        print(f"{counted(self.slices, 'slice')}, {how}; each over {over}")
        if scan.has_phase and scan.measured is None:
            print("phase: left out; the magnitude is what is measured again and reconstructed")
        elif self.energy:
            both = isinstance(trained.model, ComplexCascade)
            print(
                f"phase: {self.imaginary / self.energy:.1%} of the central energy stays imaginary "
                "after each column's phase is removed; the network sees "
                + ("both parts" if both else "the real part only")
            )
        means = {}
        for name, row in self.rows.items():
            psnr = np.array(row["psnr"])
            psnr = psnr[np.isfinite(psnr)]  # equal images have none
            means[name] = psnr.mean() if psnr.size else np.inf
            ssim = np.mean(row["ssim"])
            print(f"{name:12} PSNR {means[name]:6.2f} dB (of slices, mean)   SSIM {ssim:.4f}")
        if not self.rows:
            print("no target: nothing to compare with")
        elif means[trained.name] < means["zero-filled"]:
            print(
                f"warning: {trained.name} is worse than what it was given, the zero-filled images; "
                "what it learnt does not fit this scan, so use these, or try another --model"
            )
        device = describe(next(trained.model.parameters()).device)
        print(
            f"time: {self.seconds:.1f} s; of these the network {self.network:.1f} s, "
            f"{1000 * self.network / self.slices:.0f} ms a slice ({device})"
        )


def _run(scan: Scan, mask: np.ndarray, trained: Trained, panel: Panel | None) -> Report:
    """Reconstruct all slices that are not empty."""
    report, line = Report(), Line("reconstructing")
    started = time.perf_counter()
    for first, last in scan.batches():
        line.show(f"slice {first + 1} of {scan.count}")
        target = scan.target(first, last)
        measurement, scales, kept = _measured(scan, mask, first, last, report)
        if measurement is None:
            continue
        began = time.perf_counter()
        image = experiments.reconstruct(trained.model, measurement).clamp(min=0)
        report.network += time.perf_counter() - began
        image = image[:, 0].numpy() * scales
        zero_filled = measurement.zero_filled[:, 0].numpy() * scales
        if target is not None:
            report.add("zero-filled", zero_filled, target[kept])
            report.add(trained.name, image, target[kept])
        if panel:
            panel.add(first + kept, target if target is None else target[kept], zero_filled, image)
        scan.put(first + kept, image)
        report.slices += len(kept)
    report.seconds = time.perf_counter() - started
    line.close(f"{counted(report.slices, 'slice')} in {report.seconds:.1f} s")
    return report


def _measured(
    scan: Scan, mask: np.ndarray, first: int, last: int, report: Report
) -> tuple[Measurement | None, np.ndarray, np.ndarray]:
    """Slices as a measurement, each scaled; their scales (b, 1, 1); which are not empty."""
    if scan.measured is None:
        images = scan.images(first, last)
    else:
        kspace, imaginary, energy = _without_phase(scan, mask, first, last)
        report.imaginary += imaginary
        report.energy += energy
        images = np.abs(np.fft.ifft2(kspace, norm="ortho"))
    scales = images.max((1, 2), keepdims=True)
    kept = np.flatnonzero(scales > 0)
    scales = scales[kept].astype(np.float32)
    if not len(kept):
        return None, scales, kept
    if scan.measured is None:
        return measure(torch.from_numpy(images[kept] / scales)[:, None], mask), scales, kept
    scaled = (kspace[kept] / scales).astype(np.complex64)
    return from_kspace(torch.from_numpy(scaled)[:, None], mask), scales, kept


def _without_phase(
    scan: Scan, mask: np.ndarray, first: int, last: int
) -> tuple[np.ndarray, float, float]:
    """Measured k-space with its peak at the zero frequency, and what ``remove_phase`` makes of it.

    A shift by whole lines is a phase of the image that is periodic along the missing lines: exact.
    """
    return remove_phase(np.roll(scan.kspace(first, last), -scan.peak, 1), mask)


def _imaginary_share(scan: Scan, mask: np.ndarray) -> float:
    """Of the central energy of a few slices in the middle, where they are measured k-space."""
    if scan.measured is None:
        return 0.0
    first = max(0, scan.count // 2 - BATCH // 2)
    _, imaginary, energy = _without_phase(scan, mask, first, min(first + BATCH, scan.count))
    return imaginary / energy if energy else 0.0


def _mask(scan: Scan, setting: Setting, path: str | None, order: str) -> tuple[np.ndarray, str]:
    """The lines that are measured, the peak of k-space first, and what is to be said of them.

    They are those of the file, of ``--mask``, or of the acceleration.
    """
    if path is None:
        if order != "auto" and not scan.has_phase:
            raise InputError(f"{scan.path} holds images, not k-space; leave --order out")
        mask = setting.sampling.mask(scan.height) if scan.measured is None else scan.measured
        return np.roll(mask, -scan.peak), _peak_in_words(scan)
    given = masks.check_mask(masks.load_mask(path), scan.height)
    mask, turned = unshifted(given, scan.measured)
    if order != "auto" and (order == "centre") != turned:
        mask, turned = np.fft.ifftshift(given) if order == "centre" else given, order == "centre"
    if not mask[0]:
        raise InputError(
            f"mask {path} leaves out the zero frequency, line 0 (or line {len(mask) // 2} with "
            "--order centre), without which no image has its brightness; pass the mask that was "
            "measured with"
        )
    if scan.measured is not None:
        beyond = int((scan.measured & ~mask).sum())
        if beyond:
            raise InputError(
                f"{scan.path} holds {beyond} lines that {path} says were not measured; pass its "
                "own mask, or none"
            )
        scan.measured = mask  # some of its lines may be zero
    note = ", the mask's zero frequency in the centre" if turned else ""
    return np.roll(mask, -scan.peak), note + _peak_in_words(scan)


def _peak_in_words(scan: Scan) -> str:
    if not scan.peak:
        return ""
    lines = min(scan.peak, scan.height - scan.peak)
    return f", the peak {counted(lines, 'line')} off the zero frequency and shifted there"


def _check_acceleration(scan: Scan, mask: np.ndarray, options: argparse.Namespace) -> None:
    """Raise ``InputError`` where ``--acceleration`` can have no effect on the lines."""
    actual = len(mask) / mask.sum()
    fixed = scan.path if scan.measured is not None else options.mask
    asked = options.acceleration
    if fixed and asked is not None and abs(actual / asked - 1) > 0.15:
        raise InputError(
            f"{fixed} fixes the lines, {mask.sum()} of {len(mask)} ({actual:.1f}x); leave "
            f"--acceleration {asked:g} out"
        )


def _check_pattern(name: str, sampling: Sampling) -> None:
    """Raise ``InputError`` for a network that learnt on anything but lines."""
    if sampling.pattern != "lines":
        raise InputError(
            f"{name} learnt on another part of k-space (pattern {sampling.pattern!r}) than the "
            "lines that are measured here; choose another --model, such as student; the command "
            "evaluate tests this one as it was trained"
        )


def _warn_of_acceleration(trained: Trained, mask: np.ndarray) -> None:
    actual = len(mask) / mask.sum()
    if trained.acceleration and abs(actual / trained.acceleration - 1) > 0.15:
        print(f"note: {trained.name} learnt at {trained.acceleration}x; this scan is {actual:.1f}x")
