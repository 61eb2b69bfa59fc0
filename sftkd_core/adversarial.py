"""Adversarial training as one loss: a generator and its discriminator take their steps together.

The alternating steps of DAGAN are ``models.dagan.adversarial_step``. Here both steps start from
the weights before them, so that the sum of two losses does, and the loop, its checkpoints and its
bit-equal resume are those of every other network.
"""

from torch import Tensor, nn
from torch.func import functional_call

from sftkd_core.consistency import Measurement
from sftkd_core.models.dagan import (
    Discriminator,
    LossWeights,
    adversarial_loss,
    discriminator_loss,
    frequency_loss,
    pixel_loss,
)
from sftkd_core.models.staged import Staged
from sftkd_core.norms import l1
from sftkd_core.objectives import Examples, Objective, Validation, validate_image


class Adversaries(nn.Module):
    """A generator and its discriminator; as a network it is the generator."""

    def __init__(self, generator: Staged, discriminator: Discriminator):
        super().__init__()
        self.generator, self.discriminator = generator, discriminator

    def forward(self, measurement: Measurement) -> Tensor:
        """The generator's images, (b, 1, h, w)."""
        return self.generator(measurement)


def adversarial(train: Examples, weights: LossWeights | None = None) -> Objective:
    """The generator's loss, plus the discriminator's: neither moves the other's weights."""
    weights = weights or LossWeights()

    def objective(network: Adversaries, indices: Tensor) -> Tensor:
        image, target = network(train.measurement[indices]).float(), train.targets[indices]
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

    return objective


def validate_adversaries(validation: Examples) -> Validation:
    """L1 and PSNR of the generator's images: the losses of two players choose no best epoch."""
    return validate_image(validation, l1)
