"""Shapes in annotations are checked wherever tests call physics, networks and losses."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from jaxtyping import TypeCheckError

from sftkd_core import consistency, distillation, masks, metrics, models, sft

MASK = masks.cartesian_mask(32, 2, centre_lines=4)
IMAGES = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
MEASUREMENT = consistency.measure(IMAGES, MASK)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: consistency.data_consistency(IMAGES[:, 0], MEASUREMENT),
        lambda: replace(MEASUREMENT, aliased=MEASUREMENT.aliased[:, :, :16]),
        lambda: replace(MEASUREMENT, mask=MEASUREMENT.mask.float()),
        lambda: models.build("D2C5").stages[0](IMAGES[:, 0], MEASUREMENT),
        lambda: sft.l1(IMAGES, IMAGES[:, 0]),
        lambda: distillation.attention_map(IMAGES[0]),
        lambda: distillation.attention_distance(torch.rand(2, 4), torch.rand(3, 4)),
    ],
    ids=["image", "measurement", "mask", "stage", "norm", "map", "distance"],
)
def test_a_wrong_shape_is_seen(wrong):
    with pytest.raises(TypeCheckError):
        wrong()


def test_right_shapes_pass():
    image = models.build("D2C5", 0)(MEASUREMENT)
    assert metrics.psnr(image.detach(), IMAGES, reduction="slice").shape == (2,)
    assert sft.l1(image[None], IMAGES).ndim == 0


def test_users_need_no_checker():
    code = (
        "import sys; sys.modules['jaxtyping'] = None\n"
        "from sftkd_core import consistency, distillation, experiments, masks, models, sft\n"
        "import torch\n"
        "line_mask = masks.cartesian_mask(16, 2, 0, 4)\n"
        "measurement = consistency.measure(torch.rand(1, 1, 16, 16), line_mask)\n"
        "print(*models.build('D2C5')(measurement).shape, masks.line_count(16, 2))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.split() == ["1", "1", "16", "16", "8"], run.stderr
