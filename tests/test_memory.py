"""What is remembered of a teacher is what it would say in every step."""

import pytest
import torch

from sftkd_core import distillation, masks, models
from sftkd_core.consistency import measure
from sftkd_core.distillation import CONSISTENT, METHODS
from sftkd_core.distillation import teacher as teachers
from sftkd_core.distillation.teacher import common_sizes
from sftkd_core.models import Cascade

CASES = [(name, variant) for name, rows in METHODS.items() for variant in rows]
COUNT = 19  # two blocks of eight and a rest


@pytest.fixture(scope="module")
def measured():
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(COUNT, 1, 16, 16, generator=generator)
    return measure(images, masks.cartesian_mask(16, 2, 0, 4))


@pytest.fixture(scope="module")
def teacher():
    return models.build("D5C5", 0).requires_grad_(False).eval()


def teacher_parts(name, teacher):
    row = distillation.method(name)
    _, parts = distillation.parts(row, models.build("D3C5", 1), teacher)
    return [part.requires_grad_(False).eval() for part in parts]


def live(row, teacher, parts, measurement, indices):
    """The summaries of a batch, by hand: features, paraphrase, summary; no other slice is seen."""
    with torch.no_grad():
        if row.taps in CONSISTENT:
            images = teacher.states(measurement[indices])
            groups = [(image,) for image in images][-1 if row.taps == "output" else 0 :]
        else:
            groups = distillation.tap(teacher.features(measurement[indices])[1], row.taps)
        parts = iter(parts or [torch.nn.Identity()] * 10)
        groups = [tuple(next(parts)(layer) for layer in group) for group in groups]
        if row.relational:
            return [row.summary(x, x) for (x,) in groups]
        return [row.summary(*group) for group in groups]


BATCHES = [[0, 1, 2, 3], [18, 7, 3, 12], [5, 4], [17, 18, 8, 9, 0]]


@pytest.mark.parametrize("limit", [2e9, 0])
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_remembered_is_live(name, variant, limit, teacher, measured, monkeypatch):
    row, parts = distillation.method(name, variant), teacher_parts(name, teacher)
    for block in (1e9, 1):
        monkeypatch.setattr(teachers, "BLOCK", block)
        known = teachers.remember(teacher, measured, row, parts, precision="float32", limit=limit)
        for batch in BATCHES:
            indices = torch.tensor(batch)
            ours, theirs = known(indices), live(row, teacher, parts, measured, indices)
            assert len(ours) == len(theirs)
            for a, b in zip(ours, theirs, strict=True):
                assert a.shape == b.shape
                assert torch.allclose(a, b, rtol=1e-4, atol=1e-5 * b.abs().max().item())
                assert not a.requires_grad


def test_the_gram_matrix_of_all_is_symmetric_and_of_every_block(teacher, measured, monkeypatch):
    row = distillation.method("sp")
    whole = teachers.remember(teacher, measured, row, precision="float32")(torch.arange(COUNT))
    monkeypatch.setattr(teachers, "BLOCK", 1)  # eight slices at a time
    blocks = teachers.remember(teacher, measured, row, precision="float32")(torch.arange(COUNT))
    for a, b in zip(whole, blocks, strict=True):
        assert a.shape == (COUNT, COUNT)
        assert torch.equal(b, b.T)
        assert torch.allclose(a, b, rtol=1e-4)
        assert (b.diagonal() > 0).all()


class Counting(models.Staged):
    """A teacher that counts the slices it has seen."""

    def __init__(self, network):
        super().__init__()
        self.network, self.seen = network, 0

    def features(self, measurement):
        self.seen += len(measurement)
        return self.network.features(measurement)


@pytest.mark.parametrize(("name", "limit", "again"), [
    ("at", 2e9, False), ("at", 0, True), ("sp", 0, False), ("pkt", 2e9, False),
])  # fmt: skip
def test_a_kept_summary_needs_no_teacher(name, limit, again, teacher, measured):
    counting = Counting(teacher)
    row = distillation.method(name)
    known = teachers.remember(counting, measured, row, precision="float32", limit=limit)
    before = counting.seen
    known(torch.tensor([1, 2, 3]))
    assert counting.seen - before == (3 if again else 0)


def test_the_limit_is_that_of_all_slices(teacher, measured):
    kept = COUNT * 5 * 16 * 16 * 4  # five maps a slice, in float32
    for limit, again in ((kept, 0), (kept - 1, 2)):
        counting = Counting(teacher)
        row = distillation.method("at")
        known = teachers.remember(counting, measured, row, precision="float32", limit=limit)
        before = counting.seen
        known(torch.tensor([1, 2]))
        assert counting.seen - before == again


class Halved(Cascade):
    """A network whose layers have half the pixels, to be compared with ones of full size."""

    def features(self, measurement):
        image, features = super().features(measurement)
        small = [[torch.nn.functional.avg_pool2d(x, 2) for x in stage] for stage in features]
        return image, small


@pytest.mark.parametrize("small", ["student", "teacher"])
def test_layers_are_compared_at_the_size_of_the_smaller(small, measured):
    networks = {
        "student": models.build("D3C5", 1), "teacher": models.build("D5C5", 0),
        small: Halved(3 if small == "student" else 5),
    }  # fmt: skip
    row = distillation.method("at")
    sizes = common_sizes(row, networks["student"], networks["teacher"], (16, 16))
    assert sizes == 5 * [(8, 8)]
    known = teachers.remember(networks["teacher"], measured, row, (), sizes, "float32")
    indices = torch.tensor([4, 2])
    with torch.no_grad():
        _, features = networks["teacher"].features(measured[indices])
    for summary, stage in zip(known(indices), features, strict=True):
        layer = stage[2]
        if layer.shape[2] == 16:
            layer = torch.nn.functional.avg_pool2d(layer, 2)
        assert torch.allclose(summary, distillation.attention_map(layer), atol=1e-5)


def test_sizes_do_not_matter_to_gram_and_flow_matrices(teacher):
    for name in ("sp", "cc", "pkt", "fsp"):
        student = models.build("D3C5", 1)
        assert common_sizes(distillation.method(name), student, teacher, (16, 16)) is None


def test_remembering_leaves_the_networks_mode_and_random_state_alone(measured):
    student, teacher = models.build("D3C5", 1).train(), models.build("D5C5", 0).train()
    state = torch.random.get_rng_state()
    weights = [p.clone() for p in teacher.parameters()]
    common_sizes(distillation.method("at"), student, teacher, (16, 16))
    teachers.remember(teacher, measured, distillation.method("at"), precision="float32")
    assert student.training
    assert teacher.training
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(weights, teacher.parameters(), strict=True))
