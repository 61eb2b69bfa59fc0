"""The anatomy that all phantoms of the head start from: tissue maps, and distances to surfaces.

The ICBM152 2009 maps (Fonov et al. 2011) come with nilearn's wheel, so nothing is downloaded. They
end at the brain; the head around it is a shape built here. Coordinates are the template's, in mm:
x to the right, y to the front, z upwards.
"""

from functools import lru_cache
from importlib.resources import files

import nibabel
import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, gaussian_filter
from torch import Tensor
from torch.nn.functional import grid_sample

ORIGIN = (-98.0, -134.0, -72.0)  # of the maps' first voxel
COARSE = 3  # mm, of the distances
MARGIN = 48  # mm around the maps, where a head is but no map
CLOSED = 12.0  # mm, sulci as wide as twice that are inside the brain's hull


@lru_cache(maxsize=1)
def tissue_maps() -> Tensor:
    """Probability of grey and of white matter, and the brain's mask: (1, 3, x, y, z), 1 mm."""
    folder = files("nilearn") / "datasets" / "data"  # without importing nilearn.datasets: 2 s
    maps = []
    for tissue in ("gm", "wm", "t1"):
        path = folder / f"mni_icbm152_{tissue}_tal_nlin_sym_09a_converted.nii.gz"
        values = np.asarray(nibabel.load(str(path)).dataobj, dtype=np.float32)  # type: ignore[attr-defined]
        maps.append(values > 0 if tissue == "t1" else values / 255)  # the template is stripped
    return torch.from_numpy(np.stack(maps).astype(np.float32))[None]


@lru_cache(maxsize=1)
def distances() -> Tensor:
    """Signed distances in mm, negative inside: to the brain's hull, and to the head's surface.

    (1, 2, x, y, z) float32, a voxel every ``COARSE`` mm, ``MARGIN`` wider than the maps.
    """
    brain = tissue_maps()[0, 2, ::COARSE, ::COARSE, ::COARSE].numpy() > 0
    brain = np.pad(brain, MARGIN // COARSE)
    hull = _signed(_signed(brain) > CLOSED)  # closed: grown, then shrunk by as much
    hull = gaussian_filter(CLOSED - hull, 1)
    axes = [
        first - MARGIN + COARSE * np.arange(n) for first, n in zip(ORIGIN, hull.shape, strict=True)
    ]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    face = _ellipsoid(x / 62, (y - 40) / 62, (z + 70) / 70)
    jaw = _ellipsoid(x / 55, (y - 25) / 70, (z + 105) / 50)
    neck = np.hypot(x / 58, (y + 25) / 62) - 1 + 0 * z
    neck = np.maximum(neck, (z + 45) / 60)
    nose = _ellipsoid(x / 14, (y - 98) / 22, (z + 62) / 26)
    head = (hull < 13) | (face < 0) | (jaw < 0) | (neck < 0) | (nose < 0)
    surface = gaussian_filter(_signed(head), 1.2)
    return torch.from_numpy(np.stack([hull, surface]).astype(np.float32))[None]


def look_up(points: Tensor) -> tuple[Tensor, Tensor]:
    """The maps (3, n, h, w) and the distances (2, n, h, w) at points (n, h, w, 3) in mm."""
    maps = _sample(tissue_maps(), points, ORIGIN, 1, "zeros")
    first = tuple(o - MARGIN for o in ORIGIN)
    return maps, _sample(distances(), points, first, COARSE, "border")


def _sample(volume: Tensor, points: Tensor, first, spacing: float, outside: str) -> Tensor:
    extent = torch.tensor(volume.shape[2:]) - 1
    places = 2 * (points - torch.tensor(first)) / (spacing * extent) - 1
    # grid_sample counts its last axis first: volumes are (x, y, z), so coordinates go z, y, x
    found = grid_sample(volume, places.flip(-1)[None], padding_mode=outside, align_corners=True)
    return found[0]


def _ellipsoid(x, y, z):
    return np.sqrt(x * x + y * y + z * z) - 1


def _signed(inside: np.ndarray) -> np.ndarray:
    """Distance to the surface of a shape, mm: negative inside."""
    outer = distance_transform_edt(~inside, sampling=COARSE)
    return np.where(inside, COARSE - distance_transform_edt(inside, sampling=COARSE), outer)
