"""Synthetic T1 brains: tissue maps of the MNI template, deformed and painted afresh for each seed.

The ICBM152 2009 maps (Fonov et al. 2011) come with nilearn's wheel, so nothing is downloaded.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

from sftkd_core.data.phantoms.atlas import tissue_maps
from sftkd_core.data.phantoms.texture import as_scanned, smooth_field
from sftkd_core.data.slices import Volume
from sftkd_core.system import InputError

FIELD_OF_VIEW = 224.0  # mm, in plane
CENTRE = (98.0, 118.0)  # of the brain in plane, voxels of 1 mm: left-right, back-front
FIRST, LAST = 42.0, 128.0  # the range of axial planes, voxels of 1 mm


def brain_phantom(seed: int = 0, size: int = 240, slices: int = 48) -> Volume:
    """A synthetic skull-stripped T1 brain: ``(slices, size, size)``, a new subject for each seed.

    Axial planes from below the basal ganglia to above the ventricles, front of the head upwards.
    Raises ``InputError`` for sizes below 16 or no slices.
    """
    if size < 16 or slices < 1:
        raise InputError(f"a phantom of {slices} slices of {size} pixels; use >= 1 and >= 16")
    generator = np.random.default_rng([seed, 1])
    finer = max(1, round(FIELD_OF_VIEW / size))  # pixels larger than a voxel average several
    shape = (slices, size * finer, size * finer)
    points = _deformed_grid(generator, shape)
    grey, white, brain = grid_sample(tissue_maps(), points, align_corners=True)[0]
    # sharpen what the template averaged over people: a logistic of slope 12 at 1/2
    grey, white = (torch.sigmoid(12 * (tissue - 0.5)) for tissue in (grey, white))
    fluid = (torch.sigmoid(12 * (brain - 0.5)) - grey - white).clamp(min=0)
    contrast = generator.uniform((0.45, 0.78, 0.10), (0.62, 1.0, 0.28))
    texture = 1 + 0.05 * smooth_field(generator, shape, 24)[0]
    signal = texture * sum(c * t for c, t in zip(contrast, (grey, white, fluid), strict=True))
    images = avg_pool2d(signal[:, None].float(), finer)[:, 0]
    return Volume(f"synthetic brain {seed}", as_scanned(images, generator), synthetic=True)


def _deformed_grid(generator: np.random.Generator, shape: tuple[int, int, int]) -> Tensor:
    """Where each pixel looks in the template: (1, n, h, w, 3), in the units of grid_sample."""
    planes, rows, columns = shape
    half = FIELD_OF_VIEW / 2 * (1 - 1 / rows)
    z = torch.linspace(FIRST, LAST, planes) if planes > 1 else torch.tensor([85.0])
    y = torch.linspace(half, -half, rows)
    x = torch.linspace(-half, half, columns)
    grid = torch.stack(torch.meshgrid(z, y, x, indexing="ij"), dim=-1)[..., [2, 1, 0]]  # x, y, z
    turn = generator.uniform(-0.12, 0.12)
    stretch = generator.uniform(0.92, 1.08, size=3)
    rotation = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    middle = torch.tensor([0.0, 0.0, (FIRST + LAST) / 2])
    matrix = torch.from_numpy((rotation * stretch).astype(np.float32))
    grid = (grid - middle) @ matrix.T + middle
    warp = smooth_field(generator, shape, 6, channels=3).movedim(0, -1)
    grid = grid + 3.5 * warp + torch.tensor([*CENTRE, 0.0])
    extent = torch.tensor(tissue_maps().shape[2:]) - 1
    # grid_sample counts its last axis first: maps are (x, y, z), so coordinates go z, y, x
    return (2 * grid / extent - 1).flip(-1)[None]
