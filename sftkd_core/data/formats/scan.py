"""What every scan offers: slices a few at a time, and a place for their reconstruction."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sftkd_core.system import InputError

BATCH = 4  # slices at a time
SMALLEST = 16  # pixels a side


@dataclass(frozen=True)
class Reading:
    """What a file leaves open, or leaves to choose.

    dataset      of an HDF5 file, or the number of a DICOM folder's series; None finds it
    order        of k-space: where its zero frequency is, "corner" or "centre"; "auto" looks
    plane        of a volume's slices, as of ``volume.planes``
    volume       of a series: a number from 1, or "all"; None where there is only one, which "all"
                 takes as well
    nan_as_zero  whether values that are not a number are taken for 0, rather than refused
    """

    dataset: str | None = None
    order: str = "auto"
    plane: str = "auto"
    volume: str | None = None
    nan_as_zero: bool = False


@dataclass(kw_only=True)
class Scan:
    """Slices of one file.

    path                  of the file
    count, height, width  slices, and pixels of a slice as the network sees it
    aspect                height over width of a pixel
    plane                 of a volume: "axial", "coronal" or "sagittal"; "" where nothing tells
    measured              (height,) bool for k-space with missing lines; None for full sampling
    peak                  of these the line with the most energy; 0 unless the image has a phase
    note                  what was found, in words
    has_phase             whether the values are complex
    coils                 that measured; 0 for images, and for k-space of one coil
    """

    path: Path
    count: int
    height: int
    width: int
    note: str
    aspect: float = 1.0
    plane: str = ""
    has_phase: bool = False
    measured: np.ndarray | None = None
    peak: int = 0
    coils: int = 0

    def images(self, first: int, last: int) -> np.ndarray:
        """Magnitudes of fully sampled slices, (b, h, w) float32 >= 0, in the file's units."""
        raise NotImplementedError

    def kspace(self, first: int, last: int) -> np.ndarray:
        """k-space of slices with missing lines, (b, h, w) complex64, zero frequency at [0, 0].

        Of several coils (b, coils, h, w), with or without missing lines.
        """
        raise NotImplementedError(f"{self.path} holds images")

    def target(self, first: int, last: int) -> np.ndarray | None:
        """What the reconstruction should be, (b, h, w) float32, where that is known."""
        return self.images(first, last) if self.measured is None else None

    def put(self, indices: np.ndarray, images: np.ndarray) -> None:
        """Replace slices by ``images`` (b, h, w), in the file's units."""
        raise NotImplementedError

    def payload(self, path: Path) -> bytes:
        """The contents of a file named ``path``, with the slices that were put."""
        raise NotImplementedError

    def batches(self) -> Iterator[tuple[int, int]]:
        """First index, and one beyond the last, of a few slices at a time."""
        for first in range(0, self.count, BATCH):
            yield first, min(first + BATCH, self.count)


def chosen_volume(path: Path, count: int, volume: str | None) -> tuple[slice, str]:
    """Which of the volumes of a series are wanted, as ``Reading.volume`` says; and in words.

    Raises ``InputError`` where that is not said of several, or of one alone, or does not fit.
    """
    if volume is None and count > 1:
        raise InputError(
            f"{path} is a series of {count} volumes, where one of three dimensions is expected; "
            f"choose one with --volume 1 to {count}, or --volume all"
        )
    if volume not in (None, "all") and count == 1:
        raise InputError(f"{path} is one volume and no series; leave --volume {volume} out")
    if volume in (None, "all"):
        return slice(None), f"s, {count} in a row" if count > 1 else ""
    if not volume.isdecimal() or not 1 <= int(volume) <= count:
        raise InputError(
            f"volume {volume} is not in {path}; choose one with --volume 1 to {count}, or "
            "--volume all"
        )
    return slice(int(volume) - 1, int(volume)), f" {volume} of {count}"


def fill(values: np.ndarray, zero: float = 0.0) -> int:
    """Write ``zero`` over every NaN of an array, part by part; how many there were."""
    if values.dtype.kind not in "fc":
        return 0
    count = 0
    for part in values:
        missing = np.isnan(part)
        part[missing] = zero
        count += int(missing.sum())
    return count


def as_dtype(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values as another type: rounded and clipped to its range where it is of integers."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values.astype(np.float64)), limits.min, limits.max)
        # the largest 64-bit integer is no double: the next one would wrap round
        values = np.minimum(values, np.nextafter(float(limits.max) + 1, 0))
    return values.astype(dtype)


def check_size(path: Path, count: int, height: int, width: int) -> None:
    """Raise ``InputError`` for a scan without slices, or with tiny ones."""
    if count < 1 or min(height, width) < SMALLEST:
        raise InputError(
            f"{path} has {count} slices of {height} x {width} pixels; at least one of "
            f"{SMALLEST} x {SMALLEST} is needed"
        )
