"""3x3 convolutions down to a single channel, as matrix products, for bfloat16 on processors.

A cascade ends every stage with one. It moves far more bytes than it computes, and the processor's
convolution kernels, made for many channels, take twice the time of those bytes. As a product with
nine shifted copies of the one-channel image it takes one pass over the features each way.
Elsewhere (float32, GPUs) the ordinary convolution runs.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from sftkd_core.system import Float


def convolve(layer: nn.Conv2d, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b _ h w"]:
    """``layer(features)``, by the faster way; (b, c, h, w) -> (b, c', h, w).

    layer  3x3, padding 1, with bias
    """
    half = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    thin = layer.out_channels == 1 and layer.in_channels > 1
    if not (half and thin and features.device.type == "cpu" and features.dtype != torch.float64):
        return layer(features)
    return _ToOne.apply(*(x.to(torch.bfloat16) for x in (features, layer.weight, layer.bias)))  # type: ignore[union-attr]


class _ToOne(torch.autograd.Function):
    """(b, c, h, w) -> (b, 1, h, w)."""

    @staticmethod
    def forward(context, features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        flat, kernel = _as_pixels(features), weight.reshape(weight.shape[1], 9)
        context.save_for_backward(flat, kernel)
        b, _, h, w = features.shape
        return _gather(kernel.T @ flat.T, (b, 1, h, w)) + bias

    @staticmethod
    def backward(context, gradient: Tensor):
        flat, kernel = context.saved_tensors
        shifted = _shifts(gradient).flip(0)
        to_features = _as_images(shifted.T @ kernel.T, gradient.shape)
        to_weight = (shifted @ flat).T.reshape(1, -1, 3, 3)
        return to_features, to_weight, gradient.float().sum()[None].to(gradient.dtype)


def _shifts(images: Tensor) -> Tensor:
    """Nine copies of one-channel images, each shifted by one tap of the kernel: (9, pixels)."""
    b, _, h, w = images.shape
    padded = pad(images[:, 0], (1, 1, 1, 1))
    shifted = images.new_empty(9, b, h, w)
    for tap in range(9):
        row, column = divmod(tap, 3)
        shifted[tap] = padded[:, row : row + h, column : column + w]
    return shifted.view(9, -1)


def _gather(shifted: Tensor, shape) -> Tensor:
    """Sum of nine images, each shifted back by its tap: (9, pixels) -> (b, 1, h, w)."""
    b, _, h, w = shape
    total = torch.zeros(b, h + 2, w + 2, device=shifted.device)
    for tap, part in enumerate(shifted.view(9, b, h, w)):
        row, column = divmod(tap, 3)
        total[:, 2 - row : 2 - row + h, 2 - column : 2 - column + w] += part
    return total[:, None, 1:-1, 1:-1].to(shifted.dtype).contiguous()


def _as_pixels(features: Tensor) -> Tensor:
    """(b, c, h, w) -> (pixels, c): without a copy where the layout is channels last."""
    features = features.contiguous(memory_format=torch.channels_last)
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


def _as_images(pixels: Tensor, shape) -> Tensor:
    b, _, h, w = shape
    return pixels.view(b, h, w, -1).permute(0, 3, 1, 2)
