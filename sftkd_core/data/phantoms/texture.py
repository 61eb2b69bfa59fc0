"""What the brain and the hearts share: smooth random fields, coil shading, scaling, noise."""

import numpy as np
import torch
from scipy.ndimage import zoom
from torch import Tensor
from torch.nn.functional import interpolate


def smooth_field(
    generator: np.random.Generator, shape: tuple[int, ...], knots: int, channels: int = 1
) -> Tensor:
    """Random fields that vary over about ``1 / knots`` of the volume: (channels, *shape) float32.

    Normal values on a coarse grid, by cubic splines to four times the grid, then linearly.
    """
    coarse = generator.standard_normal((channels, knots, knots, knots))
    finer = np.stack([zoom(channel, 4, order=3, mode="nearest") for channel in coarse])
    field = torch.from_numpy(finer.astype(np.float32))[None]
    return interpolate(field, size=shape, mode="trilinear", align_corners=True)[0]


def shaded(images: Tensor, generator: np.random.Generator) -> Tensor:
    """Brighter near the coil and darker far from it; images (n, h, w)."""
    return images * torch.exp(0.12 * smooth_field(generator, tuple(images.shape), 3)[0])


def scaled(images: Tensor) -> np.ndarray:
    """Each slice over its maximum: (n, h, w) in [0, 1]."""
    return (images / images.amax(dim=(1, 2), keepdim=True)).numpy()


def as_scanned(images: Tensor, generator: np.random.Generator) -> np.ndarray:
    """Shade by the coil, add Rician noise, scale each slice by its maximum.

    images (n, h, w) float32 tissue signal >= 0. Returns the same shape, in [0, 1]. The noise is in
    the target as well, as in a scan's magnitude; phantoms of profile "study" have none.
    """
    shape = tuple(images.shape)
    images = shaded(images, generator)
    level = generator.uniform(0.006, 0.016) * images.max()
    noise = generator.standard_normal((2, *shape), dtype=np.float32)
    noise = torch.from_numpy(noise) * level  # type: ignore[assignment]
    images = torch.hypot(images + noise[0], noise[1])  # the magnitude of complex noise
    return scaled(images)
