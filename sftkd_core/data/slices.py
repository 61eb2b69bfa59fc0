"""The two forms of data: one subject's slices, and the slices of many."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Volume:
    """One subject.

    slices     (n, h, w) in [0, 1], each over its own maximum or the volume's: float32, or
               complex64 with magnitudes in [0, 1]
    synthetic  whether it was computed rather than scanned
    """

    name: str
    slices: np.ndarray
    synthetic: bool


@dataclass(frozen=True)
class Slices:
    """Slices of several subjects, stacked.

    images     (n, 1, h, w) float32 in [0, 1] (complex64 where that was asked for)
    subjects   the subject of each slice, n names
    name       what they are, in words
    synthetic  whether they were computed rather than scanned
    """

    images: Tensor
    subjects: tuple[str, ...]
    name: str
    synthetic: bool

    def __len__(self) -> int:
        return len(self.images)


def stack(volumes: list[Volume], name: str) -> Slices:
    """The slices of volumes of one size, in order."""
    images = torch.from_numpy(np.concatenate([volume.slices for volume in volumes]))[:, None]
    subjects = tuple(volume.name for volume in volumes for _ in volume.slices)
    return Slices(images, subjects, name, any(volume.synthetic for volume in volumes))


def scale_slices(
    planes: np.ndarray, by: str = "slice"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Planes over the maximum of their magnitude; empty ones are left out.

    planes  (n, h, w) of any real or complex numbers; negative ones count as 0
    by      "slice": each over its own maximum; "volume": all over the greatest

    Returns images (m, h, w) float32 or complex64, the m maxima that they were divided by, and the
    m indices of the planes. One plane at a time, so memory is that of the result.
    """
    is_complex = planes.dtype.kind == "c"
    kind = np.complex64 if is_complex else np.float32
    highest = np.array([(abs(plane) if is_complex else plane).max() for plane in planes])
    indices = np.flatnonzero(highest > 0)
    scales = highest[indices]
    if by == "volume" and len(scales):
        scales = np.full_like(scales, scales.max())
    images = np.empty((len(indices), *planes.shape[1:]), kind)
    for image, index, scale in zip(images, indices, scales, strict=True):
        np.divide(planes[index], scale, out=image, casting="same_kind", dtype=_precise(planes))
        if planes.dtype.kind in "if":
            np.clip(image, 0, None, out=image)
    return images, scales, indices


def _precise(planes: np.ndarray) -> type:
    """In what numbers planes are divided: their quotient is then the nearest float32."""
    if planes.dtype.kind == "c":
        return np.complex64 if planes.dtype.itemsize == 8 else np.complex128
    small = planes.dtype.itemsize <= (4 if planes.dtype.kind == "f" else 2)
    return np.float32 if small else np.float64


def centre(planes: np.ndarray, size: int) -> np.ndarray:
    """The middle ``size`` x ``size`` pixels of planes (n, h, w), with zeros around smaller ones."""
    for axis in (1, 2):
        extent = planes.shape[axis]
        if extent > size:
            first = (extent - size) // 2
            kept = (slice(None),) * axis + (slice(first, first + size),)
            planes = planes[kept]
        elif extent < size:
            before = (size - extent) // 2
            width = [(0, 0)] * 3
            width[axis] = (before, size - extent - before)
            planes = np.pad(planes, width)
    return planes


def middle(planes: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` planes in the middle, or all where there are not so many."""
    first = max(0, (len(planes) - count) // 2)
    return planes[first : first + count]
