"""What both phantoms share: smooth random fields, coil shading, noise, and scaling."""

import numpy as np
import torch
from scipy.ndimage import zoom
from torch import Tensor
from torch.nn.functional import interpolate


def smooth_field(
    generator: np.random.Generator, shape: tuple[int, int, int], knots: int, channels: int = 1
) -> Tensor:
    """Random fields that vary over about ``1 / knots`` of the volume: (channels, *shape) float32.

    Normal values on a coarse grid, by cubic splines to four times the grid, then linearly.
    """
    coarse = generator.standard_normal((channels, knots, knots, knots))
    finer = np.stack([zoom(channel, 4, order=3, mode="nearest") for channel in coarse])
    field = torch.from_numpy(finer.astype(np.float32))[None]
    return interpolate(field, size=shape, mode="trilinear", align_corners=True)[0]


def as_scanned(images: Tensor, generator: np.random.Generator) -> np.ndarray:
    """Shade by the coil, add Rician noise, scale each slice by its maximum.

    images (n, h, w) float32 tissue signal >= 0. Returns the same shape, in [0, 1].
    """
    shape = tuple(images.shape)
    images = images * torch.exp(0.12 * smooth_field(generator, shape, 3)[0])
    level = generator.uniform(0.006, 0.016) * images.max()
    noise = generator.standard_normal((2, *shape), dtype=np.float32)
    noise = torch.from_numpy(noise) * level
    images = torch.hypot(images + noise[0], noise[1])  # the magnitude of complex noise
    return (images / images.amax(dim=(1, 2), keepdim=True)).numpy()
