"""DAGAN: a generator that removes aliasing, trained against a discriminator.

Yang et al., "DAGAN: deep de-aliasing generative adversarial networks for fast compressed sensing
MRI reconstruction" (IEEE TMI 2018). Table 7 of SFT-KD-Recon counts 3,348,227 parameters for it:
that is the U-Net of ``unet.py``, not the original generator of eight levels and up to 1,024
channels. The generator here has that count; what makes it DAGAN is the refinement
``x + tanh(U(x))`` and the losses below. The perceptual loss of the original needs the weights of a
VGG network that was trained on photographs, and is left out.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits, leaky_relu

from sftkd_core.consistency import Measurement
from sftkd_core.models.staged import Staged
from sftkd_core.models.unet import UNet
from sftkd_core.system import Float, InputError


class DAGAN(UNet):
    """The generator with refinement: the zero-filled image plus a bounded correction.

    One stage and no data consistency: it serves as a network of its own, not in student-friendly
    training. The original clips the sum to the range of images; here it is left as it is, and
    training starts near the zero-filled image instead: the frequency loss knows magnitudes only,
    and from a start below zero it would lead to the negative of the image.
    """

    def __init__(self, channels: int = 32, pools: int = 4):
        super().__init__(channels, pools)
        self.channels = channels
        last = self.stages[0].last[-1]  # type: ignore[index]
        nn.init.constant_(last.weight, 0.1)  # type: ignore[union-attr]
        nn.init.zeros_(last.bias)  # type: ignore[union-attr]

    def head(
        self, state: Float[Tensor, "*branches b 1 h w"], measurement: Measurement
    ) -> Float[Tensor, "*branches b 1 h w"]:
        """``x + tanh(U(x))``, (b, 1, h, w)."""
        return measurement.zero_filled + torch.tanh(state)


class Discriminator(nn.Module):
    """Is this image a fully sampled one? Strided convolutions, the mean over patches a logit.

    4x4 convolutions of stride 2 to 1, 2, 4, 8 times ``channels``, leaky ReLU (0.2), batch
    normalisation from the second on, then a 1x1 convolution and the mean: shallower than the
    eleven convolutions of the original, and for images of any size from 32 pixels.
    """

    def __init__(self, channels: int = 64):
        super().__init__()
        widths = [1, *(channels * 2**level for level in range(4))]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1, bias=before == 1)
            for before, after in pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[2:])
        self.last = nn.Conv2d(widths[-1], 1, kernel_size=1)

    def forward(self, image: Float[Tensor, "b 1 h w"]) -> Float[Tensor, " b"]:
        """``(b, 1, h, w) -> (b,)`` logits: positive for "fully sampled"."""
        if min(image.shape[-2:]) < 32:
            raise InputError(
                f"images of {image.shape[-2]} x {image.shape[-1]} pixels are too small for the "
                "discriminator; pass at least 32 x 32"
            )
        hidden = leaky_relu(self.convolutions[0](image), 0.2)
        for convolution, norm in zip(self.convolutions[1:], self.norms, strict=True):
            hidden = leaky_relu(norm(convolution(hidden)), 0.2)
        return self.last(hidden).mean(dim=(1, 2, 3))


def pixel_loss(
    image: Float[Tensor, "b 1 h w"], target: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, ""]:
    """``||image - target|| / ||target||`` per slice, mean over the batch; (b, 1, h, w) each.

    The paper writes half the squared norm; its code, whose weights are the defaults of
    ``LossWeights``, has this relative form.
    """
    norms = torch.linalg.vector_norm(target.flatten(1), dim=1).clamp_min(1e-6)
    return (torch.linalg.vector_norm((image - target).flatten(1), dim=1) / norms).mean()


def frequency_loss(
    image: Float[Tensor, "b 1 h w"], target: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, ""]:
    """Mean squared difference of the magnitudes of k-space; (b, 1, h, w) each.

    The transform is not normalised, as in the original's code. Magnitudes, because of complex
    values it would be the pixels' squared difference over again (Parseval).
    """
    spectra = [torch.fft.fft2(x.float()).abs() for x in (image, target)]
    return (spectra[0] - spectra[1]).square().mean()


def adversarial_loss(logits: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """Low where the discriminator takes generated images for fully sampled ones; logits (b,)."""
    return binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


def discriminator_loss(
    real: Float[Tensor, " b"], generated: Float[Tensor, " b"]
) -> Float[Tensor, ""]:
    """Low where both kinds are told apart; logits (b,) of target and of generated images."""
    fooled = binary_cross_entropy_with_logits(generated, torch.zeros_like(generated))
    return adversarial_loss(real) + fooled


@dataclass(frozen=True)
class LossWeights:
    """Weights of the generator's losses; the defaults of the original's code."""

    pixel: float = 15.0
    frequency: float = 0.1
    adversarial: float = 1.0


def adam(network: nn.Module, rate: float = 1e-4) -> torch.optim.Adam:
    """The optimiser that the original uses for each of the two networks."""
    return torch.optim.Adam(network.parameters(), lr=rate, betas=(0.5, 0.999))


def adversarial_step(
    generator: nn.Module,
    discriminator: Discriminator,
    optimisers: tuple[torch.optim.Optimizer, torch.optim.Optimizer],
    measurement: Measurement,
    target: Float[Tensor, "b 1 h w"],
    weights: LossWeights | None = None,
) -> dict[str, float]:
    """One step of the discriminator, then one of the generator, on one batch.

    optimisers  of the generator and of the discriminator
    target      (b, 1, h, w), the images behind the measurement

    Returns the losses before the step: "pixel", "frequency", "adversarial", "generator" (their
    weighted sum) and "discriminator".
    """
    weights = weights or LossWeights()
    generator_optimiser, discriminator_optimiser = optimisers
    image = generator(measurement)

    discriminator_optimiser.zero_grad(set_to_none=True)
    judged = discriminator_loss(discriminator(target), discriminator(image.detach()))
    judged.backward()
    discriminator_optimiser.step()

    terms = {
        "pixel": pixel_loss(image, target),
        "frequency": frequency_loss(image, target),
        "adversarial": adversarial_loss(discriminator(image)),
    }
    total = sum(getattr(weights, name) * term for name, term in terms.items())
    generator_optimiser.zero_grad(set_to_none=True)
    total.backward()  # also fills the discriminator's gradients, which its next step clears
    generator_optimiser.step()
    return {name: term.item() for name, term in terms.items()} | {
        "generator": total.item(),
        "discriminator": judged.item(),
    }


class Adversaries(nn.Module):
    """A generator and its discriminator; as a network it is the generator."""

    def __init__(self, generator: Staged, discriminator: Discriminator):
        super().__init__()
        self.generator, self.discriminator = generator, discriminator

    def forward(self, measurement: Measurement) -> Float[Tensor, "b 1 h w"]:
        """The generator's images, (b, 1, h, w)."""
        return self.generator(measurement)


def game(
    network: Adversaries,
    measurement: Measurement,
    target: Float[Tensor, "b 1 h w"],
    weights: LossWeights | None = None,
) -> Float[Tensor, ""]:
    """The generator's loss plus the discriminator's: neither moves the other's weights; a scalar.

    The alternating steps of DAGAN are ``adversarial_step``. Here both steps start from the weights
    before them, so that the sum of two losses does, and the loop, its checkpoints and its bit-equal
    resume are those of every other network.
    """
    weights = weights or LossWeights()
    image = network(measurement).float()
    # the judge as it is, its weights taken for constants: gradients reach the image only
    judge = network.discriminator
    constants = {name: value.detach() for name, value in judge.named_parameters()}
    opinion = functional_call(judge, constants, image)
    generator = (
        weights.pixel * pixel_loss(image, target)
        + weights.frequency * frequency_loss(image, target)
        + weights.adversarial * adversarial_loss(opinion)
    )
    return generator + discriminator_loss(judge(target), judge(image.detach()))
