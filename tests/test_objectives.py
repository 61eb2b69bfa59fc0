"""What networks are trained for: the terms, their weight, and who gets a gradient."""

import pytest
import torch

from sftkd_core import distillation, masks, models
from sftkd_core.consistency import measure
from sftkd_core.data.phantoms.brain import brain_phantom
from sftkd_core.distillation import CONSISTENT, LOSSES, METHODS, Distiller
from sftkd_core.distillation.teacher import remember
from sftkd_core.experiments import losses
from sftkd_core.experiments.objectives import Examples
from sftkd_core.system import InputError

CASES = [(name, variant) for name, rows in METHODS.items() for variant in rows]
PLACES = {  # (stage, convolution) of each layer that is compared: teacher D5C5, student D3C5
    "hidden": ([(s, 2) for s in range(5)], [(s, 1) for s in range(5)]),
    "active hidden": ([(s, 2) for s in range(5)], [(s, 1) for s in range(5)]),
    "central hidden": ([(2, 2)], [(2, 1)]),
    "last hidden": ([(4, 2)], [(4, 1)]),
    "images": ([(s, 4) for s in range(5)], [(s, 2) for s in range(5)]),
    "central image": ([(2, 4)], [(2, 2)]),
    "early images": ([(s, 4) for s in range(4)], [(s, 2) for s in range(4)]),
}


def examples(count=10, size=16, seed=5):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 1, size, size, generator=generator)
    return Examples(measure(images, masks.cartesian_mask(size, 2, 0, 4)), images)


def pair(name, variant="cited"):
    """A frozen teacher and its parts, a student with its own, the method."""
    row = distillation.method(name, variant)
    teacher, student = models.build("D5C5", 0), models.build("D3C5", 1)
    ours, theirs = distillation.parts(row, student, teacher)
    for network in (teacher, *theirs):
        network.requires_grad_(False).eval()
    return row, teacher, theirs, Distiller(student, ours).eval()


def layers(network, measurement, places):
    _, features = network.features(measurement)
    return [features[s][c] for s, c in places]


def images_by_hand(network, measurement):
    """What each stage hands on."""
    found = [network.stem(measurement)]
    for stage in network.stages:
        found.append(stage(found[-1], measurement))
    return found[1:]


def kd_by_hand(name, variant, teacher, theirs, network, measurement):
    """The KD loss of both networks' layers or images, from their places alone."""
    taps = distillation.method(name, variant).taps
    if name == "fsp":
        both = []
        for model in (network.student, teacher):
            _, features = model.features(measurement)
            if variant == "cited":
                both.append([(stage[0], stage[-2]) for stage in features])
            else:
                both.append([(features[s][-1], features[s + 1][-1]) for s in range(3)])
    elif taps in CONSISTENT:
        both = [images_by_hand(model, measurement) for model in (network.student, teacher)]
        both = [images[-1:] if taps == "output" else images for images in both]
    else:
        places = PLACES[taps]
        both = [layers(network.student, measurement, places[1])]
        both.append(layers(teacher, measurement, places[0]))
        if taps == "active hidden":
            both = [[x.clamp(min=0) for x in found] for found in both]
    return LOSSES[name](*both, variant, list(network.parts), theirs)


def test_reconstruction_is_the_mean_absolute_error():
    train, network = examples(), models.build("D2C5", 0)
    indices = torch.tensor([3, 0, 7])
    image = network(train.measurement[indices])
    expected = (image - train.targets[indices]).abs().sum() / (3 * 16 * 16)
    assert torch.allclose(losses.reconstruction(train)(network, indices), expected)


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_distillation_is_one_sum_or_features_alone(name, variant):
    train = examples()
    row, teacher, theirs, network = pair(name, variant)
    known = remember(teacher, train.measurement, row, theirs, precision="float32")
    indices = torch.tensor([3, 0, 7, 9])
    measurement = train.measurement[indices]
    kd = kd_by_hand(name, variant, teacher, theirs, network, measurement)
    image = network.student(measurement)
    rec = (image - train.targets[indices]).abs().mean()
    assert kd.item() > 0
    joint = losses.distillation(train, known, row, 0.25)(network, indices)
    assert joint.item() == pytest.approx((rec + 0.25 * kd).item(), rel=1e-4)
    alone = losses.distillation(train, known, row, 0.25, joint=False)(network, indices)
    # float32 logarithms cancel in a divergence of nearly equal probabilities (PKT)
    assert alone.item() == pytest.approx(kd.item(), rel=1e-3, abs=2e-7)


@pytest.mark.parametrize("share", [0.1, 0.7])
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_the_weight_makes_the_gradients_ratio_the_share(name, variant, share):
    train = examples(count=4)
    row, teacher, theirs, network = pair(name, variant)
    known = remember(teacher, train.measurement, row, theirs, precision="float32")
    weight = losses.starting_weight(network, train, known, row, share, 4, "float32")
    kd = kd_by_hand(name, variant, teacher, theirs, network, train.measurement)
    rec = (network.student(train.measurement) - train.targets).abs().mean()
    norms = []
    for value in (rec, weight * kd):
        network.zero_grad(set_to_none=True)
        value.backward(retain_graph=True)
        found = [p.grad for p in network.student.parameters() if p.grad is not None]
        norms.append(torch.cat([g.flatten() for g in found]).norm().item())
    assert norms[1] / norms[0] == pytest.approx(share, rel=2e-3)


def test_the_weight_is_measured_on_the_first_four_batches():
    row, teacher, theirs, network = pair("at")
    long, short = examples(count=10), examples(count=10)
    short = Examples(short.measurement[:8], short.targets[:8])

    def weight(train, batch):
        known = remember(teacher, train.measurement, row, theirs, precision="float32")
        return losses.starting_weight(network, train, known, row, 0.1, batch, "float32")

    assert weight(long, 2) == weight(short, 2)
    assert weight(long, 4) != weight(short, 4)
    known = remember(teacher, long.measurement, row, theirs, precision="float32")
    parts = torch.arange(8).split(2)
    pulls = [losses.gradient_norms(network, long, known, row, i, "float32") for i in parts]
    rec, kd = torch.stack(pulls).sum(0).tolist()
    assert weight(long, 2) == pytest.approx(0.1 * rec / kd, rel=1e-12)


def test_the_weight_leaves_the_network_as_it_was():
    train = examples(count=4)
    row, teacher, theirs, network = pair("at")
    before = {k: v.clone() for k, v in network.state_dict().items()}
    known = remember(teacher, train.measurement, row, theirs, precision="float32")
    losses.starting_weight(network, train, known, row, 0.1, 4, "float32")
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize("count", [1, 4])
def test_without_a_gradient_there_is_no_weight(count):
    """A student that is its teacher; a batch of one for a loss that needs two."""
    train = examples(count)
    row = distillation.method("sp", taps="hidden")
    teacher = models.build("D3C5", 1).requires_grad_(False).eval()
    network = Distiller(models.build("D3C5", 1)).eval()
    known = remember(teacher, train.measurement, row, precision="float32")
    with pytest.raises(InputError, match=r"no gradient in the student.*other taps"):
        losses.starting_weight(network, train, known, row, 0.1, 4, "float32")


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_who_gets_a_gradient(name, variant, joint):
    train = examples(count=4)
    row, teacher, theirs, network = pair(name, variant)
    known = remember(teacher, train.measurement, row, theirs, precision="float32")
    network.train()
    objective = losses.distillation(train, known, row, 1.0, joint)
    objective(network, torch.arange(4)).backward()
    frozen = [p for module in (teacher, *theirs) for p in module.parameters()]
    assert all(p.grad is None for p in frozen)
    assert all(p.grad is not None for p in network.parts.parameters())
    moved = {
        (s, c)
        for s, stage in enumerate(network.student.stages)
        for c, convolution in enumerate(stage.convolutions)
        if convolution.weight.grad is not None and convolution.weight.grad.abs().max() > 0
    }
    last = {"hidden": (4, 1), "active hidden": (4, 1), "central hidden": (2, 1),
            "last hidden": (4, 1), "images": (4, 2), "central image": (2, 2),
            "early images": (3, 2), "flow": (4, 1), "image flow": (3, 2),
            "consistent images": (4, 2), "output": (4, 2)}[row.taps]  # fmt: skip
    every = {(s, c) for s in range(5) for c in range(3)}
    assert moved == (every if joint else {place for place in every if place <= last})


def test_paraphrase_is_the_squared_error_of_what_comes_back():
    train = examples(count=5)
    row, teacher, _, _ = pair("ft")
    theirs = distillation.parts(row, models.build("D3C5", 1), teacher)[1]
    network = torch.nn.ModuleList(theirs)
    indices = torch.tensor([4, 1])
    (layer,) = layers(teacher, train.measurement[indices], [(4, 2)])
    expected = (network[0].decoder(network[0].encoder(layer)) - layer).square().mean()
    found = losses.paraphrase(train, teacher, row)(network, indices)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    found.backward()
    assert all(p.grad is not None for p in network.parameters())
    assert all(p.grad is None for p in teacher.parameters())


def descend(network, loss, steps):
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()


def test_a_paraphrase_can_give_back_what_a_teacher_sees():
    """Trained briefly, it loses less than a tenth of the variance of features."""
    images = torch.from_numpy(brain_phantom(0, 24, 4).slices)[:, None]
    train = Examples(measure(images, masks.cartesian_mask(24, 2, 0, 8)), images)
    row, indices = distillation.method("ft"), torch.arange(4)
    teacher = models.build("D5C5", 0)
    descend(teacher, lambda: losses.reconstruction(train)(teacher, indices), 20)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torch.nn.ModuleList([row.teacher_part(32)])
    lost = losses.paraphrase(train, teacher, row)
    descend(network, lambda: lost(network, indices), 80)
    (layer,) = layers(teacher, train.measurement, [(4, 2)])
    variance = layer.var(dim=(0, 2, 3), correction=0).mean().item()
    with torch.no_grad():
        assert lost(network.eval(), indices).item() < variance / 10


def test_validation_of_a_paraphrase_weighs_every_slice_alike():
    held = examples(count=11)  # parts of 8 and 3
    row, teacher, _, _ = pair("ft")
    theirs = distillation.parts(row, models.build("D3C5", 1), teacher)[1]
    network = torch.nn.ModuleList(theirs).eval()
    with torch.no_grad():
        scores = losses.validate_paraphrase(held, teacher, row)(network)
        whole = losses.paraphrase(held, teacher, row)(network, torch.arange(11))
    assert scores["loss"] == pytest.approx(whole.item(), rel=1e-5)
    assert set(scores) == {"loss"}


@pytest.mark.parametrize("count", [3, 8, 9, 11])
def test_validation_of_features_alone(count):
    held = examples(count)
    row, teacher, theirs, network = pair("sp")
    known = remember(teacher, held.measurement, row, theirs, precision="float32")
    with torch.no_grad():
        scores = losses.validate_distillation(held, known, row)(network)
        images = network(held.measurement)
        parts = {9: [9], 11: [8, 3]}.get(count, [count])  # nine: not eight and one
        kd = [
            LOSSES["sp"](
                layers(network.student, held.measurement[i], PLACES["hidden"][1]),
                layers(teacher, held.measurement[i], PLACES["hidden"][0]),
            ) * len(i) / count
            for i in torch.arange(count).split(parts)
        ]  # fmt: skip
    assert scores["loss"] == pytest.approx(sum(kd).item(), rel=1e-3)
    error = (images - held.targets).square().mean((1, 2, 3))
    assert scores["psnr"] == pytest.approx((-10 * error.log10()).mean().item(), rel=1e-5)


def test_validation_of_the_image_is_blind_to_features():
    held = examples(9)
    _, _, _, network = pair("at")
    with torch.no_grad():
        scores = losses.validate_image(held)(network)
        loss = (network.student(held.measurement) - held.targets).abs().mean()
    assert scores["loss"] == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("smallest", [1, 2, 3])
def test_parts_cover_all_slices_and_none_is_too_small(smallest):
    for count in range(1, 40):
        parts = losses._parts(count, 8, smallest)
        assert [i for start, stop in parts for i in range(start, stop)] == list(range(count))
        assert min(stop - start for start, stop in parts) >= min(smallest, count)
        assert max(stop - start for start, stop in parts) < 8 + smallest
