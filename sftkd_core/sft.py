"""Student-friendly training of a teacher: Section 3.2 and Figure 2 of the paper.

From each teacher stage k = 1 .. N-1 a branch leaves through the student's stages k+1 .. N. The
teacher learns to reconstruct, each branch learns to reconstruct, and both learn to agree.

>>> from sftkd_core import consistency, models
>>> joint = StudentFriendlyTeacher(models.build("D5C5"), models.build("D3C5"))
>>> images = torch.rand(2, 1, 16, 16)
>>> teacher_image, branch_images = joint(consistency.measure(images, torch.ones(16)))
>>> tuple(teacher_image.shape), tuple(branch_images.shape)
((2, 1, 16, 16), (4, 2, 1, 16, 16))
>>> terms = loss(teacher_image, branch_images, images)
>>> bool(terms.total == terms.teacher + terms.student + terms.imitation)
True
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sftkd_core.consistency import Measurement
from sftkd_core.models import Staged
from sftkd_core.system import Float, InputError

Norm = Callable[[Tensor, Tensor], Tensor]  # (image, target) -> scalar


def l1(
    image: Float[Tensor, "*branches b c h w"], target: Float[Tensor, "*rest b c h w"]
) -> Float[Tensor, ""]:
    """Mean absolute difference: the paper's reconstruction loss, over the number of pixels."""
    return (image - target).abs().mean()


def mse(
    image: Float[Tensor, "*branches b c h w"], target: Float[Tensor, "*rest b c h w"]
) -> Float[Tensor, ""]:
    """Mean squared difference: the loss of the feature-domain setup of the paper's Table 4."""
    return (image - target).square().mean()


NORMS = {"l1": l1, "mse": mse}


class StudentFriendlyTeacher(nn.Module):
    """A teacher together with the branches of its student.

    Both are ``Staged`` with the same number N >= 2 of stages (blocks of your own become such a
    network by ``models.OwnCascade``). The student's stage 1 is part of
    no branch (Figure 2): SFT training leaves it as it is.

    Where the states of the two differ in channels, each branch starts with a 1x1 convolution of
    its own from the teacher's channels to the student's; they are drawn from ``seed``, and no
    part of either network. Networks of equal states have none.

    branches  the teacher stages, counted from 1, behind which a branch leaves; None: all but the
              last, as in the paper
    """

    def __init__(
        self,
        teacher: Staged,
        student: Staged,
        seed: int = 0,
        branches: tuple[int, ...] | None = None,
    ):
        super().__init__()
        for role, network in (("teacher", teacher), ("student", student)):
            if not isinstance(network, Staged):
                raise InputError(
                    f"the {role} is a {type(network).__name__} without stages to branch from; "
                    "build it of blocks, models.OwnCascade([...]), or as a models.Staged"
                )
        if len(teacher.stages) != len(student.stages) or len(teacher.stages) < 2:
            raise InputError(
                f"the teacher has {len(teacher.stages)} stages and the student "
                f"{len(student.stages)}; both need the same number, at least 2"
            )
        self.teacher, self.student = teacher, student
        self.branches = _checked_branches(branches, len(teacher.stages))
        self.adapters = _adapters(teacher, student, seed, len(self.branches))

    def forward(
        self, measurement: Measurement
    ) -> tuple[Float[Tensor, "b 1 h w"], Float[Tensor, "n b 1 h w"]]:
        """Teacher image ``(b, 1, h, w)`` and branch images ``(N-1, b, 1, h, w)``.

        ``branch_images[k-1]`` left the teacher after its stage ``branches[k-1]``. The branches that
        have left so far go through each student stage as one batch: N-1 student calls, not
        N(N-1)/2.
        """
        state = self.teacher.stages[0](self.teacher.stem(measurement), measurement)
        adapters = dict(zip(self.branches, self.adapters, strict=True))
        branches = None  # none has left yet
        for k, (teacher_stage, student_stage) in enumerate(
            zip(self.teacher.stages[1:], self.student.stages[1:], strict=True), start=1
        ):
            if k in adapters:
                leaving = adapters[k](state).unsqueeze(0)
                branches = leaving if branches is None else torch.cat([branches, leaving])
            if branches is not None:
                branches = student_stage(branches, measurement)  # (k, b, c, h, w)
            state = teacher_stage(state, measurement)
        teacher_image = self.teacher.head(state, measurement)
        return teacher_image, self.student.head(branches, measurement)  # type: ignore[arg-type]


def _checked_branches(branches: tuple[int, ...] | None, stages: int) -> tuple[int, ...]:
    every = range(1, stages)
    if branches is None:
        return tuple(every)
    if not branches or list(branches) != sorted(set(branches) & set(every)):
        raise InputError(
            f"branches {branches} of a teacher with {stages} stages; pass some of "
            f"{', '.join(map(str, every))}, in ascending order"
        )
    return tuple(branches)


def _adapters(teacher: Staged, student: Staged, seed: int, branches: int) -> nn.ModuleList:
    """One module a branch, (b, teacher's channels, h, w) -> (b, student's channels, h, w)."""
    before, after = teacher.state_channels, student.state_channels
    if before == after:
        return nn.ModuleList(nn.Identity() for _ in range(branches))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapters = nn.ModuleList(nn.Conv2d(before, after, kernel_size=1) for _ in range(branches))
    return adapters.to(next(teacher.parameters()))


@dataclass(frozen=True)
class Terms:
    """The three terms of the SFT loss and their weighted sum; scalar tensors."""

    teacher: Float[Tensor, ""]
    student: Float[Tensor, ""]
    imitation: Float[Tensor, ""]
    total: Float[Tensor, ""]


SIDES = ("teacher", "branches")  # of the imitation term


def loss(
    teacher_image: Tensor,
    branch_images: Tensor,
    target: Tensor,
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0),
    released: bool = False,
    norm: Norm = l1,
    detached: str | None = None,
) -> Terms:
    """Equations (3)-(5), each L1 norm as a mean over pixels so that sizes compare.

    teacher_image  (b, 1, h, w);  branch_images  (N-1, b, 1, h, w);  target  (b, 1, h, w)
    weights        of the terms teacher, student, imitation in the total (the paper: all 1)
    released       divide the imitation term by the number of values of one image batch once
                   more, as the released code does; it then all but vanishes
    norm           of ``NORMS``, in place of the L1 norm
    detached       "teacher" or "branches": what the imitation term's gradient does not reach; by
                   default it reaches both, as in paper and code
    """
    if branch_images.shape[1:] != target.shape or teacher_image.shape != target.shape:
        raise InputError(
            f"shapes differ: teacher {tuple(teacher_image.shape)}, branches "
            f"{tuple(branch_images.shape)}, target {tuple(target.shape)}; "
            "pass (b, 1, h, w), (N-1, b, 1, h, w), (b, 1, h, w)"
        )
    teacher_term = norm(teacher_image, target)
    student_term = norm(branch_images, target)  # the mean over branches is 1/(N-1) sum
    if detached not in (None, *SIDES):
        raise InputError(f"unknown side {detached!r} to detach; choose one of {', '.join(SIDES)}")
    imitation_term = norm(
        branch_images.detach() if detached == "branches" else branch_images,
        teacher_image.detach() if detached == "teacher" else teacher_image,
    )
    if released:
        imitation_term = imitation_term / target.numel()
    total = sum(
        weight * term
        for weight, term in zip(weights, (teacher_term, student_term, imitation_term), strict=True)
    )
    return Terms(teacher_term, student_term, imitation_term, total)  # type: ignore[arg-type]
