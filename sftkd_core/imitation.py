"""Imitation: the student's image follows the teacher's as well as the target (KD-MRI).

Murugesan et al., "KD-MRI" (MIDL 2020) distil attention first and then train ``L_rec`` and
``L_imit`` together. Their released code divides the imitation term by the number of pixels once
more, after which little of it is left, as in SFT-KD-Recon's; here both terms count alike.
"""

import torch
from torch import Tensor, nn

from sftkd_core.models import Staged
from sftkd_core.norms import l1
from sftkd_core.objectives import Examples, Objective


def imitation(train: Examples, teacher: Staged, weight: float = 1.0) -> Objective:
    """``L_rec + weight * L_imit``: a student beside a frozen teacher; both terms are L1 means."""
    examples = range(0, len(train.targets), 8)
    with torch.no_grad():  # masks are fixed: the teacher says the same in every epoch
        shown = torch.cat([teacher(train.measurement[i : i + 8]) for i in examples])

    def objective(network: nn.Module, indices: Tensor) -> Tensor:
        image = network(train.measurement[indices])
        return l1(image, train.targets[indices]) + weight * l1(image, shown[indices])

    return objective
