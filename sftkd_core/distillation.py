"""What a student is asked to share with its teacher besides the image.

A method compares a *summary* of features tapped in both networks. Summary and distance are pure
functions, so a frozen teacher's summaries can be computed once and kept, which is far smaller
than its features. ``METHODS`` is the one table of taps and weights; to add a method, write its two
functions and its row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sftkd_core.errors import InputError


def attention_map(features: Tensor) -> Tensor:
    """Where a layer is active: the sum over channels of squared features, of unit length.

    features (b, c, h, w), any float dtype. Returns (b, h * w), at least float32, each row of L2
    norm 1 (0 where a sample's features are all zero). Zagoruyko and Komodakis (2017), F_sum^2.
    """
    return torch.nn.functional.normalize(_Activity.apply(features).flatten(1), dim=1)


class _Activity(torch.autograd.Function):
    """``(b, c, h, w) -> (b, h, w)``, the sum over channels of squares, accumulated in float32.

    Written out because it is bound by memory: one pass over half-precision features each way,
    where ``features.float().square().sum(1)`` takes six, most of them in float32.
    """

    @staticmethod
    def forward(context, features: Tensor) -> Tensor:
        context.save_for_backward(features)
        precise = torch.promote_types(features.dtype, torch.float32)
        return torch.linalg.vector_norm(features, dim=1, dtype=precise).square()

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        (features,) = context.saved_tensors
        return features * (2 * gradient).to(features.dtype).unsqueeze(1)


def attention_distance(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    """``||Q_S/||Q_S|| - Q_T/||Q_T||||_2`` per sample, mean over the batch; maps (b, h * w)."""
    return torch.linalg.vector_norm(student_map - teacher_map, dim=1).mean()


@dataclass(frozen=True)
class Method:
    """One way of distilling.

    summary       features (b, c, h, w) of one tapped layer -> what is compared
    distance      summary of the student, summary of the teacher -> scalar
    teacher_taps  (stage, convolution) of each tapped layer of a five-stage teacher, from 0
    student_taps  the same for the student, as many
    weight        of the KD term beside the reconstruction loss
    why           one sentence on taps and weight
    """

    summary: Callable[[Tensor], Tensor]
    distance: Callable[[Tensor, Tensor], Tensor]
    teacher_taps: tuple[tuple[int, int], ...]
    student_taps: tuple[tuple[int, int], ...]
    weight: float
    why: str

    def summaries(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The summary of each tapped layer."""
        return [self.summary(layer) for layer in features]

    def compare(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """Sum over layers of the distance between summaries; a scalar tensor."""
        if len(student) != len(teacher) or not student:
            raise InputError(
                f"{len(student)} student and {len(teacher)} teacher layers cannot be paired; "
                "tap as many layers, at least one, in both"
            )
        return sum(self.distance(s, t) for s, t in zip(student, teacher, strict=True))

    def loss(self, student_features, teacher_features) -> Tensor:
        """The KD loss of feature lists (or of one feature tensor each), (b, c, h, w)."""
        student, teacher = _layers(student_features), _layers(teacher_features)
        for s, t in zip(student, teacher, strict=False):
            if s.ndim != 4 or t.ndim != 4 or s.shape[0] != t.shape[0] or s.shape[2:] != t.shape[2:]:
                raise InputError(
                    f"features of shape {tuple(s.shape)} and {tuple(t.shape)} cannot be compared; "
                    "pass (b, c, h, w) with equal b, h and w"
                )
        return self.compare(self.summaries(student), self.summaries(teacher))


METHODS = {
    "at": Method(
        summary=attention_map,
        distance=attention_distance,
        teacher_taps=tuple((stage, 2) for stage in range(5)),
        student_taps=tuple((stage, 1) for stage in range(5)),
        weight=0.01,
        why="The middle convolution of every stage (third of five, second of three), before its "
        "ReLU. At this weight the KD gradient of a trained student is of the size of its "
        "reconstruction gradient. On validation brains of one seed that no chapter uses it did "
        "best of 0.0003 to 0.03 in steps of three; other seeds may disagree.",
    ),
}
LOSSES = {name: method.loss for name, method in METHODS.items()}


def method(name: str) -> Method:
    """The row of ``METHODS``; raises ``InputError`` for an unknown name."""
    if name not in METHODS:
        raise InputError(f"unknown KD method {name!r}; choose one of {', '.join(METHODS)}")
    return METHODS[name]


def tap(features: list[list[Tensor]], taps: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Pick layers from ``Staged.features``: ``features[stage][convolution]``, (b, c, h, w)."""
    try:
        return [features[stage][convolution] for stage, convolution in taps]
    except IndexError:
        depths = [len(stage) for stage in features]
        raise InputError(
            f"cannot tap {tuple(taps)}: the network has {depths} convolutions in its stages"
        ) from None


def _layers(features) -> list[Tensor]:
    return [features] if isinstance(features, Tensor) else list(features)
