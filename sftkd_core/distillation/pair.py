"""A student beside a frozen teacher, for a training loop of your own.

The experiments of this library keep what a teacher says of each slice. A loop with a ``DataLoader``
that augments cannot; here the teacher runs along with each batch.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from sftkd_core.distillation.factors import Paraphraser
from sftkd_core.distillation.method import Group, Method, tapped
from sftkd_core.distillation.modules import Network
from sftkd_core.distillation.teacher import parts_of
from sftkd_core.system import InputError


class Pair(nn.Module):
    """Student, frozen teacher, and what a method learns between them.

    method   a row, ``distillation.method("at")``
    student  ``Staged``, or any network behind ``tap_modules``; trained by your loop
    teacher  the same; its weights are frozen, here and now
    example  an input as your loop has them, a tensor on the networks' device or a ``Measurement``,
             from which the sizes of learnt parts follow
    given    of the teacher, where it takes another one than the student

    ``parameters_to_train`` is for the optimiser. A method that learns something of the teacher
    first (FT) wants ``prepare``. Raises ``InputError`` for networks without taps, for taps that
    cannot be paired, for a network that cannot be called on its example, and for a student that has
    weights in common with its teacher or none to train.

    >>> from sftkd_core.distillation import method, tap_modules
    >>> net = lambda c: nn.Sequential(nn.Conv2d(1, c, 3, padding=1), nn.ReLU(), nn.Conv2d(c, 1, 1))
    >>> student, teacher = (tap_modules(net(c), ["0"]) for c in (4, 8))
    >>> images = torch.rand(2, 1, 6, 6)
    >>> pair = Pair(method("fitnets"), student, teacher, images)
    >>> output, kd = pair(images)
    >>> tuple(output.shape), tuple(kd.shape), len(pair.student_parts)
    ((2, 1, 6, 6), (), 1)
    """

    def __init__(
        self,
        method: Method,
        student: Network,
        teacher: Network,
        example: Any,
        given: Any = None,
        seed: int = 0,
    ):
        super().__init__()
        if not isinstance(method, Method):
            raise InputError(f'the method is {method!r}; pass a row, distillation.method("at")')
        _check_weights(student, teacher)
        shown = example if given is None else given
        layers = _probed("student", student, example, method.taps)
        learnt = parts_of(method, layers, _probed("teacher", teacher, shown, method.taps), seed)
        self.method, self.student = method, student
        self.teacher = teacher.requires_grad_(False).eval()
        like = layers[0][0]
        ours, theirs = (nn.ModuleList(some).to(like.device, like.dtype) for some in learnt)
        self.student_parts, self.teacher_parts = ours, theirs
        self._prepared = not learnt[1]

    def forward(self, inputs: Any, given: Any = None) -> tuple[Tensor, Tensor]:
        """The student's output for a batch, and the KD loss, a scalar tensor.

        given  what the teacher takes, where that is not what the student takes
        """
        if not self._prepared:
            raise InputError(
                "the teacher's parts have learnt nothing yet; call pair.prepare(batches) first"
            )
        output, ours = tapped(self.student, inputs, self.method.taps)
        theirs = self._of_teacher(inputs if given is None else given)
        kd = self.method.loss(ours, theirs, list(self.student_parts), list(self.teacher_parts))
        return output, kd

    def parameters_to_train(self) -> list[nn.Parameter]:
        """The weights of the student and of the parts that learn beside it."""
        return [*self.student.parameters(), *self.student_parts.parameters()]

    def weight(
        self,
        inputs: Any,
        reconstruction: Callable[[Tensor], Tensor],
        share: float | None = None,
        given: Any = None,
    ) -> float:
        """The weight at which the KD gradient is ``share`` of the reconstruction gradient.

        reconstruction  student's output -> scalar, the loss that your loop has besides
        share           default: the method's

        Both are measured in the student's weights, on this batch. Raises ``InputError`` where the
        KD loss has no gradient.
        """
        output, kd = self(inputs, given)
        pulls = [_pull(loss, self.student) for loss in (reconstruction(output), kd)]
        if not pulls[1] > 0:
            raise InputError(
                "the KD loss has no gradient in the student's weights: the two already agree, or "
                "the method cannot tell them apart; tap other modules"
            )
        return (self.method.share if share is None else share) * pulls[0] / pulls[1]

    def prepare(self, batches: Iterable[Any], rate: float = 1e-3) -> list[float]:
        """Train the teacher's parts on inputs of the teacher; returns the loss of each batch.

        Only FT has such parts: paraphrasers of the teacher's layers, which learn to give them back.
        """
        learnt = [part for part in self.teacher_parts if isinstance(part, Paraphraser)]
        if not learnt:
            return []
        optimiser = torch.optim.Adam(self.teacher_parts.parameters(), lr=rate)
        losses = []
        for inputs in batches:
            layers = [layer for group in self._of_teacher(inputs) for layer in group]
            pairs = zip(learnt, layers, strict=True)
            loss = torch.stack([(p.reconstruct(x) - x).square().mean() for p, x in pairs]).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        self.teacher_parts.requires_grad_(False).eval()
        self._prepared = bool(losses)
        return losses

    def train(self, mode: bool = True) -> "Pair":
        """Student and its parts; the teacher and its own stay as they are."""
        super().train(mode)
        self.teacher.eval()
        if self._prepared:
            self.teacher_parts.eval()
        return self

    @torch.no_grad()
    def _of_teacher(self, given: Any) -> list[Group]:
        return tapped(self.teacher, given, self.method.taps)[1]


def _check_weights(student: nn.Module, teacher: nn.Module) -> None:
    if not any(weight.requires_grad for weight in student.parameters()):
        raise InputError(
            "the student has no weight to train; do not freeze it (requires_grad_), and let it be "
            "another network than a pair's teacher"
        )
    if set(student.parameters()) & set(teacher.parameters()):
        raise InputError(
            "student and teacher have weights in common, which would be frozen in both; pass "
            "copy.deepcopy(teacher)"
        )


@torch.no_grad()
def _probed(role: str, network: Network, example: Any, taps: str) -> list[Group]:
    modes = {part: part.training for part in network.modules()}
    network.eval()
    try:
        _, layers = tapped(network, example, taps)
    except RuntimeError as error:  # torch's own, of shapes, types and devices
        shown = type(example).__name__
        if isinstance(example, Tensor):
            shown = f"{tuple(example.shape)} {example.dtype}"
        raise InputError(
            f"the {role} cannot be called on its example, {shown} ({str(error).splitlines()[0]}); "
            "pass one as your loop has it, and given= where the teacher takes another"
        ) from error
    finally:
        for part, training in modes.items():
            part.training = training
    return layers


def _pull(loss: Tensor, network: nn.Module) -> float:
    """The L2 norm of a loss's gradient in a network's weights."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    squares = [g.double().square().sum() for g in found if g is not None]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0
