"""The public names: one page that names them, and code that other people's may be like."""

import doctest
import importlib
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

import sftkd_core

ROOMS = [name for name in sftkd_core.__all__ if name != "__version__"]
EXAMPLES = [name for name in ROOMS if name != "book"]


def test_the_public_names():
    """What DESIGN promises, line by line; smaller images."""
    from sftkd_core import (
        consistency,
        data,
        distillation,
        experiments,
        masks,
        metrics,
        models,
        sft,
    )
    from sftkd_core.book import Setting, paper, plots

    line_mask = masks.cartesian_mask(lines=240, acceleration=4, seed=0)
    assert line_mask.shape == (240,)
    assert line_mask.dtype == bool
    assert line_mask[0]
    line_mask = masks.cartesian_mask(lines=48)
    images = data.Dataset("brain", 48, slices=2, train=1, test=1).load("test").images
    measurement = consistency.measure(images, line_mask)
    assert measurement.zero_filled.shape == (2, 1, 48, 48)
    for name in ("D5C5", "D4C5", "D3C5", "D2C5", "DC-UNet", "DC-RDN", "MAC-ReconNet", "DAGAN"):
        assert name in models.NAMES
    assert {"VDSR-12", "VDSR-4"} <= set(models.NAMES)
    teacher, student = models.build("D5C5"), models.build("D3C5")
    image = teacher(measurement)
    assert image.shape == images.shape
    assert models.parameter_count(teacher) == 141765
    joint = sft.StudentFriendlyTeacher(teacher, student)
    teacher_image, branch_images = joint(measurement)
    assert branch_images.shape == (4, *teacher_image.shape)
    terms = sft.loss(teacher_image, branch_images, images)
    assert terms.total == terms.teacher + terms.student + terms.imitation
    features = [network.features(measurement)[1][2][1] for network in (student, teacher)]
    for name in ("at", "fitnets", "sp", "fsp", "cc", "pkt", "ft", "nst"):
        assert name in distillation.LOSSES
    assert distillation.LOSSES["at"](*features).ndim == 0
    for metric in (metrics.psnr, metrics.ssim, metrics.mse, metrics.hfn, metrics.vif):
        assert metric(image.detach(), images, data_range=1.0, reduction="slice").shape == (2,)
    experiment = experiments.Experiment(
        "reconstruct", "D2C5", data.Dataset("brain", 32, 2, 1, 1, 1),
        schedule=experiments.Schedule(epochs=1),
    )  # fmt: skip
    assert isinstance(experiments.run(experiment, quiet=True), experiments.Result)
    assert Setting("smoke")
    assert paper.__doc__
    assert plots.__doc__


def test_a_published_mask_is_read(tmp_path):
    from sftkd_core import masks

    line_mask = masks.cartesian_mask(lines=48)
    np.save(tmp_path / "mask_4x.npy", np.repeat(line_mask[:, None], 40, axis=1))
    assert (masks.load_mask(tmp_path / "mask_4x.npy") == line_mask).all()


def test_the_face_is_light():
    code = (
        "import sys, sftkd_core; print('torch' in sys.modules, 'numpy' in sys.modules);"
        "print(sftkd_core.masks.cartesian_mask(8, 2, centre_lines=2).sum())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.split() == ["False", "False", "4"], run


def test_the_face_names_what_there_is():
    assert set(ROOMS) <= set(dir(sftkd_core))
    with pytest.raises(AttributeError, match="no attribute 'mask'"):
        _ = sftkd_core.mask
    page = sftkd_core.__doc__.split("starts from:")[1]
    rooms = re.findall(r"^ {4}(\w+) {2,}((?:.*\n)(?: {10}.*\n)*)", page, re.M)
    assert sorted(room for room, _ in rooms) == ROOMS
    for room, text in rooms:
        module = importlib.import_module(f"sftkd_core.{room}")
        for name in re.findall(r"``(\w+)``", text):
            assert hasattr(module, name), f"{room}.{name}"


def test_all_names_all():
    for room in ROOMS:
        module = importlib.import_module(f"sftkd_core.{room}")
        for name in getattr(module, "__all__", []):
            assert hasattr(module, name), f"{room}.{name}"


@pytest.mark.parametrize("room", EXAMPLES)
def test_examples_in_docstrings(room):
    """Every public module shows in a few true lines what it is for."""
    module = importlib.import_module(f"sftkd_core.{room}")
    torch.manual_seed(0)
    found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert found.attempted >= 1
    assert found.failed == 0
