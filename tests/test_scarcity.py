"""When distillation pays: as many steps for all, and what a student without targets is shown."""

import pytest
import torch

from sftkd_core import masks, models
from sftkd_core.book import Setting, scarcity
from sftkd_core.consistency import measure
from sftkd_core.experiments import Examples
from sftkd_core.experiments.losses import imitation
from sftkd_core.system import InputError

STUDY = Setting("study", "cardiac")


def steps(experiment):
    data, schedule = experiment.data, experiment.schedule
    return schedule.epochs * data.train * data.slices / schedule.batch


def test_every_student_takes_as_many_steps():
    networks = scarcity.networks(STUDY)
    assert {steps(e) for e in networks.values()} == {steps(STUDY.experiment("student"))}
    assert [networks[f"few-{k}"].data.train for k in scarcity.FEW] == list(scarcity.FEW)


def test_no_student_sees_a_test_subject():
    """Subjects are numbered: those to train and validate on come before those of the test."""
    whole = STUDY.dataset
    for experiment in scarcity.networks(STUDY).values():
        seen = experiment.data
        assert seen.seed == whole.seed
        assert seen.train + seen.validation <= whole.train + whole.validation


def test_targets_of_unlabelled_slices_decide_nothing():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(6, 1, 16, 16, generator=generator)
    measured = measure(images, masks.cartesian_mask(16, 2, 0, 4))
    teacher, student = models.build("D3C5", 1), models.build("D2C5", 2)
    indices = torch.tensor([5, 0, 3, 1])

    def value(targets, labelled=2):
        loss = imitation(Examples(measured, targets), teacher, 0.5, labelled)
        return loss(student, indices)

    other = images.clone()
    other[2:] = 0
    assert value(images).item() == pytest.approx(value(other).item(), rel=1e-6)
    other[1] = 0
    assert value(images).item() != pytest.approx(value(other).item(), rel=1e-3)
    mine, theirs = student(measured[indices]), teacher(measured[indices])
    errors = [(mine[k] - images[i]).abs().mean() for k, i in enumerate(indices.tolist()) if i < 2]
    expected = sum(errors) / 4 + 0.5 * (mine - theirs).abs().mean()
    assert value(images).item() == pytest.approx(expected.item(), rel=1e-5)
    every = imitation(Examples(measured, images), teacher, 0.5)
    assert value(images, 6).item() == pytest.approx(every(student, indices).item(), rel=1e-6)


def test_more_labelled_subjects_than_there_are_is_an_error():
    taught = scarcity.networks(STUDY)["few-taught-5"]
    with pytest.raises(InputError, match="labelled is 41"):
        type(taught)(**{**vars(taught), "labelled": 41})


def test_differences_are_paired_and_leave_out_what_is_not_trained(monkeypatch):
    monkeypatch.setenv("SFTKD_SHIPPED", "yes")
    question = scarcity.ASKED[0]
    found = scarcity.differences(question, (0, 9))
    a, b = (scarcity.network(STUDY, name) for name in (question.a, question.b))
    slices = STUDY.evaluate(a)["psnr"] - STUDY.evaluate(b)["psnr"]
    assert found == {0: pytest.approx(slices.mean())}
