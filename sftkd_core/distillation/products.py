"""Inner products of features, between channels or between slices: the work of five methods.

Written out because they are bound by memory: features stay in the precision and the layout
(channels last) in which the network made them, sums are accumulated in at least float32, and the
gradient comes back in the features' own precision. Nothing larger than the features is made.
"""

import torch
from torch import Tensor

from sftkd_core.system import Float

CHUNK = 1 << 19  # values that are converted to full precision at a time; they stay in the cache


def channel_products(
    first: Float[Tensor, "b c1 h w"], second: Float[Tensor, "b c2 h w"]
) -> Float[Tensor, "b c1 c2"]:
    """``sum over pixels of first_i * second_j``: (b, c1, h, w), (b, c2, h, w) -> (b, c1, c2)."""
    if first is second:
        return _Gram.apply(_pixels(first).transpose(1, 2))
    return _Products.apply(_pixels(first).transpose(1, 2), _pixels(second).transpose(1, 2))


def slice_products(
    rows: Float[Tensor, "m c h w"], columns: Float[Tensor, "n c h w"]
) -> Float[Tensor, "m n"]:
    """Inner products of slices: (m, c, h, w), (n, c, h, w) -> (m, n)."""
    if rows is columns:
        return _Gram.apply(_pixels(rows).flatten(1)[None])[0]
    pair = (_pixels(x).flatten(1)[None] for x in (rows, columns))
    return _Products.apply(*pair)[0]


def sum_of_squares(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"]:
    """The sum over channels of squares, at least float32: (b, c, h, w) -> (b, h, w)."""
    return _SumOfSquares.apply(features)


def _pixels(features: Tensor) -> Tensor:
    """(b, c, h, w) -> (b, h * w, c): without a copy where the layout is channels last."""
    return features.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).flatten(1, 2)


class _Products(torch.autograd.Function):
    """``A B^T``: (b, m, k), (b, n, k) -> (b, m, n)."""

    @staticmethod
    def forward(context, a: Tensor, b: Tensor) -> Tensor:
        context.save_for_backward(a, b)
        return _product(a, b)

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = context.saved_tensors
        wanted = context.needs_input_grad
        to_a = _combine(gradient, b).to(a.dtype) if wanted[0] else None
        to_b = _combine(gradient.transpose(1, 2), a).to(b.dtype) if wanted[1] else None
        return to_a, to_b


class _Gram(torch.autograd.Function):
    """``A A^T``: (b, m, k) -> (b, m, m), whose gradient ``(G + G^T) A`` is one product."""

    @staticmethod
    def forward(context, a: Tensor) -> Tensor:
        context.save_for_backward(a)
        return _product(a, a)

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        (a,) = context.saved_tensors
        return _combine(gradient + gradient.transpose(1, 2), a)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """``A B^T`` in at least float32, summed over k piece by piece."""
    precise = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    step = max(1, CHUNK // max(1, a.shape[0] * max(a.shape[1], b.shape[1])))
    total = torch.zeros(a.shape[0], a.shape[1], b.shape[1], dtype=precise, device=a.device)
    for start in range(0, a.shape[2], step):
        left = a[:, :, start : start + step].to(precise)
        right = left if b is a else b[:, :, start : start + step].to(precise)
        total.baddbmm_(left, right.transpose(1, 2))
    return total


def _combine(weights: Tensor, rows: Tensor) -> Tensor:
    """``W B``: (b, m, n), (b, n, k) -> (b, m, k), in the precision and the layout of the rows."""
    weights = weights.to(rows.dtype)
    if rows.stride(2) == 1:
        return weights @ rows
    return (rows.transpose(1, 2) @ weights.transpose(1, 2)).transpose(1, 2)


class _SumOfSquares(torch.autograd.Function):
    """``(b, c, h, w) -> (b, h, w)``, the sum over channels of squares, accumulated in float32.

    Written out because it is bound by memory: one pass over half-precision features each way,
    where ``features.float().square().sum(1)`` takes six, most of them in float32. Slice by slice,
    so that what is converted to float32 stays small.
    """

    @staticmethod
    def forward(context, features: Tensor) -> Tensor:
        context.save_for_backward(features)
        precise = torch.promote_types(features.dtype, torch.float32)
        parts = [torch.linalg.vector_norm(x, dim=0, dtype=precise) for x in features]
        return torch.stack(parts).square_()

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        (features,) = context.saved_tensors
        return features * (2 * gradient).to(features.dtype).unsqueeze(1)


def precise(features: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Half-precision features as float32; others as they are."""
    return features.to(torch.promote_types(features.dtype, torch.float32))


def as_real(features: Tensor) -> Tensor:
    """Complex features (b, c, ...) as real (b, 2 c, ...), real parts first; real ones as they are.

    Squared magnitudes, distances and the real parts of inner products stay what they are.
    """
    if not features.is_complex():
        return features
    return torch.cat([features.real, features.imag], dim=1)


def full_precision(tensor: Tensor):
    """A context without autocast on the tensor's device."""
    return torch.autocast(tensor.device.type, enabled=False)
