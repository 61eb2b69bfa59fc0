"""Measuring an image, and the data-consistency layers that put the measurement back.

Arrays: images ``(b, 1, h, w)``; k-space is their orthonormal 2-D Fourier transform, un-shifted;
the mask acts along axis ``h``. Data consistency is equation (2) of the paper,

    k measured: (cnn(k) + lam * y(k)) / (1 + lam)        k not measured: cnn(k).

For a real image and a mask of whole lines that is a real matrix product (``form="circulant"``):
``x + w (z - P x)`` with ``w = lam / (1 + lam)``, ``z = Re ifft2(y)`` computed once, and the
circulant ``P = Re(F^H diag(mask) F)``. A line whose mirror was not measured is enforced at half
weight by it, as by every published layer that keeps the real part; ``form="hermitian"`` knows
that a real image has its mirror line for free and is a true projection.

What is measured of a consistent image is what was measured at first:

>>> line_mask = np.array([True, True, False, False, False, True])
>>> measurement = measure(torch.rand(2, 1, 6, 5), line_mask)
>>> image = data_consistency(torch.zeros(2, 1, 6, 5), measurement)
>>> torch.allclose(measure(image, line_mask).kspace, measurement.kspace, atol=1e-6)
True
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf, isinf

import numpy as np
import torch
from torch import Tensor

from sftkd_core.masks import check_mask
from sftkd_core.system import Bool, Complex, Float, Inexact, InputError

FORMS = ("circulant", "fft", "hermitian")


@dataclass(frozen=True)
class Measurement:
    """What the scanner measured, and the two images that follow from it at once.

    kspace       (b, 1, h, w) complex64, zero where not measured
    mask         (h, 1) or (h, w) bool
    zero_filled  (b, 1, h, w) float32, |ifft2(kspace)|: what the scanner would show
    aliased      (b, 1, h, w) float32, Re ifft2(kspace): what data consistency adds
    projector    (h, h) float32, the circulant P; None for a mask that is not of whole lines
    """

    kspace: Complex[Tensor, "b 1 h w"]
    mask: Bool[Tensor, " h #w"]
    zero_filled: Float[Tensor, "b 1 h w"]
    aliased: Float[Tensor, "b 1 h w"]
    projector: Float[Tensor, "h h"] | None

    def __len__(self) -> int:
        return len(self.zero_filled)

    def __getitem__(self, indices) -> "Measurement":
        """The measurement of some of the slices (a slice, a list or a tensor of indices)."""
        pick = slice(indices, indices + 1 or None) if isinstance(indices, int) else indices
        return replace(
            self,
            kspace=self.kspace[pick],
            zero_filled=self.zero_filled[pick],
            aliased=self.aliased[pick],
        )

    def to(self, device) -> "Measurement":
        """The same measurement on another device."""
        fields = ("kspace", "mask", "zero_filled", "aliased")
        moved = {name: getattr(self, name).to(device) for name in fields}
        projector = None if self.projector is None else self.projector.to(device)
        return replace(self, projector=projector, **moved)


def measure(images: Tensor, mask, noise: float = 0.0, seed: int = 0) -> Measurement:
    """Measure images with a mask: orthonormal 2-D Fourier transform, times the mask.

    images  (b, 1, h, w), real or complex, finite
    mask    (h,) lines or (h, w) points, un-shifted; bool or zeros and ones
    noise   standard deviation of the complex Gaussian noise added to the measured k-space,
            per real and imaginary part, in units of the images
    seed    of that noise

    Raises ``InputError`` for images of another shape, empty, or with NaN or infinite values, and
    for a mask that does not fit.
    """
    images = torch.as_tensor(images)
    _check_images(images)
    mask_array = check_mask(mask, images.shape[-2])
    if mask_array.ndim == 2 and mask_array.shape[1] != images.shape[-1]:
        raise InputError(
            f"mask has {mask_array.shape[1]} columns but the images have {images.shape[-1]}"
        )
    mask_tensor = torch.from_numpy(mask_array.reshape(len(mask_array), -1)).to(images.device)
    kspace = torch.fft.fft2(images.to(_complex_of(images)), norm="ortho") * mask_tensor
    if noise:
        generator = torch.Generator().manual_seed(seed)
        draw = torch.randn((*kspace.shape, 2), generator=generator, dtype=kspace.real.dtype)
        kspace = kspace + noise * torch.view_as_complex(draw).to(images.device) * mask_tensor
    return from_kspace(kspace, mask_array)


def from_kspace(kspace: Tensor, mask) -> Measurement:
    """A measurement from k-space that is zero outside the mask, ``(b, 1, h, w)`` complex.

    Raises ``InputError`` for k-space of several coils, of another shape or not complex.
    """
    _check_kspace(kspace)
    mask_array = check_mask(mask, kspace.shape[-2])
    mask_tensor = torch.from_numpy(mask_array.reshape(len(mask_array), -1)).to(kspace.device)
    aliased = torch.fft.ifft2(kspace, norm="ortho")
    lines_only = mask_array.ndim == 1 or (mask_array == mask_array[:, :1]).all()
    projector = None
    if lines_only:
        lines = mask_array if mask_array.ndim == 1 else mask_array[:, 0]
        projector = line_projector(lines).to(kspace.device, aliased.real.dtype)
    return Measurement(kspace, mask_tensor, aliased.abs(), aliased.real.contiguous(), projector)


def data_consistency(
    image: Inexact[Tensor, "*branches b 1 h w"],
    measurement: Measurement,
    lam: float = inf,
    form: str | None = None,
) -> Inexact[Tensor, "*branches b 1 h w"]:
    """Put the measured k-space back into an image; equation (2) of the paper.

    image  (..., b, 1, h, w); leading axes broadcast against the measurement
    lam    data-fidelity weight lambda >= 0; infinite replaces measured lines outright
    form   "circulant" (real images and line masks; the default where it applies), "fft" (any
           mask, real or complex images), "hermitian" (real images, line masks: a projection)

    Returns the consistent image in the dtype of the measurement: real for a real image (the real
    part, as the released code), complex for a complex one.
    """
    if not lam >= 0:
        raise InputError(f"lam is {lam}; the data-fidelity weight must be >= 0")
    if form is None:
        form = "fft" if measurement.projector is None or image.is_complex() else "circulant"
    weight = 1.0 if isinf(lam) else lam / (1 + lam)
    # consistency is exact arithmetic on measured data: never in reduced precision
    with torch.autocast(image.device.type, enabled=False):
        if form == "fft":
            return _fft_consistency(image, measurement, weight)
        if form not in FORMS:
            raise InputError(f"unknown form {form!r} of data consistency; choose one of {FORMS}")
        if measurement.projector is None or image.is_complex():
            raise InputError(
                f'the "{form}" form needs real images and a mask of whole lines; use form="fft"'
            )
        image = image.to(measurement.aliased.dtype)
        if form == "circulant":
            return image + weight * (measurement.aliased - measurement.projector @ image)
        projector, fill = _hermitian_pair(_lines(measurement))
        projector, fill = projector.to(image), fill.to(image)
        return image + weight * (fill @ measurement.aliased - projector @ image)


def line_projector(mask) -> Float[Tensor, "h h"]:
    """``P = Re(F^H diag(mask) F)``: (h, h) float64, circulant, symmetric, eigenvalues 0, 1/2, 1.

    An eigenvalue 1/2 belongs to a measured line whose mirror was not measured.
    """
    return _circulant(_half_weights(mask))


def hermitian_projector(mask) -> Float[Tensor, "h h"]:
    """The orthogonal projector onto the lines that ``mask`` determines for real images.

    (h, h) float64. For a real image line -k is the mirrored conjugate of line k, so each measured
    line determines two: the eigenvalues are 0 and 1.
    """
    return _circulant((_half_weights(mask) > 0).astype(float))


def _half_weights(mask) -> np.ndarray:
    """Mean of the mask and its mirror: 0, 1/2 or 1 for each line."""
    lines = check_mask(mask).astype(float)
    mirrored = np.roll(lines[::-1], 1)  # index -k modulo the length
    return (lines + mirrored) / 2


def _circulant(eigenvalues: np.ndarray) -> Tensor:
    """The real symmetric circulant matrix with these (even) eigenvalues."""
    column = np.fft.ifft(eigenvalues).real
    index = np.arange(len(column))
    return torch.from_numpy(column[(index[:, None] - index[None, :]) % len(column)])


@lru_cache(maxsize=8)
def _hermitian_pair(lines: tuple) -> tuple[Tensor, Tensor]:
    """The Hermitian projector, and the matrix that restores half-weight lines of ``aliased``."""
    weights = _half_weights(np.array(lines))
    restore = np.divide(1.0, weights, out=np.zeros_like(weights), where=weights > 0)
    return hermitian_projector(np.array(lines)), _circulant(restore)


def _lines(measurement: Measurement) -> tuple:
    return tuple(measurement.mask[:, 0].cpu().tolist())


def _fft_consistency(image: Tensor, measurement: Measurement, weight: float) -> Tensor:
    predicted = torch.fft.fft2(image.to(measurement.kspace.dtype), norm="ortho")
    correction = torch.where(measurement.mask, measurement.kspace - predicted, 0)
    consistent = torch.fft.ifft2(predicted + weight * correction, norm="ortho")
    return consistent if image.is_complex() else consistent.real


def _complex_of(images: Tensor) -> torch.dtype:
    if images.is_complex():
        return images.dtype
    return torch.complex128 if images.dtype == torch.float64 else torch.complex64


def _check_kspace(kspace: Tensor) -> None:
    shape = tuple(kspace.shape)
    if kspace.ndim != 4 or kspace.shape[1] != 1:
        coils = f" (of {shape[1]} coils: combine them first)" if kspace.ndim == 4 else ""
        raise InputError(f"k-space has shape {shape}{coils}; pass (batch, 1, height, width)")
    if not kspace.is_complex():
        raise InputError(f"k-space has dtype {kspace.dtype}; pass complex values")


def _check_images(images: Tensor) -> None:
    shape = tuple(images.shape)
    if images.ndim != 4 or images.shape[1] != 1:
        raise InputError(f"images have shape {shape}; pass (batch, 1, height, width)")
    if images.numel() == 0:
        raise InputError(f"images of shape {shape} are empty; pass at least one slice")
    if not (images.is_floating_point() or images.is_complex()):
        raise InputError(f"images have dtype {images.dtype}; pass float or complex values")
    finite = torch.isfinite(torch.view_as_real(images) if images.is_complex() else images)
    if not finite.all():
        bad = (~finite.flatten(1).all(1)).nonzero()[0].item()
        raise InputError(f"image {bad} holds NaN or infinite values; clean the slices first")
