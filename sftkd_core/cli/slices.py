"""The slices of a scan through a network, a few at a time."""

import time
from pathlib import Path

import numpy as np
import torch

from sftkd_core import experiments
from sftkd_core.cli.models import Trained
from sftkd_core.cli.panel import Panel
from sftkd_core.cli.report import Report
from sftkd_core.consistency import Measurement, coils, from_kspace, measure, sensitivities
from sftkd_core.consistency.coils import CoilMeasurement
from sftkd_core.data.formats import BATCH, Scan
from sftkd_core.data.formats.kspace import remove_phase
from sftkd_core.models.coils import OfCoils
from sftkd_core.system import InputError, Line, counted

ALONE = "coils alone"  # the name of what several coils determine without a network
_ITERATIONS = 5  # of that
Measured = tuple[Measurement | CoilMeasurement | None, np.ndarray, np.ndarray]


def run(
    scan: Scan, mask: np.ndarray, trained: Trained, panel: Panel | None, maps: str = "centre"
) -> Report:
    """Reconstruct all slices that are not empty, and put them into the scan.

    mask  (h,) lines or (h, w) points that are measured, the peak of k-space first
    maps  of ``sensitivities.METHODS``, for several coils
    """
    report, line = Report(), Line("reconstructing")
    network = OfCoils(trained.model) if scan.coils else trained.model
    started = time.perf_counter()
    for first, last in scan.batches():
        line.show(f"slice {first + 1} of {scan.count}")
        target = scan.target(first, last)
        if scan.coils:
            measurement, scales, kept = _of_coils(scan, mask, first, last, maps)
        else:
            measurement, scales, kept = _of_one(scan, mask, first, last, report)
        if measurement is None:
            continue
        began = time.perf_counter()
        image = experiments.reconstruct(network, measurement).clamp(min=0)
        report.network += time.perf_counter() - began
        images = {trained.name: image[:, 0].numpy() * scales}
        if isinstance(measurement, CoilMeasurement):
            images["zero-filled"] = measurement.combined.abs()[:, 0].numpy() * scales
            alone = coils.sense(measurement, _ITERATIONS).abs()
            images[ALONE] = alone[:, 0].numpy() * scales
        else:
            images["zero-filled"] = measurement.zero_filled[:, 0].numpy() * scales
        if target is not None:
            for name in ("zero-filled", *({ALONE} & {*images}), trained.name):
                report.add(name, images[name], target[kept])
        if panel:
            shown = target if target is None else target[kept]
            panel.add(first + kept, shown, images["zero-filled"], images[trained.name])
        scan.put(first + kept, images[trained.name])
        report.slices += len(kept)
    report.seconds = time.perf_counter() - started
    line.close(f"{counted(report.slices, 'slice')} in {report.seconds:.1f} s")
    if not report.slices:
        raise _empty(scan.path)
    return report


def _of_one(scan: Scan, mask: np.ndarray, first: int, last: int, report: Report) -> Measured:
    """Slices as a measurement, each scaled; their scales (b, 1, 1); which are not empty."""
    if scan.measured is None:
        images = scan.images(first, last)
    else:
        kspace, imaginary, energy = without_phase(scan, mask, first, last)
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


def _of_coils(scan: Scan, mask: np.ndarray, first: int, last: int, maps: str) -> Measured:
    """The same of several coils, each slice over the maximum of its combined image."""
    points = mask[:, None] if mask.ndim == 1 else mask
    kspace = np.roll(scan.kspace(first, last), -scan.peak, -2) * points
    kept = np.flatnonzero((kspace != 0).any((1, 2, 3)))
    if not len(kept):
        return None, np.ones((0, 1, 1), np.float32), kept
    seen = np.stack([sensitivities.estimate(each, mask, maps) for each in kspace[kept]])
    given = torch.from_numpy(np.ascontiguousarray(kspace[kept]))
    measurement = coils.from_kspace(given, torch.from_numpy(seen), mask)
    scales = measurement.combined.abs().amax((2, 3), keepdim=True).clamp(min=1e-30)
    measurement = coils.from_kspace(given / scales, measurement.maps, mask)
    return measurement, scales[:, 0].numpy(), kept


def without_phase(
    scan: Scan, mask: np.ndarray, first: int, last: int
) -> tuple[np.ndarray, float, float]:
    """Measured k-space with its peak at the zero frequency, and what ``remove_phase`` makes of it.

    A shift by whole lines is a phase of the image that is periodic along the missing lines: exact.
    """
    return remove_phase(np.roll(scan.kspace(first, last), -scan.peak, 1), mask)


def imaginary_share(scan: Scan, mask: np.ndarray) -> float:
    """Of the central energy of a few slices in the middle, where they are measured k-space."""
    if scan.measured is None:
        return 0.0
    first = max(0, scan.count // 2 - BATCH // 2)
    _, imaginary, energy = without_phase(scan, mask, first, min(first + BATCH, scan.count))
    return imaginary / energy if energy else 0.0


def _empty(path: Path) -> InputError:
    return InputError(f"{path} has nothing but empty slices; there is nothing to reconstruct")
