"""Every network by its count, its formula written out plainly, and its place in the SFT network."""

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import nn
from torch.nn.functional import conv2d, interpolate, max_pool2d, pad, relu

from sftkd_core import masks, models, sft
from sftkd_core.consistency import data_consistency, measure
from sftkd_core.models import DCRDN, VDSR, DCUNet, MACReconNet, ResidualCNN, Staged, UNet, thin
from sftkd_core.models.mac import acceleration
from sftkd_core.models.unet import UNetBlock
from sftkd_core.system import InputError

# small networks of every kind, for what must hold whatever the width
SMALL = {
    "DC-CNN": lambda: models.Cascade(convolutions=3, channels=6),
    "DC-UNet": lambda: DCUNet(channels=4, pools=2),
    "DC-RDN": lambda: DCRDN(channels=6, passes=2),
    "MAC-ReconNet": lambda: MACReconNet(channels=6),
    "VDSR": lambda: VDSR(convolutions=11, channels=6),
    "ResCNN": lambda: ResidualCNN(convolutions=15, channels=6),
    "UNet": lambda: UNet(channels=4, pools=2),
    "DAGAN": lambda: models.DAGAN(channels=4, pools=2),
}


def small(name, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SMALL[name]()


def slices(height, width, count=2):
    return torch.rand(count, 1, height, width, generator=torch.Generator().manual_seed(height))


def measured(height, width, count=2, rate=4):
    return measure(slices(height, width, count), masks.cartesian_mask(height, rate, centre_lines=4))


def low_resolution_mask(height, width, keep):
    """The central ``keep`` x ``keep`` of k-space, un-shifted: (height, width) bool."""
    rows, columns = (np.zeros(n, dtype=bool) for n in (height, width))
    for line in (rows, columns):
        line[len(line) // 2 - keep // 2 : len(line) // 2 + keep // 2] = True
    return np.fft.ifftshift(rows[:, None] & columns[None, :])


# counts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "count"), [
    ("DC-UNet", 16_741_135), ("DC-UNet-3", 10_044_681), ("UNet", 3_348_227), ("DAGAN", 3_348_227),
    ("UNet-3-pools", 840_451), ("UNet-2-pools", 213_251), ("DC-RDN", 5 * 28_353),
    ("MAC-ReconNet", 5 * 113_152), ("VDSR-12", 370_497), ("VDSR-11", 333_569),
    ("VDSR-7", 185_857), ("VDSR-4", 75_073), ("ResCNN-25", 320 + 23 * 9_248 + 289),
    ("ResCNN-15", 320 + 13 * 9_248 + 289),
])  # fmt: skip
def test_parameter_counts(name, count):
    assert models.parameter_count(models.build(name)) == count


def test_published_pairs_have_equally_many_stages():
    for pair in (("VDSR-12", "VDSR-4"), ("VDSR-11", "VDSR-7"), ("ResCNN-25", "ResCNN-15"),
                 ("DC-UNet", "D3C5"), ("DC-RDN", "D3C5"), ("MAC-ReconNet", "D3C5")):  # fmt: skip
        teacher, student = map(models.build, pair)
        assert len(teacher.stages) == len(student.stages) >= 3
        assert teacher.state_channels == student.state_channels


def test_convolutions_are_split_as_evenly_as_can_be():
    split = {
        name: [len(stage.convolutions) for stage in models.build(name).stages]
        for name in models.NAMES
        if name.startswith(("VDSR", "ResCNN"))
    }
    assert split == {
        "VDSR-12": [4, 4, 4], "VDSR-11": [2, 2, 2, 2, 3], "VDSR-7": [1, 1, 1, 2, 2],
        "VDSR-4": [1, 1, 2], "VDSR-12-narrow": [4, 4, 4], "VDSR-4-narrow": [1, 1, 2],
        "ResCNN-25": [5] * 5, "ResCNN-15": [3] * 5,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["DC-CNN", "VDSR"])
def test_multiply_adds_are_the_hand_count(name):
    height, width = 24, 20
    if name == "DC-CNN":
        weights, pixels = 5 * (9 * 32 + 3 * 9 * 32 * 32 + 9 * 32), height * width
        by_hand = weights * pixels + 5 * height * height * width  # and P @ x in each cascade
        model = models.build("D5C5")
    else:
        by_hand = (9 * 64 + 2 * 9 * 64 * 64 + 9 * 64) * height * width
        model = models.build("VDSR-4")
    assert models.multiply_adds(model, height, width) == by_hand
    assert model.training
    assert all(p.grad is None for p in model.parameters())


def test_a_recursive_network_computes_more_than_its_parameters_tell():
    pair = [models.build(name) for name in ("DC-RDN", "D5C5")]
    assert models.parameter_count(pair[0]) == models.parameter_count(pair[1])
    cost = [models.multiply_adds(model, 48, 48) for model in pair]
    assert 3.8 < cost[0] / cost[1] < 4.2  # twelve inner convolutions instead of three


# every network -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", models.NAMES)
@pytest.mark.parametrize("size", [(64, 64), (63, 47), (150, 150)])
def test_image_of_any_size(name, size):
    model, measurement = models.build(name, 0), measured(*size, count=1)
    with torch.no_grad():
        image = model(measurement)
    assert image.shape == (1, 1, *size)
    assert image.dtype == torch.float32
    assert image.isfinite().all()
    assert (image - measurement.zero_filled).abs().max() > 1e-3


@pytest.mark.parametrize("name", [name for name in models.NAMES if name != "DC-UNet-3"])
def test_weights_follow_the_seed_and_survive_storage(name):
    measurement = measured(32, 32, count=1)
    torch.manual_seed(5)
    before = torch.rand(3)
    torch.manual_seed(5)
    model, other = models.build(name, seed=1), models.build(name, seed=2)
    assert torch.equal(torch.rand(3), before)
    with torch.no_grad():
        expected = model(measurement)
        assert not torch.equal(other(measurement), expected)
        other.load_state_dict(load(save(model.state_dict())))
        assert torch.equal(other(measurement), expected)
        assert torch.equal(models.build(name, seed=1)(measurement), expected)


def inert(model, name):
    """Is this parameter a bias that what follows takes away?

    Normalisation takes away any constant, and so does data consistency, for the zero frequency
    has been measured.
    """
    normalised = any(part in name for part in (".down.", ".bottom.", ".up."))
    last = any(part in name for part in (".convolutions.2.", ".last."))
    replaced = last and isinstance(model, models.Cascade | DCUNet | DCRDN)
    return name.endswith("bias") and (normalised or replaced)


@pytest.mark.parametrize("name", SMALL)
def test_gradient_reaches_every_parameter(name):
    model, images = small(name).double(), slices(30, 26).double()
    measurement = measure(images, masks.cartesian_mask(30, 3, centre_lines=4))
    (model(measurement) - images).square().sum().backward()
    largest = max(p.grad.abs().max() for p in model.parameters())
    for parameter_name, parameter in model.named_parameters():
        gradient = parameter.grad.abs().max()
        if inert(model, parameter_name):
            assert gradient < 1e-10 * largest, parameter_name
        else:
            assert gradient > 1e-7 * largest, parameter_name


@pytest.mark.parametrize("name", SMALL)
def test_features_are_the_outputs_of_every_convolution(name):
    """Caught by hooks in the order they ran; MAC-ReconNet's convolutions are no modules."""
    model, measurement = small(name), measured(28, 28)  # a multiple of 4: nothing is cropped
    ran = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda module, inputs, output: ran.append(output))
    with torch.no_grad():
        image, features = model.features(measurement)
        assert len(features) == len(model.stages)
        if name == "MAC-ReconNet":
            assert [[f.shape[1] for f in stage] for stage in features] == [[6, 6, 6, 6, 1]] * 5
        else:
            flat = [f for stage in features for f in stage]
            assert len(flat) == len(ran) > 0
            assert all(torch.equal(a, b) for a, b in zip(flat, ran, strict=True))
        assert torch.equal(model(measurement), image)
    assert all(f.ndim == 4 and f.shape[0] == 2 for stage in features for f in stage)


@pytest.mark.parametrize("name", SMALL)
def test_reduced_precision_and_channels_last(name):
    model, images = small(name), slices(32, 40)
    measurement = measure(images, masks.cartesian_mask(32, 4, centre_lines=4))
    with torch.no_grad():
        precise = model(measurement)
    model = model.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        image = model(measurement)
        loss = (image - images).abs().mean()
    loss.backward()
    assert image.dtype == torch.float32
    error, change = (
        (image - other).square().mean().sqrt() for other in (precise, measurement.zero_filled)
    )
    # at random weights, normalisation after normalisation magnifies what rounding changed
    normalised = name in ("DC-UNet", "UNet", "DAGAN")
    assert 0 < error < (0.4 if normalised else 0.05) * change
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("shape", [(2, 32, 9, 7), (1, 5, 16, 12)])
def test_a_thin_convolution_has_the_gradients_of_an_ordinary_one(shape):
    torch.manual_seed(0)
    layer, x = nn.Conv2d(shape[1], 1, 3, padding=1), torch.randn(shape, requires_grad=True)
    pull = torch.randn(shape[0], 1, *shape[2:]).bfloat16().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours, ordinary = thin.convolve(layer, x), layer(x)
    assert "_ToOne" in type(ours.grad_fn).__name__
    pairs = [
        torch.autograd.grad(y.float(), [x, layer.weight, layer.bias], pull)
        for y in (ours, ordinary)
    ]
    for a, b in zip(*pairs, strict=True):
        assert (a - b).norm() < 0.02 * b.norm()


def test_networks_that_compute_otherwise_have_another_structure():
    told = {(models.structure(name), models.definitions(name)) for name in models.NAMES}
    assert len(told) == len(models.NAMES)


# data consistency ----------------------------------------------------------------------------

CONSISTENT = {
    "DC-CNN": lambda form: models.Cascade(convolutions=3, channels=6, form=form),
    "DC-UNet": lambda form: DCUNet(channels=4, pools=2, form=form),
    "DC-RDN": lambda form: DCRDN(channels=6, form=form),
    "MAC-ReconNet": lambda form: MACReconNet(channels=6, form=form),
}


@pytest.mark.parametrize("name", CONSISTENT)
def test_measured_lines_come_back(name):
    """The Hermitian form restores any line mask, the Fourier form a mask that is its mirror."""
    images = slices(32, 24)
    mask = masks.cartesian_mask(32, 4, centre_lines=4)
    mirror = mask | np.roll(mask[::-1], 1)
    assert (mask != mirror).any()
    for form, lines in (("hermitian", mask), ("fft", mirror), ("circulant", mirror)):
        measurement = measure(images, lines)
        with torch.no_grad():
            image = CONSISTENT[name](form)(measurement)
        difference = (torch.fft.fft2(image, norm="ortho") - measurement.kspace)[:, :, lines]
        assert difference.abs().max() < 1e-4
        outside = (torch.fft.fft2(image, norm="ortho") - measurement.kspace)[:, :, ~lines]
        assert outside.abs().max() > 1e-2


@pytest.mark.parametrize("name", CONSISTENT)
def test_cascades_take_any_mask(name):
    measurement = measure(slices(32, 24), low_resolution_mask(32, 24, 12))
    assert measurement.projector is None
    with torch.no_grad():
        image = CONSISTENT[name](None)(measurement)
    assert image.shape == (2, 1, 32, 24)
    assert image.isfinite().all()


# formulas written out plainly: no library of ours but the weights -------------------------------


def plain_norm(hidden):
    mean = hidden.mean(dim=(2, 3), keepdim=True)
    variance = hidden.var(dim=(2, 3), keepdim=True, unbiased=False)
    return (hidden - mean) / (variance + 1e-5).sqrt()


def plain_unet(weights, image, pools):
    def pair(hidden, name):
        for i in (0, 1):
            kernel, bias = (weights[f"{name}.convolutions.{i}.{w}"] for w in ("weight", "bias"))
            hidden = relu(plain_norm(conv2d(hidden, kernel, bias, padding=1)))
        return hidden

    skips, hidden = [], image
    for level in range(pools):
        skips.append(pair(hidden, f"down.{level}"))
        hidden = max_pool2d(skips[-1], 2)
    hidden = pair(hidden, "bottom")
    for level in range(pools):
        size = skips[pools - 1 - level].shape[-2:]
        hidden = interpolate(hidden, size=size, mode="bilinear", align_corners=False)
        hidden = pair(torch.cat([hidden, skips[pools - 1 - level]], 1), f"up.{level}")
    for i in range(3):
        hidden = conv2d(hidden, weights[f"last.{i}.weight"], weights[f"last.{i}.bias"])
    return hidden


@pytest.mark.parametrize(("size", "padding"), [
    ((32, 48), (0, 0, 0, 0)),
    ((30, 41), (3, 4, 1, 1)),  # left, right, top, bottom: to 32 x 48
    ((150, 150), (5, 5, 5, 5)),  # the cardiac slices of the paper: 160 x 160
    ((16, 20), (6, 6, 8, 8)),  # two cells at the bottom at least
])  # fmt: skip
def test_unet_pads_with_zeros_and_crops(size, padding):
    block, image = UNetBlock(channels=4, pools=4).double(), slices(*size).double()
    with torch.no_grad():
        ours, kept = block(image), []
        whole = plain_unet(block.state_dict(), pad(image, padding), pools=4)
        left, _, top, _ = padding
        expected = whole[..., top : top + size[0], left : left + size[1]]
        assert (ours - expected).abs().max() < 1e-9
        block(image, keep=kept)
    assert [f.shape[1] for f in kept[-4:]] == [4, 2, 1, 1]
    assert all(f.shape[-2:] == size for f in kept[:2] + kept[-5:])
    assert torch.equal(kept[-1], ours)


def test_dc_unet_is_unets_and_consistency_in_turn():
    model, measurement = small("DC-UNet"), measured(32, 28)
    image = measurement.zero_filled
    with torch.no_grad():
        for stage in range(5):
            prefix = f"stages.{stage}.block."
            weights = {
                name.removeprefix(prefix): value
                for name, value in model.state_dict().items()
                if name.startswith(prefix)
            }
            image = data_consistency(plain_unet(weights, image, pools=2), measurement)
        assert (model(measurement) - image).abs().max() < 1e-4


def test_recursive_dilated_block():
    block = DCRDN(cascades=1, channels=6, passes=4).double().stages[0].block
    image, w = slices(20, 24).double(), block.state_dict()
    first = conv2d(image, w["first.weight"], w["first.bias"], padding=1)
    hidden = first
    for _ in range(4):
        for d in (1, 2, 3):
            kernel, bias = w[f"dilated.{d - 1}.weight"], w[f"dilated.{d - 1}.bias"]
            hidden = conv2d(relu(hidden), kernel, bias, padding=d, dilation=d)
        hidden = hidden + first
    expected = image + conv2d(relu(hidden), w["last.weight"], w["last.bias"], padding=1)
    assert (block(image, None) - expected).abs().max() < 1e-9


def test_context_block():
    """Each weight is one row of a matrix times (4, mask type, data), plus an offset."""
    model = MACReconNet(cascades=1, mask_type=1, dataset=2, channels=6).double()
    images = slices(32, 24).double()
    measurement = measure(images, masks.cartesian_mask(32, 4, centre_lines=4))
    w = {k.removeprefix("stages.0.block."): v for k, v in model.state_dict().items()}
    hidden = measurement.zero_filled
    for i in range(5):
        rows, offset = w[f"predictors.{i}.weight"], w[f"predictors.{i}.bias"]
        kernel = (4 * rows[:, 0] + 1 * rows[:, 1] + 2 * rows[:, 2] + offset).reshape(
            6 if i < 4 else 1, 6 if i else 1, 3, 3
        )
        hidden = conv2d(hidden, kernel, padding=1)
        if i < 4:
            scale, shift = (w[f"norms.{i}.{p}"][:, None, None] for p in ("weight", "bias"))
            hidden = relu(scale * plain_norm(hidden) + shift)
    expected = data_consistency(measurement.zero_filled + hidden, measurement)
    assert (model(measurement) - expected).abs().max() < 1e-9


def test_weights_of_mac_reconnet_follow_the_acceleration():
    model = models.build("MAC-ReconNet", 0)
    block = model.stages[0].block
    twice, fourfold = (measured(40, 32, rate=rate) for rate in (2, 4))
    assert acceleration(fourfold) == 4
    assert acceleration(measure(slices(40, 32), low_resolution_mask(40, 32, 8))) == 20
    for a, b, again in zip(*map(block.weights, (twice, fourfold, fourfold)), strict=True):
        assert torch.equal(b, again)
        assert (a - b).abs().max() > 1e-3 * b.abs().max()
        # as torch draws a convolution's weights, within 1 / sqrt(fan in), give or take; the one
        # that makes the image a tenth of it
        scale = 0.1 if len(b) == 1 else 1.0
        assert 0.9 * scale < b.abs().max() * (b[0].numel() ** 0.5) < 1.5 * scale
    other = MACReconNet(dataset=1.0)
    other.load_state_dict(model.state_dict())
    assert not torch.equal(other(fourfold), model(fourfold))


def test_vdsr_is_a_chain_that_adds_to_its_input():
    model = VDSR(convolutions=5, stages=3, channels=6)
    measurement = measure(slices(24, 20), low_resolution_mask(24, 20, 6))
    layers = [layer for stage in model.stages for layer in stage.convolutions]
    chain = nn.Sequential(*(m for layer in layers for m in (layer, nn.ReLU())))[:-1]
    low = torch.fft.ifft2(measurement.kspace, norm="ortho").abs()
    assert (model(measurement) - low - chain(low)).abs().max() < 1e-6
    nn.init.zeros_(layers[-1].weight)
    nn.init.zeros_(layers[-1].bias)
    assert torch.equal(model(measurement), measurement.zero_filled)


def test_residual_network():
    model, measurement = ResidualCNN(convolutions=9, stages=3, channels=6), measured(24, 20)
    a, b, c = ([*stage.convolutions] for stage in model.stages)
    state = a[0](measurement.zero_filled)
    state = state + a[2](relu(a[1](relu(state))))
    state = state + b[2](relu(b[1](relu(b[0](relu(state))))))
    state = state + c[1](relu(c[0](relu(state))))
    assert (model(measurement) - c[2](relu(state))).abs().max() < 1e-6


# student-friendly training ---------------------------------------------------------------------


class Toy(Staged):
    """A kind of network that the library has never seen."""

    def __init__(self, channels):
        super().__init__()
        self.state_channels = channels
        self.lift = nn.Conv2d(1, channels, 1)
        self.stages = nn.ModuleList(ToyStage(channels) for _ in range(3))

    def stem(self, measurement):
        return self.lift(measurement.zero_filled)

    def head(self, state, measurement):
        return state.mean(dim=-3, keepdim=True)


class ToyStage(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(channels, 1, 1))

    def forward(self, state, measurement, keep=None):
        return torch.sin(self.scale * state)


PAIRS = {
    "D5C5, D3C5": (lambda: models.build("D5C5"), lambda: models.build("D3C5")),
    "DC-UNet, D3C5": (lambda: models.build("DC-UNet"), lambda: models.build("D3C5")),
    "DC-UNet-tiny, D3C5": (lambda: models.build("DC-UNet-tiny"), lambda: models.build("D3C5")),
    "DC-RDN, D3C5": (SMALL["DC-RDN"], SMALL["DC-CNN"]),
    "MAC-ReconNet, D3C5": (SMALL["MAC-ReconNet"], SMALL["DC-CNN"]),
    "D3C5, MAC-ReconNet": (SMALL["DC-CNN"], SMALL["MAC-ReconNet"]),
    "VDSR-12, VDSR-4": (lambda: models.build("VDSR-12"), lambda: models.build("VDSR-4")),
    "VDSR-11, VDSR-7": (lambda: models.build("VDSR-11"), lambda: models.build("VDSR-7")),
    "ResCNN-25, ResCNN-15": (lambda: models.build("ResCNN-25"), lambda: models.build("ResCNN-15")),
    "VDSR wide, narrow": (lambda: VDSR(8, 4, channels=10), lambda: VDSR(4, 4, channels=6)),
    "VDSR, ResCNN": (SMALL["VDSR"], lambda: ResidualCNN(15, channels=4)),
    "DC-CNN, VDSR": (SMALL["DC-CNN"], SMALL["VDSR"]),
    "VDSR, DC-CNN": (SMALL["VDSR"], SMALL["DC-CNN"]),
    "unseen": (lambda: Toy(3), lambda: Toy(3)),
    "unseen, unequal": (lambda: Toy(3), lambda: Toy(2)),
    "unseen, VDSR": (lambda: Toy(3), lambda: VDSR(7, 3, channels=6)),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_branches_are_the_students_later_stages(pair):
    torch.manual_seed(0)
    teacher, student = (build() for build in PAIRS[pair])
    joint, measurement = sft.StudentFriendlyTeacher(teacher, student), measured(32, 24)
    with torch.no_grad():
        teacher_image, branch_images = joint(measurement)
        count = len(teacher.stages)
        assert branch_images.shape == (count - 1, 2, 1, 32, 24)
        assert (teacher_image - teacher(measurement)).abs().max() < 1e-5
        for k in range(1, count):
            state = teacher.stem(measurement)
            for stage in teacher.stages[:k]:
                state = stage(state, measurement)
            if teacher.state_channels != student.state_channels:
                state = joint.adapters[k - 1](state)
            for stage in student.stages[k:]:
                state = stage(state, measurement)
            expected = student.head(state, measurement)
            assert (branch_images[k - 1] - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("pair", PAIRS)
def test_adapters_only_where_states_differ(pair):
    teacher, student = (build() for build in PAIRS[pair])
    joint = sft.StudentFriendlyTeacher(teacher, student)
    own = models.parameter_count(teacher) + models.parameter_count(student)
    before, after = teacher.state_channels, student.state_channels
    each = 0 if before == after else after * before + after
    assert models.parameter_count(joint) == own + (len(teacher.stages) - 1) * each
    adapters = [name for name in joint.state_dict() if not name.startswith(("teacher", "student"))]
    assert bool(adapters) == (before != after)


def test_gradient_of_unequal_networks_and_their_reduced_precision():
    torch.manual_seed(0)  # of small networks some have a layer without a live channel
    teacher, student = VDSR(8, 4, channels=10), VDSR(4, 4, channels=6)
    joint = sft.StudentFriendlyTeacher(teacher, student).to(memory_format=torch.channels_last)
    images = slices(32, 24)
    measurement = measure(images, low_resolution_mask(32, 24, 8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = sft.loss(*joint(measurement), images)
    terms.total.backward()
    untouched = [name for name, p in joint.named_parameters() if p.grad is None]
    assert untouched == [
        "student.stages.0.convolutions.0.weight", "student.stages.0.convolutions.0.bias"
    ]  # fmt: skip
    assert all(p.grad.abs().max() > 0 for p in joint.parameters() if p.grad is not None)


def test_adapters_follow_their_seed_and_leave_the_global_state():
    def adapters(seed):
        torch.manual_seed(seed)  # must not matter
        joint = sft.StudentFriendlyTeacher(Toy(3), Toy(2), seed=seed)
        return [joint.adapters[k].weight for k in (0, 1)]

    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    teacher, student = VDSR(4, 4, channels=3), VDSR(4, 4, channels=2)
    torch.manual_seed(5)
    joint = sft.StudentFriendlyTeacher(teacher, student)
    assert torch.equal(torch.rand(1), before)
    again = sft.StudentFriendlyTeacher(teacher, student)
    assert all(torch.equal(joint.adapters[k].weight, again.adapters[k].weight) for k in range(3))
    assert not torch.equal(adapters(0)[0], adapters(1)[0])
    assert not torch.equal(*adapters(0))


# errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [
    lambda: DCUNet(cascades=0), lambda: UNet(pools=0), lambda: UNet(channels=1),
    lambda: DCRDN(passes=0), lambda: VDSR(convolutions=4), lambda: VDSR(1, 1),
    lambda: ResidualCNN(convolutions=24), lambda: ResidualCNN(convolutions=5),
    lambda: ResidualCNN(convolutions=4, stages=0),
])  # fmt: skip
def test_networks_that_cannot_be(wrong):
    with pytest.raises(InputError, match="cannot be built; use at least"):
        wrong()


def test_the_generator_has_no_stages_to_branch_from():
    with pytest.raises(InputError, match="at least 2"):
        sft.StudentFriendlyTeacher(models.build("DAGAN"), models.build("UNet"))
