"""bfloat16 on a processor that has none, at about the speed of float32: by rounding.

    python workflow/study.py STAGE --round

A bfloat16 convolution takes operands of eight significant bits, adds their products in float32
and rounds the sum. So the float32 convolution of rounded operands, rounded, is one, up to the
order of its sums, which differs between processors that have bfloat16 as well. PyTorch's own way
without such hardware takes ten times as long. Records say ``BY_ROUNDING`` with the hardware.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from sftkd_core import system
from sftkd_core.experiments import running
from sftkd_core.models import thin

BY_ROUNDING = "bfloat16 by rounding"
_plain = functional.conv2d
_describe = system.describe


def enable() -> None:
    """Let this process train in bfloat16 by rounding, whatever "auto" would mean here."""
    functional.conv2d = conv2d
    thin._ToOne = _ToOne  # type: ignore[misc]
    system.has_bfloat16 = lambda device: True
    running.describe = lambda device: f"{_describe(device)}, {BY_ROUNDING}"


def conv2d(images: Tensor, weight: Tensor, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """``torch.nn.functional.conv2d``; under autocast to bfloat16 by rounding."""
    half = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    if not half or images.dtype == torch.float64:
        return _plain(images, weight, bias, stride, padding, dilation, groups)
    # channels first: without bfloat16 the gradients take half the time of channels last
    rounded = (
        None if x is None else x.to(torch.bfloat16).contiguous() for x in (images, weight, bias)
    )
    geometry = (*map(_pair, (stride, padding, dilation)), groups)
    return _Rounded.apply(*rounded, geometry)


def _pair(value) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


class _Rounded(torch.autograd.Function):
    """A convolution of bfloat16 images, its sums in float32; gradients likewise."""

    @staticmethod
    def forward(context: Any, images: Tensor, weight: Tensor, bias: Tensor | None, geometry):
        context.save_for_backward(images, weight)
        context.geometry, context.biased = geometry, bias is not None
        stride, padding, dilation, groups = geometry
        with torch.autocast("cpu", enabled=False):
            wide = None if bias is None else bias.float()
            sums = _plain(images.float(), weight.float(), wide, stride, padding, dilation, groups)
        return sums.to(torch.bfloat16)

    @staticmethod
    def backward(context: Any, gradient: Tensor):
        images, weight = context.saved_tensors
        stride, padding, dilation, groups = context.geometry
        found = torch.ops.aten.convolution_backward(
            *(x.float().contiguous() for x in (gradient, images, weight)),
            [len(weight)], stride, padding, dilation, False, [0, 0], groups,
            [*context.needs_input_grad[:2], context.biased],
        )  # fmt: skip
        return *(None if x is None else x.to(torch.bfloat16) for x in found), None


class _ToOne(torch.autograd.Function):
    """``thin._ToOne`` with products in float32, each rounded."""

    @staticmethod
    def forward(context: Any, features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        flat, kernel = thin._as_pixels(features).float(), weight.reshape(weight.shape[1], 9).float()
        context.save_for_backward(flat, kernel)
        b, _, h, w = features.shape
        with torch.autocast("cpu", enabled=False):
            shifted = (kernel.T @ flat.T).to(torch.bfloat16)
        return thin._gather(shifted, (b, 1, h, w)) + bias

    @staticmethod
    def backward(context: Any, gradient: Tensor):
        flat, kernel = context.saved_tensors
        shifted = thin._shifts(gradient).flip(0).float()
        to_features = thin._as_images((shifted.T @ kernel.T).to(torch.bfloat16), gradient.shape)
        to_weight = (shifted @ flat).T.reshape(1, -1, 3, 3).to(torch.bfloat16)
        return to_features, to_weight, gradient.float().sum()[None].to(torch.bfloat16)
