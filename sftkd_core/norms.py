"""How far an image is from its target: the two reconstruction losses."""

from torch import Tensor


def l1(image: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference: the paper's reconstruction loss, over the number of pixels."""
    return (image - target).abs().mean()


def mse(image: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference: the loss of the feature-domain setup of the paper's Table 4."""
    return (image - target).square().mean()


NORMS = {"l1": l1, "mse": mse}
