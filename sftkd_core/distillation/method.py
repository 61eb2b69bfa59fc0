"""The shape that every distillation method shares: taps, a summary, a distance.

A method compares *summaries* of features tapped in both networks. Summary and distance are pure
functions, so a frozen teacher's summaries can be computed once and kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from sftkd_core.distillation.products import as_real, full_precision
from sftkd_core.system import Float, InputError

Features = list[list[Tensor]]  # features[stage][convolution], each (b, c, h, w)
Group = tuple[Tensor, ...]  # the layers that one summary is made of: one, or for FSP two


# One share for all: when training starts, the KD loss pulls at the student's weights as hard as the
# reconstruction loss does. A chapter shows how much hangs on it.
SHARE = 1.0


@dataclass(frozen=True)
class Method:
    """One way of distilling.

    taps        key of ``TAPS`` or ``CONSISTENT``: what of both networks is compared
    summary     layers of a group, each (b, c, h, w) -> what is compared, (b, ...); of a relational
                method: (features of m slices, features of n slices) -> (m, n)
    distance    (summary of the student, summary of the teacher) -> scalar
    why         a sentence on taps and share
    share       default size of the KD gradient in the student's weights when training starts, as
                a share of the reconstruction gradient; the weight follows from it
    relational  whether slices are compared with each other: the summary is a Gram matrix
    spatial     whether maps are compared pixel by pixel: the larger is then averaged to the size
                of the smaller
    channels    whether channel is compared with channel: both networks then need equally many
    mean        whether the distances of the groups are averaged (released code) or summed (papers)
    smallest    slices that a batch must hold for the loss to say anything
    student_part  (channels of student, of teacher) -> a module that learns beside the student and
                is applied to its tapped layers, or None
    teacher_part  (channels of teacher) -> a module trained before the student and applied to the
                teacher's tapped layers
    """

    taps: str
    summary: Callable[..., Tensor]
    distance: Callable[[Tensor, Tensor], Tensor]
    why: str
    share: float = SHARE
    relational: bool = False
    spatial: bool = True
    channels: bool = False
    mean: bool = False
    smallest: int = 1
    student_part: Callable[[int, int], nn.Module | None] | None = None
    teacher_part: Callable[[int], nn.Module] | None = None

    @property
    def layers(self) -> int:
        """How many layers one summary is made of."""
        return 2 if self.taps in ("flow", "image flow") else 1

    def summaries(self, groups: Sequence[Group]) -> list[Tensor]:
        """The summary of each group, in at least float32."""
        with full_precision(groups[0][0]):
            if self.relational:
                return [self.summary(features, features) for (features,) in groups]
            return [self.summary(*group) for group in groups]

    def compare(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """Sum (or mean) over groups of the distance between summaries; a scalar tensor."""
        _check_number(student, teacher)
        with full_precision(student[0]):
            total = sum(self.distance(s, t) for s, t in zip(student, teacher, strict=True))
        return total / len(student) if self.mean else total  # type: ignore[return-value]

    def loss(self, student_features, teacher_features, student_parts=None, teacher_parts=None):
        """The KD loss of tapped features: a scalar tensor.

        student_features, teacher_features
            one layer (b, c, h, w), a list of layers, or a list of groups of layers (FSP takes
            pairs; of a plain list it takes neighbours). The networks may differ in channels,
            and in size where a method can bridge it.
            Complex features count as twice as many real channels.
        student_parts, teacher_parts
            modules for each tapped layer, see ``parts``: FitNets' regressor, FT's translator and
            paraphraser. An empty list compares the features as they are.

        Raises ``InputError`` for layers that cannot be compared, for a batch too small, and for a
        method with learnt parts that was given none.
        """
        student, teacher = self.groups(student_features), self.groups(teacher_features)
        self._check(student, teacher)
        self._check_parts(student, teacher, student_parts, teacher_parts)
        student = apply_parts(student, student_parts)
        teacher = apply_parts(teacher, teacher_parts)
        self._check_channels(student, teacher)
        sizes = self.sizes(student, teacher)
        pair = (self.summaries(resize(groups, sizes)) for groups in (student, teacher))
        return self.compare(*pair)

    def groups(self, features) -> list[Group]:
        """One layer, a list of layers or of groups, as a list of groups."""
        if isinstance(features, Tensor):
            return [(as_real(features),) * self.layers]
        layers = list(features)
        if not layers or not isinstance(layers[0], Tensor):
            return [tuple(map(as_real, group)) for group in layers]
        layers = list(map(as_real, layers))
        if self.layers == 1:
            return [(layer,) for layer in layers]
        return list(pairwise(layers)) or [(layers[0], layers[0])]

    def sizes(self, student: Sequence[Group], teacher: Sequence[Group]) -> list[tuple] | None:
        """The (h, w) at which each group is compared; None where sizes do not matter."""
        if not self.spatial:
            return None
        pairs = zip(student, teacher, strict=True)
        return [min(s[0].shape[2:], t[0].shape[2:], key=lambda x: x[0] * x[1]) for s, t in pairs]

    def check_taps(self, student: Sequence[Group], teacher: Sequence[Group]) -> None:
        """Raise ``InputError`` unless tapped layers can be paired, after learnt parts if any."""
        _check_number(student, teacher)
        if self.student_part is None:
            self._check_channels(student, teacher)

    def _check(self, student: list[Group], teacher: list[Group]) -> None:
        _check_number(student, teacher)
        for ours, theirs in zip(student, teacher, strict=True):
            for s, t in zip(ours, theirs, strict=True):
                if s.ndim != 4 or t.ndim != 4 or len(s) != len(t):
                    raise InputError(
                        f"features of shape {tuple(s.shape)} and {tuple(t.shape)} cannot be "
                        "compared; pass (b, c, h, w) with the same slices"
                    )
        if len(student[0][0]) < self.smallest:
            raise InputError(
                f"a batch of {len(student[0][0])} slices: this loss compares slices with each "
                f"other and needs at least {self.smallest}; use a larger batch"
            )

    def _check_parts(self, student, teacher, student_parts, teacher_parts) -> None:
        """A method with learnt parts is another method without them: only where asked for."""
        remedy = "see distillation.parts, or [] to compare the features as they are"
        if student_parts is None and self.student_part is not None:
            groups = (zip(s, t, strict=True) for s, t in zip(student, teacher, strict=True))
            for ours, theirs in [(s.shape[1], t.shape[1]) for group in groups for s, t in group]:
                if self.student_part(ours, theirs) is not None:
                    raise InputError(
                        f"{ours} student and {theirs} teacher channels, between which this method "
                        f"learns a part; pass student_parts=[...], {remedy}"
                    )
        if teacher_parts is None and self.teacher_part is not None:
            raise InputError(
                "this method has a part for each of the teacher's layers, trained before the "
                f"student; pass teacher_parts=[...], {remedy}"
            )

    def _check_channels(self, student: Sequence[Group], teacher: Sequence[Group]) -> None:
        if not self.channels:
            return
        remedy = "tap layers of as many channels in both"
        if self.student_part is not None:
            remedy = (
                "pass the learnt part that joins them: student_parts=[...], see distillation.parts"
            )
        for ours, theirs in zip(student, teacher, strict=True):
            for s, t in zip(ours, theirs, strict=True):
                if s.shape[1] != t.shape[1]:
                    raise InputError(
                        f"{s.shape[1]} student and {t.shape[1]} teacher channels cannot be "
                        f"compared as they are; {remedy}"
                    )


def _check_number(student: Sequence, teacher: Sequence) -> None:
    if len(student) != len(teacher) or not student:
        raise InputError(
            f"{len(student)} student and {len(teacher)} teacher layers cannot be paired; "
            "tap as many layers, at least one, in both"
        )


def apply_parts(groups: Sequence[Group], parts) -> list[Group]:
    """Groups with a module applied to each layer; ``parts`` in the order of the layers, or None."""
    if not parts:
        return list(groups)
    count = sum(len(group) for group in groups)
    if len(parts) != count:
        raise InputError(
            f"{len(parts)} learnt parts do not fit {count} layers; pass one for each layer"
        )
    remaining = iter(parts)
    return [tuple(next(remaining)(layer) for layer in group) for group in groups]


def resize(groups: Sequence[Group], sizes: Sequence[tuple] | None) -> list[Group]:
    """Layers averaged down to the given (h, w), one size a group; None changes nothing."""
    if sizes is None:
        return list(groups)
    return [
        tuple(x if x.shape[2:] == size else adaptive_avg_pool2d(x, size) for x in group)
        for group, size in zip(groups, sizes, strict=True)
    ]


def _middle(features: Features) -> list[Group]:
    """The middle convolution of every stage: the third of five, the second of three."""
    return [(stage[(len(stage) - 1) // 2],) for stage in features]


def _active_middle(features: Features) -> list[Group]:
    """The same after its ReLU, where the released scripts tap it."""
    return [(layer.relu(),) for (layer,) in _middle(features)]


def _images(features: Features) -> list[Group]:
    """The last convolution of every stage: of a cascade an image of one channel."""
    return [(stage[-1],) for stage in features]


def _flow(features: Features) -> list[Group]:
    """The first and the last hidden convolution of every stage."""
    return [(stage[0], stage[max(0, len(stage) - 2)]) for stage in features]


def _central_middle(features: Features) -> list[Group]:
    return [_middle(features)[(len(features) - 1) // 2]]


def _last_middle(features: Features) -> list[Group]:
    return _middle(features)[-1:]


def _central_image(features: Features) -> list[Group]:
    return [_images(features)[(len(features) - 1) // 2]]


def _early_images(features: Features) -> list[Group]:
    return _images(features)[:-1]


def _image_flow(features: Features) -> list[Group]:
    return [(before[-1], after[-1]) for before, after in pairwise(features[:-1])]


def _every_image(images: list[Tensor]) -> list[Group]:
    """What stages pass on, after data consistency: ``Staged.states``."""
    return [(image,) for image in images]


def _last_image(images: list[Tensor]) -> list[Group]:
    return [(images[-1],)]


TAPS: dict[str, Callable[[Features], list[Group]]] = {
    "hidden": _middle,
    "active hidden": _active_middle,
    "central hidden": _central_middle,
    "last hidden": _last_middle,
    "images": _images,
    "central image": _central_image,
    "early images": _early_images,
    "flow": _flow,
    "image flow": _image_flow,
}
CONSISTENT: dict[str, Callable[[list[Tensor]], list[Group]]] = {
    "consistent images": _every_image,
    "output": _last_image,
}


def tapped(
    network: Any, measurement: Any, taps: str
) -> tuple[Float[Tensor, "b 1 h w"], list[Group]]:
    """A network's images, and its layers (or images after data consistency) of some taps.

    network      ``Staged``, or any other behind ``tap_modules``
    measurement  a ``Measurement``, or what the network behind the taps takes

    Raises ``InputError`` for a network that is neither ``Staged`` nor tapped by ``tap_modules``.
    """
    if not (hasattr(network, "features") and hasattr(network, "states")):
        raise InputError(
            f"a {type(network).__name__} has no taps; name the modules to compare, "
            'distillation.tap_modules(network, ["encoder.0", ...])'
        )
    if taps in CONSISTENT:
        images = network.states(measurement)
        return images[-1], CONSISTENT[taps](images)
    output, features = network.features(measurement)
    return output, tap(features, taps)


def tap(features: Features, taps: str) -> list[Group]:
    """Pick layers from ``Staged.features``; ``taps`` is a key of ``TAPS``."""
    if taps not in TAPS:
        raise InputError(f"unknown taps {taps!r}; choose one of {', '.join(TAPS)}")
    groups = TAPS[taps](features)
    if not groups:
        raise InputError(f"a network of {len(features)} stages has no layers for taps {taps!r}")
    return groups
