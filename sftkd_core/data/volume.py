"""The two forms of data: one subject's slices, and the slices of many."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Volume:
    """One subject.

    slices     (n, h, w) float32 in [0, 1], each scaled by its own maximum
    synthetic  whether it was computed rather than scanned
    """

    name: str
    slices: np.ndarray
    synthetic: bool


@dataclass(frozen=True)
class Slices:
    """Slices of several subjects, stacked.

    images     (n, 1, h, w) float32 in [0, 1]
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
