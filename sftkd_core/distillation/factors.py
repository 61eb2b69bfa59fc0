"""Factor transfer (FT): a paraphrase of the teacher, translated. Kim, Park and Kwak (2018)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from sftkd_core.distillation.method import Method
from sftkd_core.distillation.products import precise
from sftkd_core.system import Float

RATE = 0.5  # the paper's k: channels of a factor over channels of the teacher


def _layer(kind, before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        kind(before, after, kernel_size=3, padding=1), nn.BatchNorm2d(after), nn.LeakyReLU(0.1)
    )


def _encoder(channels: int, factor: int) -> nn.Sequential:
    return nn.Sequential(
        _layer(nn.Conv2d, channels, channels),
        _layer(nn.Conv2d, channels, factor),
        _layer(nn.Conv2d, factor, factor),
    )


class Paraphraser(nn.Module):
    """An autoencoder of the teacher's features, trained before the student.

    Three convolutions down to ``RATE`` times the channels (the *factor*), three transposed ones
    back; 3 x 3, batch norm and leaky ReLU after each but the last. The publication has them after
    the last too, but its features lie behind a ReLU: ours, before theirs, have both signs and any
    size, and an end that is normalised and all but positive cannot give them back.
    """

    def __init__(self, channels: int):
        super().__init__()
        factor = factor_channels(channels)
        self.encoder = _encoder(channels, factor)
        self.decoder = nn.Sequential(
            _layer(nn.ConvTranspose2d, factor, factor),
            _layer(nn.ConvTranspose2d, factor, channels),
            nn.ConvTranspose2d(channels, channels, kernel_size=3, padding=1),
        )

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b _ h w"]:
        """Factors (b, k * c, h, w) of features (b, c, h, w)."""
        return self.encoder(features)

    def reconstruct(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The features again, through their factors; (b, c, h, w)."""
        return self.decoder(self.encoder(features))


def translator(student_channels: int, teacher_channels: int) -> nn.Module:
    """The student's counterpart of the paraphraser's encoder; it learns beside the student."""
    return _encoder(student_channels, factor_channels(teacher_channels))


def factor_channels(channels: int) -> int:
    """Channels of a factor of a teacher's layer."""
    return max(1, round(RATE * channels))


def unit_factor(factors: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c*h*w"]:
    """Factors as one vector of unit length a slice: (b, c, h, w) -> (b, c * h * w)."""
    return normalize(precise(factors).flatten(1), dim=1)


def factor_distance(
    student_factor: Float[Tensor, "b n"], teacher_factor: Float[Tensor, "b n"]
) -> Float[Tensor, ""]:
    """``||F_T/||F_T||_2 - F_S/||F_S||_2||_1`` per sample, mean over the batch."""
    return torch.linalg.vector_norm(student_factor - teacher_factor, ord=1, dim=1).mean()


ROWS = {
    "cited": Method(
        taps="last hidden",
        summary=unit_factor,
        distance=factor_distance,
        why="The last stage only, where the publication puts its paraphraser; a translator costs "
        "a third of what the student costs.",
        channels=True,
        student_part=translator,
        teacher_part=Paraphraser,
    ),
}
