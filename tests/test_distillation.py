"""Every KD loss against its publication's formula in NumPy, its gradient and its invariances."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from math import exp, log, sqrt

import numpy as np
import pytest
import torch

from sftkd_core import distillation, models
from sftkd_core.consistency import measure
from sftkd_core.distillation import CONSISTENT, METHODS, TAPS, correlation, factors
from sftkd_core.distillation.method import tapped
from sftkd_core.masks import cartesian_mask
from sftkd_core.system import InputError


def _as_they_are(loss):
    """A loss that compares features without learnt parts, unless it is given some."""

    def compare(student, teacher, variant="cited", student_parts=(), teacher_parts=()):
        return loss(student, teacher, variant, student_parts, teacher_parts)

    return compare


LOSSES = {name: _as_they_are(loss) for name, loss in distillation.LOSSES.items()}
CASES = [(name, variant) for name, rows in METHODS.items() for variant in rows]
RELATIONAL = [("sp", "cited"), ("sp", "released"), ("cc", "cited"), ("pkt", "cited")]
LEARNT = ["fitnets", "ft", "fsp"]  # with parts that learn, in their paper form


def features(*channels, seed=0, batch=4, size=(6, 4), dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, c, *size, generator=generator, dtype=dtype) for c in channels]


# The publications' formulas, written out with loops. Lists of layers (b, c, h, w), NumPy float64.


def unit(vector):
    return vector / sqrt((vector**2).sum())


def at_cited(student, teacher):
    """Zagoruyko and Komodakis: sum over layers, mean over samples, of a distance of unit maps."""
    total = 0
    for s, t in zip(student, teacher, strict=True):
        for a, b in zip(s, t, strict=True):
            maps = [unit((x**2).sum(0).ravel()) for x in (a, b)]
            total += sqrt(((maps[0] - maps[1]) ** 2).sum()) / len(s)
    return total


def at_released(student, teacher):
    """Energies scaled over the batch, pixel by pixel; mean absolute difference; mean of layers."""
    values = []
    for s, t in zip(student, teacher, strict=True):
        pair = [(x**2).sum(1) for x in (s, t)]
        pair = [x / np.sqrt((x**2).sum(0)) for x in pair]
        values.append(np.abs(pair[0] - pair[1]).mean())
    return np.mean(values)


def fitnets_cited(student, teacher):
    """Romero et al.: half the squared distance of a hint and what the regressor makes."""
    return sum(
        0.5 * ((a - b) ** 2).sum() / len(s)
        for s, t in zip(student, teacher, strict=True)
        for a, b in zip(s, t, strict=True)
    )


def fitnets_released(student, teacher):
    return at_released(student, teacher) * len(student)  # it taps one layer: nothing to average


def sp_cited(student, teacher):
    """Tung and Mori: 1/b^2 of the squared distance of row-normalised Gram matrices."""
    total = 0
    for s, t in zip(student, teacher, strict=True):
        count = len(s)
        grams = [np.array([[(a * b).sum() for b in x] for a in x]) for x in (s, t)]
        grams = [np.array([unit(row) for row in g]) for g in grams]
        total += ((grams[0] - grams[1]) ** 2).sum() / count**2
    return total


def sp_released(student, teacher):
    return sp_cited(student, teacher) / len(student)


def flows(layers):
    """Yim et al.: products of the channels of two layers, averaged over pixels, for each slice."""
    height, width = layers[0].shape[2:]
    return [
        [
            np.array([[(c * d).sum() / (height * width) for d in b] for c in a])
            for a, b in zip(first, second, strict=True)
        ]
        for first, second in pairwise(layers)
    ]


def fsp_cited(student, teacher):
    return sum(
        np.mean([((a - b) ** 2).mean() for a, b in zip(s, t, strict=True)])
        for s, t in zip(flows(student), flows(teacher), strict=True)
    )


def fsp_released(student, teacher):
    squares = [[x**2 for x in layers] for layers in (student, teacher)]
    return fsp_cited(*squares) / (len(student) - 1)


def cc_cited(student, teacher):
    """Peng et al.: 1/b^2 of the squared distance of kernel matrices, the kernel to order 2."""
    gamma = 0.4

    def kernel(u, v):
        p = 2 * gamma * (unit(u.ravel()) @ unit(v.ravel()))
        return exp(-2 * gamma) * (1 + p + p**2 / 2)

    return sum(
        (kernel(s[i], s[j]) - kernel(t[i], t[j])) ** 2 / len(s) ** 2
        for s, t in zip(student, teacher, strict=True)
        for i in range(len(s))
        for j in range(len(s))
    )


def cc_released(student, teacher):
    values = []
    for s, t in zip(student, teacher, strict=True):
        delta = np.abs(s - t)
        products = [(delta[i] * delta[i + 1]).sum(0) for i in range(len(s) - 1)]
        values.append(np.mean(products))
    return np.mean(values)


def pkt_cited(student, teacher):
    """Passalis and Tefas: sum of p log(p/q) over pairs i != j, p(j|i) from (cos + 1) / 2."""

    def probability(x, i, j):
        kernel = [
            0.5 * (unit(x[i].ravel()) @ unit(x[k].ravel()) + 1) if k != i else 0.0
            for k in range(len(x))
        ]
        return kernel[j] / sum(kernel)

    total = 0
    for s, t in zip(student, teacher, strict=True):
        for i in range(len(s)):
            for j in set(range(len(s))) - {i}:
                p, q = probability(t, i, j), probability(s, i, j)
                total += p * log(p / q)
    return total


def ft_cited(student, teacher):
    """Kim et al.: L1 distance of factors, each of unit length a slice; mean over slices."""
    return sum(
        np.abs(unit(a.ravel()) - unit(b.ravel())).sum() / len(s)
        for s, t in zip(student, teacher, strict=True)
        for a, b in zip(s, t, strict=True)
    )


def nst_cited(student, teacher):
    """Huang and Wang: squared MMD of unit channel maps under (x.y)^2; mean over slices."""

    def mean_kernel(a, b):
        return np.mean([[(unit(x.ravel()) @ unit(y.ravel())) ** 2 for y in b] for x in a])

    return sum(
        (mean_kernel(b, b) + mean_kernel(a, a) - 2 * mean_kernel(a, b)) / len(s)
        for s, t in zip(student, teacher, strict=True)
        for a, b in zip(s, t, strict=True)
    )


def output_cited(student, teacher):
    """Mean over pixels of the distance to the teacher's image; sum over images."""
    total = 0
    for s, t in zip(student, teacher, strict=True):
        total += sum(abs(a - b) for a, b in zip(s.ravel(), t.ravel(), strict=True)) / s.size
    return total


def stages_cited(student, teacher):
    """The same behind each stage, and the mean over stages."""
    return output_cited(student, teacher) / len(student)


def formula(name, variant, student, teacher):
    written = globals()[f"{name}_{variant}"]
    return written(*([x.detach().double().numpy() for x in y] for y in (student, teacher)))


# The learnt parts, written out.


def convolve(x, weight, bias):
    """Correlation of (b, c, h, w) with (d, c, 3, 3), zeros around."""
    height, width = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.zeros((len(x), len(weight), height, width)) + bias[:, None, None]
    for i in range(3):
        for j in range(3):
            window = padded[:, :, i : i + height, j : j + width]
            out += np.einsum("bchw,dc->bdhw", window, weight[:, :, i, j])
    return out


def encode(x, encoder):
    """Convolution, batch normalisation (of the batch, or of what was seen), leaky ReLU, thrice."""
    for convolution, norm, _ in encoder:
        weight, bias = (p.detach().numpy() for p in (convolution.weight, convolution.bias))
        x = convolve(x, weight, bias)
        if norm.training:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
        else:
            mean, variance = norm.running_mean.numpy(), norm.running_var.numpy()
        scale, shift = (p.detach().numpy() for p in (norm.weight, norm.bias))
        shape = (-1, 1, 1)
        x = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + 1e-5)
        x = x * scale.reshape(shape) + shift.reshape(shape)
        x = np.where(x > 0, x, 0.1 * x)
    return x


def learnt(name, student, teacher):
    """Learnt parts of float64 for plain lists of layers, as ``distillation.parts`` has them."""
    row = distillation.method(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        groups = row.groups(student), row.groups(teacher)
        ours, theirs = ([x.shape[1] for group in g for x in group] for g in groups)
        students = [row.student_part(*pair) for pair in zip(ours, theirs, strict=True)]
        students = [part or torch.nn.Identity() for part in students]
        teachers = [row.teacher_part(c) for c in theirs] if row.teacher_part else []
    return [p.double() for p in students], [p.double().eval() for p in teachers]


# Values


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_the_loss_is_its_formula(name, variant):
    student, teacher = features(3, 3, 3, seed=1), features(3, 3, 3, seed=2)
    ours = LOSSES[name](student, teacher, variant=variant).item()
    expected = formula(name, variant, student, teacher)
    assert expected > 1e-4
    assert ours == pytest.approx(expected, rel=1e-6)
    if variant == "cited":
        assert LOSSES[name](student, teacher).item() == ours  # the default


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_one_layer_is_a_list_of_one(name, variant):
    student, teacher = features(3, seed=1), features(3, seed=2)
    bare = LOSSES[name](student[0], teacher[0], variant=variant).item()
    layers = (2 * student, 2 * teacher) if name == "fsp" else (student, teacher)  # a flow to itself
    assert bare == pytest.approx(formula(name, variant, *layers), rel=1e-6)


# channel with channel, and nothing that learns to join them
ALIKE = [("cc", "released"), ("fsp", "released"), ("output", "cited"), ("stages", "cited")]
UNEQUAL = [case for case in CASES if case not in ALIKE]


@pytest.mark.parametrize("larger", ["student", "teacher"])
@pytest.mark.parametrize(("name", "variant"), UNEQUAL)
def test_channels_and_sizes_may_differ(name, variant, larger):
    sizes = {"student": ((6, 4), (3, 2)), "teacher": ((3, 2), (6, 4))}[larger]
    student = features(2, 3, seed=1, size=sizes[0])
    teacher = features(5, 4, seed=2, size=sizes[1])
    parts = learnt(name, student, teacher) if variant == "cited" and name in LEARNT else ((), ())
    ours = LOSSES[name](student, teacher, variant, *parts).item()
    joined = [s.detach().numpy() for s in student], [t.numpy() for t in teacher]
    if name in ("fitnets", "fsp") and variant == "cited":
        joined = [one_by_one(x, p) for x, p in zip(joined[0], parts[0], strict=True)], joined[1]
    if name == "ft":
        joined = tuple(
            [encode(x, part if side == 0 else part.encoder) for x, part in zip(xs, ps, strict=True)]
            for side, (xs, ps) in enumerate(zip(joined, parts, strict=True))
        )
    if name in ("at", "fitnets", "ft", "nst"):
        joined = tuple([halve(x) if x.shape[2] == 6 else x for x in xs] for xs in joined)
    expected = globals()[f"{name}_{variant}"](*joined)
    assert ours == pytest.approx(expected, rel=1e-6)


def one_by_one(x, part):
    out = np.einsum("bchw,dc->bdhw", x, part.weight.detach().numpy()[:, :, 0, 0])
    return out if part.bias is None else out + part.bias.detach().numpy()[:, None, None]


def halve(x):
    """Means of 2 x 2 pixels."""
    b, c, h, w = x.shape
    return x.reshape(b, c, h // 2, 2, w // 2, 2).mean((3, 5))


@pytest.mark.parametrize(("name", "variant"), ALIKE)
def test_images_may_differ_in_size(name, variant):
    student, teacher = features(1, 1, seed=1), features(1, 1, seed=2, size=(3, 2))
    pooled = [torch.from_numpy(halve(x.numpy())) for x in student] if name != "fsp" else student
    ours = LOSSES[name](student, teacher, variant).item()
    assert ours == pytest.approx(formula(name, variant, pooled, teacher), rel=1e-6)


def test_the_kernel_of_correlation_congruence_is_nearly_gaussian():
    layers = features(3, 3, seed=1)
    u, v = (torch.nn.functional.normalize(x.flatten(1), dim=1) for x in layers)
    gaussian = torch.exp(-0.4 * torch.cdist(u, v).square())
    taylor = correlation.rbf_correlation(correlation.cosines(*layers))
    # Lagrange's remainder: exp(-0.8) (0.8)^3 / 6 exp(0.8)
    assert (gaussian - taylor).abs().max() < 0.8**3 / 6
    assert not torch.allclose(gaussian, taylor, atol=1e-6)


def test_paraphraser_gives_back_the_size_and_channels():
    part = factors.Paraphraser(6)
    x = features(6, dtype=torch.float32)[0]
    assert part(x).shape == (4, 3, 6, 4)
    assert part.reconstruct(x).shape == x.shape
    kinds = [type(m).__name__ for m in part.modules() if hasattr(m, "kernel_size")]
    assert kinds == 3 * ["Conv2d"] + 3 * ["ConvTranspose2d"]


# Gradients


@pytest.mark.parametrize("teacher_size", [(3, 4), (3, 2)])
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_gradient(name, variant, teacher_size):
    student = [x.requires_grad_() for x in features(2, 2, seed=1, batch=3, size=(3, 4))]
    teacher = features(2, 2, seed=2, batch=3, size=teacher_size)
    parts = learnt(name, student, teacher) if variant == "cited" and name in LEARNT else ((), ())

    def loss(*layers):
        return LOSSES[name](list(layers), teacher, variant, *parts)

    assert torch.autograd.gradcheck(loss, student, eps=1e-6, atol=1e-5)
    value = loss(*student)
    gradients = torch.autograd.grad(value, student)
    assert all(g.abs().max() > 1e-8 for g in gradients)


@pytest.mark.parametrize("name", LEARNT)
def test_learnt_parts_get_a_gradient(name):
    student, teacher = features(2, 3, seed=1), features(5, 4, seed=2)
    parts = learnt(name, student, teacher)
    weights = [p for part in parts[0] for p in part.parameters()]
    gradients = torch.autograd.grad(LOSSES[name](student, teacher, "cited", *parts), weights)
    matrices = [g for g, w in zip(gradients, weights, strict=True) if w.ndim == 4]
    assert len(matrices) >= 2
    assert all(g.abs().max() > 1e-8 for g in matrices)


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_identical_features_cost_nothing_and_pull_nowhere(name, variant):
    layers = features(3, 3, seed=1)
    student = [x.clone().requires_grad_() for x in layers]
    value = LOSSES[name](student, layers, variant)
    assert value.item() == pytest.approx(0, abs=1e-12)
    value.backward()
    assert all(x.grad.abs().max() < 1e-9 for x in student)


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_dead_features_give_finite_gradients(name, variant):
    dead = [x.zero_().requires_grad_() for x in features(3, 3)]
    LOSSES[name](dead, features(3, 3, seed=2), variant).backward()
    assert all(torch.isfinite(x.grad).all() for x in dead)


# Invariances


def changed(name, variant, change, both=False):
    """The loss before and after changing the student's (or both networks') layers."""
    student, teacher = features(4, 4, seed=1), features(4, 4, seed=2)
    after = [change(x) for x in student], [change(x) for x in teacher] if both else teacher
    values = [LOSSES[name](s, t, variant).item() for s, t in ((student, teacher), after)]
    return values[1] == pytest.approx(values[0], rel=1e-9)


FREE_OF_SCALE = [*RELATIONAL, *((n, "cited") for n in ("at", "nst", "ft")), ("at", "released")]


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_scale(name, variant):
    free = (name, variant) in [*FREE_OF_SCALE, ("fitnets", "released")]
    assert changed(name, variant, lambda x: 5 * x) == free


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_scale_of_each_slice(name, variant):
    scale = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)[:, None, None, None]
    free = (name, variant) in [(n, "cited") for n in ("at", "nst", "ft", "cc", "pkt")]
    assert changed(name, variant, lambda x: scale * x) == free


def test_scale_of_each_channel():
    scale = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)[:, None, None]
    assert changed("nst", "cited", lambda x: scale * x)
    assert not changed("at", "cited", lambda x: scale * x)


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_order_of_the_slices(name, variant):
    order = [2, 0, 3, 1]
    free = (name, variant) != ("cc", "released")  # that one multiplies neighbours
    assert changed(name, variant, lambda x: x[order], both=True) == free
    assert not changed(name, variant, lambda x: x[order])


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_order_of_the_students_channels(name, variant):
    # relational losses see channels and pixels as one long vector
    blind = [*RELATIONAL, ("at", "cited"), ("at", "released"), ("fitnets", "released")]
    free = (name, variant) in [*blind, ("nst", "cited")]
    assert changed(name, variant, lambda x: x[:, [2, 0, 3, 1]]) == free


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_order_of_the_pixels(name, variant):
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))

    def shuffle(x):
        return x.flatten(2)[:, :, order].view_as(x)

    assert changed(name, variant, shuffle, both=True)
    blind = [*RELATIONAL, ("fsp", "cited"), ("fsp", "released")]
    assert changed(name, variant, shuffle) == ((name, variant) in blind)


# Precision and memory


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_bfloat16_features(name, variant):
    student, teacher = (
        [x.to(torch.bfloat16) for x in features(3, 3, seed=seed)] for seed in (1, 2)
    )
    for other in (teacher, [t.float() for t in teacher]):
        leaves = [x.clone().requires_grad_() for x in student]
        value = LOSSES[name](leaves, other, variant)
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(formula(name, variant, student, teacher), rel=2e-3)
        value.backward()
        full = [x.double().requires_grad_() for x in student]
        LOSSES[name](full, [t.double() for t in teacher], variant).backward()
        for low, high in zip(leaves, full, strict=True):
            assert low.grad.dtype == torch.bfloat16
            assert (low.grad.double() - high.grad).norm() < 0.02 * high.grad.norm()


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_autocast_does_not_reach_the_loss(name, variant):
    student, teacher = (features(3, 3, seed=s, dtype=torch.float32) for s in (1, 2))
    plain = LOSSES[name](student, teacher, variant)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = LOSSES[name](student, teacher, variant)
    assert torch.equal(plain, inside)


def test_double_precision_stays():
    for name in METHODS:
        pair = features(3, 3, seed=1), features(3, 3, seed=2)
        assert LOSSES[name](*pair).dtype == torch.float64


MEMORY = """
import json, os, resource, sys
import torch
torch.set_num_threads(1)
from sftkd_core.distillation import LOSSES, METHODS, method

def peak(name, variant):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        student = torch.randn(4, 64, 256, 256, requires_grad=True)
        teacher = torch.randn(4, 64, 256, 256)
        LOSSES[name](student, teacher, variant, (), ()).backward()
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        os.write(write, str(after - before).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return 1024 * int(os.read(read, 100))

cases = [(n, v) for n, rows in METHODS.items() for v in rows]
print(json.dumps({f"{n} {v}": peak(n, v) for n, v in cases}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss in kB, and os.fork")
def test_memory_grows_with_the_features_only():
    """64 channels of 256 x 256, batch 4 (64 MiB a network), forward and backward: below 1 GB."""
    run = subprocess.run(
        [sys.executable, "-c", MEMORY],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    peaks = json.loads(run.stdout)
    assert len(peaks) == len(CASES)
    assert min(peaks.values()) > 2 * 2**26  # it did hold the features of both
    assert max(peaks.values()) < 1e9, peaks


# Taps and parts in the networks


MIDDLE = [[(s, 2)] for s in range(5)], [[(s, 1)] for s in range(5)]


def test_taps_pick_what_they_say():
    teacher, student = models.build("D5C5", 0), models.build("D3C5", 0)
    images = torch.rand(2, 1, 16, 16)
    measured = measure(images, cartesian_mask(16, 2, 0, 4))
    expected = {  # stage and convolution of each layer, teacher then student
        "hidden": MIDDLE,
        "active hidden": MIDDLE,
        "central hidden": ([[(2, 2)]], [[(2, 1)]]),
        "last hidden": ([[(4, 2)]], [[(4, 1)]]),
        "images": ([[(s, 4)] for s in range(5)], [[(s, 2)] for s in range(5)]),
        "central image": ([[(2, 4)]], [[(2, 2)]]),
        "early images": ([[(s, 4)] for s in range(4)], [[(s, 2)] for s in range(4)]),
        "flow": ([[(s, 0), (s, 3)] for s in range(5)], [[(s, 0), (s, 1)] for s in range(5)]),
        "image flow": ([[(s, 4), (s + 1, 4)] for s in range(3)],
                       [[(s, 2), (s + 1, 2)] for s in range(3)]),
    }  # fmt: skip
    assert set(expected) == set(TAPS)
    for network, column in ((teacher, 0), (student, 1)):
        _, found = network.features(measured)
        for taps, places in expected.items():
            groups = distillation.tap(found, taps)
            wanted = [[found[s][c] for s, c in group] for group in places[column]]
            assert len(groups) == len(wanted)
            for ours, theirs in zip(groups, wanted, strict=True):
                assert len(ours) == len(theirs)
                pairs = list(zip(ours, theirs, strict=True))
                if taps == "active hidden":  # what is negative is left out
                    assert all(torch.equal(a, torch.where(b > 0, b, 0)) for a, b in pairs)
                    assert all(b.min() < 0 < b.max() for _, b in pairs)
                else:
                    assert all(a is b for a, b in pairs), taps


@pytest.mark.parametrize("taps", [*TAPS, *CONSISTENT])
def test_tapping_changes_no_image(taps):
    network = models.build("D3C5", 0).eval()
    measured = measure(torch.rand(2, 1, 16, 16), cartesian_mask(16, 2, 0, 4))
    image, groups = tapped(network, measured, taps)
    assert torch.equal(image, network(measured))
    if taps not in CONSISTENT:
        expected = distillation.tap(network.features(measured)[1], taps)
        pairs = zip(groups, expected, strict=True)
        assert all(torch.equal(a, b) for pair in pairs for a, b in zip(*pair, strict=True))


@pytest.mark.parametrize("name", ["D5C5", "D3C5-complex", "DC-RDN", "DC-UNet-tiny", "DAGAN-narrow"])
def test_images_after_consistency_end_with_the_output(name):
    """Where stages pass features on, each is the image that the head makes of its state."""
    network = models.build(name, 0).eval()
    measured = measure(torch.rand(2, 1, 32, 32), cartesian_mask(32, 2, 0, 8))
    with torch.no_grad():
        output = network(measured)
        every = [image for (image,) in tapped(network, measured, "consistent images")[1]]
        ((last,),) = tapped(network, measured, "output")[1]
    assert len(every) == len(network.stages)
    assert all(image.shape == output.shape for image in every)
    assert torch.equal(every[-1], output)
    assert torch.equal(last, output)


@pytest.mark.parametrize("name", ["D5C5", "D3C5-hermitian"])
def test_consistent_images_keep_what_was_measured(name):
    """Line by line of k-space; a line without its mirror is held at half weight, or at whole."""
    network, mask = models.build(name, 0).eval(), cartesian_mask(16, 2, 0, 4)
    mirrored = mask & np.roll(mask[::-1], 1)  # line k, and -k as well
    lonely = mask & ~mirrored
    assert mirrored.any()
    assert lonely.any()
    measured = measure(torch.rand(2, 1, 16, 16), mask)
    before, after = (
        [image for (image,) in tapped(network, measured, taps)[1]]
        for taps in ("images", "consistent images")
    )
    for predicted, consistent in zip(before, after, strict=True):
        lines = [measure(x.detach(), np.ones(16)).kspace[:, 0] for x in (predicted, consistent)]
        given = measured.kspace[:, 0]
        assert (lines[0] - given)[:, mask].abs().max() > 0.1
        assert torch.allclose(lines[1][:, mirrored], given[:, mirrored], atol=1e-5)
        half = given if name == "D3C5-hermitian" else (given + lines[0]) / 2
        assert torch.allclose(lines[1][:, lonely], half[:, lonely], atol=1e-5)


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_every_method_fits_the_networks(name, variant):
    teacher, student = models.build("D5C5", 0), models.build("D3C5", 1)
    row = distillation.method(name, variant)
    parts = distillation.parts(row, student, teacher)
    measured = measure(torch.rand(4, 1, 16, 16), cartesian_mask(16, 2, 0, 4))
    pair = [tapped(network, measured, row.taps)[1] for network in (student, teacher)]
    value = row.loss(*pair, *parts)
    assert value.item() > 0
    assert bool(parts[0]) == (variant == "cited" and name in ("fitnets", "ft"))
    assert bool(parts[1]) == (name == "ft")
    again = distillation.parts(row, student, teacher)
    for one, two in zip([*parts[0], *parts[1]], [*again[0], *again[1]], strict=True):
        weights = zip(one.parameters(), two.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in weights)
    if parts[0]:
        other = distillation.parts(row, student, teacher, seed=1)[0][0]
        assert not torch.equal(next(other.parameters()), next(parts[0][0].parameters()))


def test_new_parts_leave_the_random_state_alone():
    teacher, student = models.build("D5C5", 0), models.build("D3C5", 1)
    before = torch.random.get_rng_state()
    distillation.parts(distillation.method("ft"), student, teacher)
    assert torch.equal(torch.random.get_rng_state(), before)


# Errors


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_a_batch_that_says_nothing_is_refused(name, variant):
    relative = [*RELATIONAL, ("at", "released"), ("fitnets", "released"), ("cc", "released")]
    pair = features(3, seed=1, batch=1), features(3, seed=2, batch=1)
    if (name, variant) in relative:
        least = 3 if name == "pkt" else 2
        with pytest.raises(InputError, match=f"batch of 1 slices.*at least {least}.*larger batch"):
            LOSSES[name](*pair, variant)
    else:
        assert LOSSES[name](*pair, variant).item() > 0


def test_pkt_needs_two_neighbours():
    with pytest.raises(InputError, match="at least 3"):
        LOSSES["pkt"](features(3, seed=1, batch=2), features(3, seed=2, batch=2))


@pytest.mark.parametrize(("arguments", "message"), [
    (("sop",), "unknown KD method 'sop'; choose one of at, fitnets, .*, output, stages$"),
    (("nst", "released"), "'nst' has no variant 'released'; choose one of cited$"),
    (("at", "fancy"), "'at' has no variant 'fancy'; choose one of cited, released$"),
    (("at", "cited", "everywhere"), "taps 'everywhere' do not fit 'at'; choose one of hidden"),
    (("at", "cited", "flow"), "taps 'flow' do not fit 'at'; .*, consistent images, output$"),
    (("fsp", "cited", "hidden"), "do not fit 'fsp'; choose one of flow, image flow"),
])  # fmt: skip
def test_unknown_rows_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        distillation.method(*arguments)


def test_taps_may_be_moved():
    assert distillation.method("at", taps="images").taps == "images"
    assert distillation.method("at", taps="consistent images").taps == "consistent images"
    assert distillation.method("fsp", taps="image flow").layers == 2


@pytest.mark.parametrize("name", METHODS)
def test_layers_that_do_not_pair_are_named(name):
    with pytest.raises(InputError, match=r"cannot be paired; tap as many layers"):
        LOSSES[name](features(2, 2, 2), features(2, 2))
    with pytest.raises(InputError, match="cannot be paired"):
        LOSSES[name]([], [])
    with pytest.raises(InputError, match=r"\(4, 2, 6, 4\) and \(3, 2, 6, 4\) cannot be compared"):
        LOSSES[name](features(2), features(2, batch=3))
    with pytest.raises(InputError, match=r"pass \(b, c, h, w\)"):
        LOSSES[name](features(2)[0].flatten(1), features(2)[0].flatten(1))


@pytest.mark.parametrize(("name", "variant"), [
    ("fitnets", "cited"), ("ft", "cited"), ("fsp", "cited"), *ALIKE,
])  # fmt: skip
@pytest.mark.parametrize("channels", [1, 2])
def test_unequal_channels_need_a_part(name, variant, channels):
    learns = name in LEARNT and variant == "cited"
    remedy = "student_parts" if learns else "as many channels in both"
    with pytest.raises(InputError, match=f"{channels} student and 5 teacher channels.*{remedy}"):
        LOSSES[name](features(channels, channels), features(5, 5, seed=1), variant)


def test_a_wrong_number_of_parts_is_named():
    student, teacher = features(2, 3, seed=1), features(5, 4, seed=2)
    parts, _ = learnt("fitnets", student, teacher)
    for wrong in (parts[:1], [*parts, parts[0]]):
        with pytest.raises(InputError, match=f"{len(wrong)} learnt parts do not fit 2 layers"):
            LOSSES["fitnets"](student, teacher, student_parts=wrong)


def test_a_flow_between_sizes_is_refused():
    layers = [*features(2), *features(2, size=(3, 2))]
    with pytest.raises(InputError, match=r"\(6, 4\) and \(3, 2\) pixels have no flow"):
        LOSSES["fsp"](layers, layers)


def test_taps_of_a_network_without_them():
    stage = [torch.zeros(1, 1, 4, 4)] * 3
    with pytest.raises(InputError, match="unknown taps 'deep'; choose one of hidden"):
        distillation.tap([stage], "deep")
    for taps in ("early images", "image flow"):
        with pytest.raises(InputError, match=f"1 stages has no layers for taps '{taps}'"):
            distillation.tap([stage], taps)
