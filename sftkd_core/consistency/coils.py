"""Several coils: measuring an image through their sensitivities, and putting that back.

Coil c sees the image times its sensitivity S_c. What all of them measure is A x = M F S x, with
the orthonormal transform F and the mask M; the adjoint A^H y = sum_c conj(S_c) F^H M y_c adds
their images up, weighted by their sensitivities. Sensitivities are scaled to sum_c |S_c|^2 = 1
wherever there is an object, so that A^H A is the identity where all is measured.

``consistency`` is the case of one coil that sees everywhere alike:

>>> mask = [True, True, False, False, False, True]
>>> images = torch.rand(2, 1, 6, 5)
>>> alike = torch.ones(2, 1, 6, 5, dtype=torch.complex64)
>>> measurement = measure(images, alike, mask)
>>> image = coil_consistency(torch.zeros_like(alike), measurement)
>>> torch.allclose(image, measurement.combined, atol=1e-6)
True
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sftkd_core.masks import check_mask
from sftkd_core.system import Bool, Complex, Inexact, InputError


@dataclass(frozen=True)
class CoilMeasurement:
    """What several coils measured, and the image that follows from it at once.

    kspace    (b, c, h, w) complex64, zero where not measured
    maps      (b, c, h, w) complex64, the sensitivities
    mask      (h, 1) or (h, w) bool
    combined  (b, 1, h, w) complex64, A^H y: the coils' zero-filled images, combined
    """

    kspace: Complex[Tensor, "b c h w"]
    maps: Complex[Tensor, "b c h w"]
    mask: Bool[Tensor, " h #w"]
    combined: Complex[Tensor, "b 1 h w"]

    def __len__(self) -> int:
        return len(self.kspace)

    def __getitem__(self, some: slice) -> "CoilMeasurement":
        """The measurement of some of the slices."""
        fields = {name: getattr(self, name)[some] for name in ("kspace", "maps", "combined")}
        return replace(self, **fields)

    def to(self, device) -> "CoilMeasurement":
        """The same measurement on another device."""
        fields = ("kspace", "maps", "mask", "combined")
        return replace(self, **{name: getattr(self, name).to(device) for name in fields})


def measure(
    images: Inexact[Tensor, "b 1 h w"],
    maps: Complex[Tensor, "b c h w"],
    mask,
    noise: float = 0.0,
    seed: int = 0,
) -> CoilMeasurement:
    """What coils of these sensitivities measure of images.

    mask   (h,) lines or (h, w) points, un-shifted
    noise  standard deviation of the complex Gaussian noise that each coil adds to each measured
           point, per real and imaginary part, in units of the images; independent between coils
    seed   of that noise
    """
    kspace = torch.fft.fft2(images * maps, norm="ortho")
    if noise:
        generator = torch.Generator().manual_seed(seed)
        draw = torch.randn((*kspace.shape, 2), generator=generator, dtype=kspace.real.dtype)
        kspace = kspace + noise * torch.view_as_complex(draw).to(kspace.device)
    return from_kspace(kspace, maps, mask)


def from_kspace(
    kspace: Complex[Tensor, "b c h w"], maps: Complex[Tensor, "b c h w"], mask
) -> CoilMeasurement:
    """A measurement from the coils' k-space; what lies outside the mask is left out.

    Raises ``InputError`` for a mask that does not fit.
    """
    mask_array = check_mask(mask, kspace.shape[-2])
    if mask_array.ndim == 2 and mask_array.shape[1] != kspace.shape[-1]:
        raise InputError(
            f"mask has {mask_array.shape[1]} columns but the images have {kspace.shape[-1]}"
        )
    points = torch.from_numpy(mask_array.reshape(len(mask_array), -1)).to(kspace.device)
    kspace = torch.where(points, kspace, 0)
    return CoilMeasurement(kspace, maps, points, adjoint(kspace, maps, points))


def forward(
    image: Complex[Tensor, "b 1 h w"], maps: Complex[Tensor, "b c h w"], mask: Bool[Tensor, " h #w"]
) -> Complex[Tensor, "b c h w"]:
    """A x: the image seen by each coil, transformed, where it is measured."""
    return torch.where(mask, torch.fft.fft2(maps * image, norm="ortho"), 0)


def adjoint(
    kspace: Complex[Tensor, "b c h w"],
    maps: Complex[Tensor, "b c h w"],
    mask: Bool[Tensor, " h #w"],
) -> Complex[Tensor, "b 1 h w"]:
    """A^H y: the coils' images of what is measured, each times its conjugate sensitivity."""
    images = torch.fft.ifft2(torch.where(mask, kspace, 0), norm="ortho")
    return (maps.conj() * images).sum(1, keepdim=True)


def coil_consistency(
    image: Complex[Tensor, "b 1 h w"], measurement: CoilMeasurement, steps: int = 1
) -> Complex[Tensor, "b 1 h w"]:
    """Put the coils' measured samples back: ``x + A^H (y - A x)``, so many times.

    For one coil, or where every line is measured, one step makes the image consistent, and another
    changes nothing. Otherwise a step takes the image nearer to what was measured and never further
    away, for A shortens: it is gradient descent on ``|A x - y|^2 / 2``.
    """
    maps, mask = measurement.maps, measurement.mask
    for _ in range(steps):
        missing = measurement.kspace - forward(image, maps, mask)
        image = image + adjoint(missing, maps, mask)
    return image


def sense(
    measurement: CoilMeasurement, iterations: int = 10, weight: float = 1e-3
) -> Complex[Tensor, "b 1 h w"]:
    """The image that minimises ``|A x - y|^2 + weight |x|^2``, by conjugate gradients.

    No network: what the coils alone determine (CG-SENSE, Pruessmann et al., 2001). Few iterations
    regularise as the weight does. Every slice has steps of its own.
    """

    def normal(x: Tensor) -> Tensor:
        maps, mask = measurement.maps, measurement.mask
        return adjoint(forward(x, maps, mask), maps, mask) + weight * x

    def energy(x: Tensor) -> Tensor:
        return x.abs().square().sum((1, 2, 3), keepdim=True)

    image = torch.zeros_like(measurement.combined)
    residual = direction = measurement.combined
    before = energy(residual)
    tiny = torch.finfo(before.dtype).tiny
    for _ in range(iterations):
        curved = normal(direction)
        along = (direction.conj() * curved).sum((1, 2, 3), keepdim=True).real
        length = before / along.clamp(min=tiny)
        image, residual = image + length * direction, residual - length * curved
        after = energy(residual)
        direction, before = residual + after / before.clamp(min=tiny) * direction, after
    return image
