"""Synthetic scans of heads: every seed another anatomy, contrast, plane and field of view.

What is drawn afresh for each subject is in ``INGREDIENTS``; leaving some out shows what they are
worth (``benchmarks/transfer.py``). No noise is added: it belongs to the measurement.
"""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn.functional import avg_pool2d

from sftkd_core.data.phantoms.anatomy import paint
from sftkd_core.data.phantoms.fields import Fields
from sftkd_core.data.slices import Volume
from sftkd_core.system import InputError

INGREDIENTS = (
    "skull",  # scalp, skull, eyes, muscles and face around the brain
    "deformation",  # large and local; otherwise the old phantom's slight warp
    "cortex",  # sulci of their own; otherwise the template's blurred ones
    "contrast",  # of any weighting; otherwise T1
    "texture",  # fine, of all sizes; otherwise the old phantom's smooth shading
    "planes",  # tilted, coronal and sagittal ones; otherwise axial
    "lesions",
    "sharpness",  # of the scanner; otherwise as sharp as the pixels are
)
# share of the subjects; which axis of a stack (plane, row, column) is x, y and z of the template;
# how far the middle lies from that of the axial planes, mm
PLANES = {
    "axial": (0.6, (2, 1, 0), (0, 0, 0)),
    "coronal": (0.2, (2, 0, 1), (0, 0, -10)),
    "sagittal": (0.2, (0, 2, 1), (0, 10, -10)),
}


def head_phantom(
    seed: int = 0, size: int = 240, slices: int = 48, ingredients: tuple[str, ...] = INGREDIENTS
) -> Volume:
    """A synthetic head with a clean target: ``(slices, size, size)``, a new subject for each seed.

    Mostly T1-weighted axial planes, front of the head upwards; other weightings and planes, and
    brains without skull, are among them. Each slice over its own maximum.

    ingredients  what is drawn afresh, of ``INGREDIENTS``

    Raises ``InputError`` for sizes below 16, no slices, or an ingredient that there is not.
    """
    if size < 16 or slices < 1:
        raise InputError(f"a phantom of {slices} slices of {size} pixels; use >= 1 and >= 16")
    unknown = set(ingredients) - set(INGREDIENTS)
    if unknown:
        raise InputError(
            f"unknown ingredients {', '.join(sorted(unknown))}; choose of {', '.join(INGREDIENTS)}"
        )
    seeds = (seed, 3)
    generator = np.random.default_rng(seeds)
    view = generator.uniform(205, 275)  # mm, in plane
    finer = max(1, round(view / size))  # pixels larger than a voxel average several
    shape = (slices, size * finer, size * finer)
    height = generator.uniform(70, 95)  # mm, that the planes span
    spacing = (height / slices, view / shape[1], view / shape[2])
    fields = Fields(generator, shape, spacing, seeds)
    planes, warp, coil, scanner = map(fields.step, range(4))
    points = _deform(_planes(planes, view, ingredients), warp, ingredients)
    signal = paint(points, fields, ingredients)
    signal = signal * torch.exp(coil.generator.uniform(0.05, 0.3) * coil.smooth(90)[0])
    if "sharpness" in ingredients:
        blur = finer * scanner.generator.choice([0, scanner.generator.uniform(0, 0.6)])
        signal = torch.from_numpy(gaussian_filter(signal.numpy(), (0, blur, blur), mode="nearest"))
    images = avg_pool2d(signal[:, None], finer)[:, 0].clamp(min=0)
    images = images / images.amax(dim=(1, 2), keepdim=True).clamp(min=1e-6)
    return Volume(f"synthetic head {seed}", images.numpy().astype(np.float32), synthetic=True)


def _planes(fields: Fields, view: float, ingredients: tuple[str, ...]) -> Tensor:
    """Where the pixels of all planes lie: (n, h, w, 3), mm in the template."""
    draw = fields.generator.uniform
    planes, rows, columns = fields.shape
    half = view / 2 * (1 - 1 / rows)
    depth = fields.spacing[0] * (planes - 1) / 2
    z = torch.linspace(-depth, depth, planes)
    y, x = torch.linspace(half, -half, rows), torch.linspace(-half, half, columns)
    grid = torch.stack(torch.meshgrid(z, y, x, indexing="ij"), dim=-1)
    middle = np.array([0, -16, 9]) + draw(-8, 8, size=3) * [1, 1, 2]
    tilt = draw(-0.1, 0.1, size=3)
    kind = fields.generator.choice(list(PLANES), p=[share for share, *_ in PLANES.values()])
    if "planes" in ingredients:
        tilt = 2.5 * tilt
    else:
        kind = "axial"
    _, axes, shift = PLANES[kind]
    turn = Rotation.from_euler("XYZ", tilt * [1, -1, 1]).as_matrix()
    matrix = torch.from_numpy((turn * draw(0.9, 1.12, size=3)).astype(np.float32))
    place = grid[..., list(axes)] @ matrix.T
    return place + torch.from_numpy((middle + shift).astype(np.float32))


def _deform(points: Tensor, fields: Fields, ingredients: tuple[str, ...]) -> Tensor:
    """Points moved by smooth fields of several scales, and towards or from the ventricles."""
    draw = fields.generator.uniform
    if "deformation" not in ingredients:
        return points + 3.5 * fields.smooth(25, 3).movedim(0, -1)
    moved = points
    for length, most in ((45, 7.0), (20, 3.5), (9, 1.3)):
        moved = moved + draw(0.4, 1) * most * fields.smooth(length, 3).movedim(0, -1)
    centre = torch.tensor([0.0, -20.0, 10.0])
    away = moved - centre
    near = torch.exp(-0.5 * (away / torch.tensor([18.0, 40.0, 22.0])).square().sum(-1))
    return moved - draw(-0.5, 0.55) * near[..., None] * away
