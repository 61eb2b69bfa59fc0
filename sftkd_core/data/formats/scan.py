"""What every scan offers: slices a few at a time, and a place for their reconstruction."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sftkd_core.system import InputError

BATCH = 4  # slices at a time
SMALLEST = 16  # pixels a side


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

    def images(self, first: int, last: int) -> np.ndarray:
        """Magnitudes of fully sampled slices, (b, h, w) float32 >= 0, in the file's units."""
        raise NotImplementedError

    def kspace(self, first: int, last: int) -> np.ndarray:
        """k-space of slices with missing lines, (b, h, w) complex64, zero frequency at [0, 0]."""
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
