"""Networks that are not ours: taps by hooks, a pair for one's own loop, blocks as stages."""

import copy
import re
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from chapters import ROOT, source
from torch import nn

from sftkd_core import consistency, distillation, experiments, models, sft
from sftkd_core.distillation import LOSSES, METHODS, Distiller, Pair, method, tap_modules
from sftkd_core.experiments import losses
from sftkd_core.system import InputError


class Net(nn.Module):
    """Written as anyone writes one: knows nothing of measurements, stages or lists to keep."""

    def __init__(self, width=6, inplace=False):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(inplace))
        self.middle = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.decoder = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, image):
        hidden = self.decoder(self.middle(self.encoder(image)))
        return image + self.last(hidden)


NAMES = ["encoder.0", "middle", "decoder"]
PAIRS = [("encoder.0", "decoder"), ("encoder", "decoder")]


def net(width=6, seed=0, **options):
    torch.manual_seed(seed)
    return Net(width, **options)


def images(count=4, seed=0):
    return torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(seed))


def measured(count=4):
    return consistency.measure(images(count), torch.arange(32) % 3 < 2)


def test_taps_give_what_the_named_modules_return():
    network, x = net(), images()
    output, stages = tap_modules(network, NAMES).features(x)
    torch.testing.assert_close(output, network(x), rtol=0, atol=0)
    first = network.encoder[0](x)
    torch.testing.assert_close(stages[0][0], first, rtol=0, atol=0)
    assert [stage[0].shape[-1] for stage in stages] == [32, 16, 32]
    assert not network.encoder[0]._forward_hooks  # nothing is left behind


def test_a_network_behind_taps_takes_a_measurement():
    measurement = measured()
    network = net()
    tapped = tap_modules(network, NAMES)
    torch.testing.assert_close(tapped(measurement), network(measurement.zero_filled))
    own = tap_modules(network, NAMES, inputs=lambda m: m.aliased)
    torch.testing.assert_close(own(measurement), network(measurement.aliased))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_distils_one_foreign_network_from_another(name):
    names = PAIRS if name == "fsp" else NAMES
    student, teacher = tap_modules(net(4), names), tap_modules(net(8, seed=1), names)
    if name == "stages":  # channel by channel: images between, not features
        student, teacher = (tap_modules(t.network, ["last"]) for t in (student, teacher))
    before = copy.deepcopy(teacher.state_dict())
    pair = Pair(method(name), student, teacher, images())
    if name == "ft":
        assert len(pair.prepare([images(seed=s) for s in range(3)])) == 3
    optimiser = torch.optim.Adam(pair.parameters_to_train(), 1e-2)
    pair.train()
    weight = pair.weight(images(), lambda output: sft.l1(output, images()))
    values = []
    for _ in range(12):
        output, kd = pair(images())
        optimiser.zero_grad()
        (sft.l1(output, images()) * 0 + weight * kd).backward()
        optimiser.step()
        values.append(kd.item())
    assert values[-1] < values[0]
    assert all(torch.equal(before[key], value) for key, value in teacher.state_dict().items())


def test_the_weight_makes_the_pulls_equal():
    pair = Pair(method("at"), tap_modules(net(4), NAMES), tap_modules(net(8), NAMES), images())
    reconstruction = lambda output: sft.l1(output, images())  # noqa: E731
    weight = pair.weight(images(), reconstruction, share=0.5)
    output, _ = pair(images())
    weights = list(pair.student.parameters())
    found = [
        torch.autograd.grad(v, weights, allow_unused=True)
        for v in (reconstruction(output), pair(images())[1])
    ]
    lengths = [sum(g.square().sum() for g in one if g is not None) for one in found]
    assert weight == pytest.approx(0.5 * (lengths[0] / lengths[1]).sqrt().item(), rel=1e-4)


def test_our_teacher_and_our_loop_take_a_foreign_student(tmp_path):
    """The functions that experiments use, with a network that they have never seen."""
    teacher, row = models.build("D5C5", 0), method("fitnets")
    student = tap_modules(net(4), ["encoder.0", "encoder.1", "middle", "decoder", "last"])
    parts, _ = distillation.parts(row, student, teacher)
    train = losses.Examples(measured(), images())
    with pytest.raises(InputError, match=r"pass distillation\.Distiller"):
        experiments.starting_weight(student, train, None, row, 1.0)
    at = method("at")
    sizes = distillation.teacher.common_sizes(at, student, teacher, (32, 32))
    memory = distillation.remember(teacher, train.measurement, at, sizes=sizes)
    distiller = Distiller(student)
    weight = experiments.starting_weight(distiller, train, memory, at, 1.0)
    loss = losses.distillation(train, memory, at, weight)
    validate = losses.validate_image(train)
    schedule = experiments.Schedule(2, batch=2)
    history = experiments.fit(distiller, loss, validate, 4, schedule, tmp_path, precision="float32")
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert len(parts) == 1


def test_blocks_of_your_own_are_stages_of_a_friendly_teacher():
    blocks = lambda width: models.OwnCascade([net(width, s) for s in range(3)])  # noqa: E731
    joint = sft.StudentFriendlyTeacher(blocks(8), blocks(4))
    image, branches = joint(measured())
    sft.loss(image, branches, images()).total.backward()
    assert branches.shape == (2, 4, 1, 32, 32)
    touched = [
        any(p.grad is not None for p in s.parameters()) for s in joint.student.stages
    ]  # the first is part of no branch
    assert touched == [False, True, True]


def test_features_of_own_blocks_are_their_convolutions_as_they_run():
    network = models.OwnCascade([net(4), net(4, seed=1)])
    image, features = network.features(measured())
    torch.testing.assert_close(image, network(measured()))
    assert [layer.shape[1] for layer in features[0]] == [4, 4, 1]
    torch.testing.assert_close(
        features[0][0], network.stages[0].block.module.encoder[0](measured().zero_filled)
    )
    free = models.OwnCascade([net(4)], lam=0)
    torch.testing.assert_close(free(measured()), net(4)(measured().zero_filled))


COMPLEX = torch.randn(
    2, 4, 3, 6, 4, dtype=torch.complex128, generator=torch.Generator().manual_seed(1)
).unbind()


@pytest.mark.parametrize("name", [n for n in METHODS if n not in ("fitnets", "ft")])
def test_complex_features_count_as_twice_as_many_real_ones(name):
    student, teacher = COMPLEX
    found = LOSSES[name](student.clone().requires_grad_(), teacher)
    assert not found.is_complex()
    real = [torch.cat([x.real, x.imag], 1) for x in (student, teacher)]
    torch.testing.assert_close(found.detach(), LOSSES[name](*real))
    assert LOSSES[name](teacher, teacher).abs() < 1e-6


def test_a_complex_similarity_is_the_real_part_of_the_conjugate_gram():
    student = COMPLEX[0]
    rows = student.flatten(1)
    gram = distillation.similarity.gram(*2 * (torch.cat([student.real, student.imag], 1),))
    torch.testing.assert_close(gram, (rows @ rows.conj().T).real)


def test_a_module_under_two_names_is_one_that_runs_twice():
    network = nn.Sequential(*2 * [nn.Conv2d(1, 1, 3, padding=1)])
    for name in ("0", "1"):
        with pytest.raises(InputError, match=rf"'{name}' was called 2 times"):
            tap_modules(network, [name]).features(images())


def test_parts_of_a_student_that_evaluate_go_on_evaluating():
    student = net(4)
    student.middle.eval()
    assert pair(student).student.training
    assert not student.middle.training


COMPILED = """
import sys
sys.path.insert(0, {folder!r})
import test_own_network as tests
from test_own_network import images, method, net, pair, tap_modules, torch
expected = pair(net(4))(images())[1].item()
compiled = tap_modules(torch.compile(net(4), backend="aot_eager"), ["_orig_mod.middle"])
in_place = net(4)
in_place.compile(backend="aot_eager")
ways = [
    tests.Pair(method("at"), compiled, tap_modules(net(8), ["middle"]), images()),
    pair(in_place),
    torch.compile(pair(net(4)), backend="aot_eager"),
]
for made in ways:
    for _ in range(2):
        loss = made(images())[1]
        assert abs(loss.item() - expected) < 1e-5
    loss.backward()
with tests.pytest.raises(tests.InputError, match="was compiled.* tap it first"):
    tests.compiled_after_a_call()
"""


def test_a_compiled_network_gives_the_same_loss_or_says_why_not(environment):
    """In a process of its own: torch's compiler warns of itself, which is an error in tests."""
    code = COMPILED.format(folder=str(Path(__file__).parent))
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0, run.stderr[-2000:]


def test_a_network_in_data_parallel_is_tapped_through_it():
    parallel = nn.DataParallel(net(4))
    tapped_one = tap_modules(parallel, ["module.middle"])
    made = Pair(method("at"), tapped_one, tap_modules(net(8), ["middle"]), images())
    torch.testing.assert_close(made(images())[1], pair(net(4))(images())[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", ["at", "fitnets", "sp", "cc", "pkt", "nst"])
def test_features_of_other_precision_give_a_finite_loss_with_a_gradient(name, dtype):
    student, teacher = (tap_modules(net(w).to(dtype), NAMES) for w in (4, 8))
    made = Pair(method(name), student, teacher, images().to(dtype))
    made(images().to(dtype))[1].backward()
    found = student.network.encoder[0].weight.grad
    assert found.isfinite().all()
    assert found.abs().sum() > 0


# ---- loops of others: the classes that the chapter shows, with stand-ins and with the libraries


def shown(library):
    """What a block of the chapter that imports a library defines."""
    cells = source(ROOT / "book" / "practice" / "your_network.ipynb").cells
    blocks = re.findall(r"```python\n(.*?)```", "\n".join(cell.source for cell in cells), re.S)
    (block,) = [block for block in blocks if f"from {library}" in block]
    assert max(map(len, block.splitlines())) <= 84  # as of cells that are run
    names = {}
    exec(compile(block, library, "exec"), names)
    return names


class ALightningModule(nn.Module):
    """As much of Lightning's as the two classes use."""

    def __init__(self):
        super().__init__()
        self.logged = []

    def log(self, name, value):
        self.logged.append(name)

    def log_dict(self, values):
        self.logged.extend(values)


class AUnetModule(ALightningModule):
    """fastMRI's, with a U-Net of two levels whose modules have its names."""

    def __init__(self, chans=32, lr=0.001):
        super().__init__()
        self.unet = AUnet(chans)
        self.lr = lr

    @classmethod
    def load_from_checkpoint(cls, path, map_location=None):
        found = torch.load(path, map_location)
        module = cls(**found["hyper_parameters"])
        module.load_state_dict(found["state_dict"])
        return module

    def configure_optimizers(self):
        return [torch.optim.RMSprop(self.parameters(), lr=self.lr)], []


class AUnet(nn.Module):
    def __init__(self, chans):
        super().__init__()
        self.down_sample_layers = nn.ModuleList([nn.Conv2d(1, chans, 3, padding=1)])
        self.conv = nn.Conv2d(chans, 2 * chans, 3, padding=1)
        self.up_conv = nn.ModuleList([nn.Conv2d(2 * chans, 1, 3, padding=1)])

    def forward(self, image):
        return self.up_conv[0](self.conv(self.down_sample_layers[0](image)))


@pytest.fixture(params=["a stand-in", "the library"])
def libraries(request, monkeypatch):
    """Lightning and fastMRI: where they are not installed, or not wanted, what stands for them."""
    if request.param == "the library":
        return lambda *names: [pytest.importorskip(name) for name in names]
    names = ("lightning", "lightning.pytorch", "fastmri", "fastmri.pl_modules")
    modules = {name: ModuleType(name) for name in names}
    modules["lightning.pytorch"].LightningModule = ALightningModule
    modules["fastmri.pl_modules"].UnetModule = AUnetModule
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return lambda *names: None


def stepped(module, optimiser, batch, count=12):
    """The losses of a few steps, as a trainer takes them."""
    losses = []
    for index in range(count):
        loss = module.train().training_step(batch, index)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def check_distilled(module, losses, before):
    """The loss fell, the student moved, and the teacher is what it was, and frozen."""
    teacher = module.pair.teacher
    assert losses[-1] < losses[0]
    assert all(torch.equal(before[key], value) for key, value in teacher.state_dict().items())
    assert not teacher.training
    assert module.pair.student.training
    assert all(weight.grad is None for weight in teacher.parameters())
    assert any(weight.grad is not None for weight in module.pair.student.parameters())


def beside_ours():
    """A foreign student beside a teacher of this library, which takes a measurement."""
    taps = ["encoder.0", "encoder.1", "middle", "decoder", "last"]
    teacher = models.build("D3C5", 0)
    return Pair(method("at"), tap_modules(net(4), taps), teacher, images(), measured())


@pytest.mark.filterwarnings("ignore")  # Lightning's, of what it looks for and does not find
def test_the_chapter_s_module_for_lightning_distils(libraries):
    libraries("lightning.pytorch")
    made, given = beside_ours(), measured()
    weight = made.weight(images(), lambda output: sft.l1(output, images()), given=given)
    module = shown("lightning")["Distilled"](made, weight)
    before = copy.deepcopy(made.teacher.state_dict())
    optimiser = module.configure_optimizers()
    held = {id(w) for group in optimiser.param_groups for w in group["params"]}
    assert held == {id(w) for w in made.parameters_to_train()}
    losses = stepped(module, optimiser, (given.zero_filled, given, images()))
    check_distilled(module, losses, before)


@pytest.mark.filterwarnings("ignore")
def test_lightning_s_trainer_takes_the_chapter_s_module(tmp_path):
    """Batches with a ``Measurement`` in them, as a trainer hands them on."""
    trainers = pytest.importorskip("lightning.pytorch")
    made, given = beside_ours(), measured()
    before, start = (copy.deepcopy(n.state_dict()) for n in (made.teacher, made.student))
    batches = torch.utils.data.DataLoader(
        [(given.zero_filled, given, images())] * 3, batch_size=None, collate_fn=lambda one: one
    )
    trainer = trainers.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(shown("lightning")["Distilled"](made, 1.0), batches)
    assert trainer.global_step == 3
    assert {"reconstruction", "distillation"} <= set(trainer.logged_metrics)
    assert all(torch.equal(before[key], value) for key, value in made.teacher.state_dict().items())
    moved = made.student.state_dict()
    assert not any(torch.equal(start[key], moved[key]) for key in start)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kd_weight", [None, 0.5])
def test_the_chapter_s_module_for_fastmri_distils(libraries, kd_weight, tmp_path):
    libraries("lightning.pytorch", "fastmri.pl_modules")
    names = shown("fastmri")
    torch.manual_seed(0)
    wider = names["UnetModule"](chans=8)
    torch.save(
        {
            "hyper_parameters": {"chans": 8},
            "state_dict": wider.state_dict(),
            "pytorch-lightning_version": "2.4.0",
        },
        tmp_path / "teacher.ckpt",
    )
    torch.manual_seed(0)
    module = names["DistilledUnet"](str(tmp_path / "teacher.ckpt"), kd_weight, chans=4)
    before = copy.deepcopy(wider.unet.state_dict())
    teacher = module.pair.teacher.network.state_dict()
    assert all(torch.equal(before[key], value) for key, value in teacher.items())
    batch = SimpleNamespace(image=measured(2).zero_filled[:, 0], target=images(2)[:, 0])
    losses = stepped(module, module.configure_optimizers()[0][0], batch)
    check_distilled(module, losses, copy.deepcopy(module.pair.teacher.state_dict()))
    assert module.kd_weight == kd_weight if kd_weight else module.kd_weight > 0
    assert module.pair.student.network is module.unet


def tapped(*names, **options):
    return lambda: tap_modules(net(**options), names).features(images())


class _Skips(nn.Module):
    def __init__(self):
        super().__init__()
        self.unused, self.pair = nn.Identity(), _Two()

    def forward(self, x):
        return self.pair(x)[0]


class _Two(nn.Module):
    def forward(self, x):
        return x, x


def pair(student=None, teacher=None):
    student = tap_modules(net(4) if student is None else student, ["middle"])
    return Pair(method("at"), student, tap_modules(teacher or net(8), ["middle"]), images())


def compiled_after_a_call():
    network = torch.compile(net(), backend="aot_eager")
    network(images())
    return tap_modules(network, ["_orig_mod.middle"]).features(images())


def shared_weights():
    student, teacher = net(4), net(8)
    teacher.last = student.last
    return pair(student, teacher)


def real_pair():
    return [x.real for x in COMPLEX]


MISUSES = {  # what is done, and what the error says: the thing and the remedy
    r"no module 'encodr'; choose one of encoder": tapped("encodr"),
    r"no modules are named; name at least one of encoder, encoder\.0": tapped(),
    r"'encoder\.0' is overwritten .* inplace=False": tapped("encoder.0", inplace=True),
    r"called 0 times .* called once": lambda: tap_modules(
        nn.ModuleDict({"a": nn.Identity(), "b": nn.Identity()}), ["a"]
    ) and distillation.Tapped(_Skips(), ["unused"]).features(images()),
    r"gives \(4, 1024\); tap one that gives": lambda: tap_modules(
        nn.Sequential(nn.Flatten(), nn.Unflatten(1, (1, 32, 32))), ["0"]
    ).features(images()),
    r"returns a tuple; tap one": lambda: tap_modules(_Skips(), ["pair"]).features(images()),
    r"network is a function; pass a torch module": lambda: tap_modules(lambda x: x, ["a"]),
    r"a Net has no taps; name the modules": lambda: distillation.parts(
        method("at"), net(), models.build("D3C5")
    ),
    r"a Net has no taps": lambda: distillation.remember(net(), measured(), method("at")),
    r"the teacher is a Net without stages .* models\.OwnCascade": (
        lambda: sft.StudentFriendlyTeacher(net(), models.build("D3C5"))
    ),
    r"the student is a Net without stages": (
        lambda: sft.StudentFriendlyTeacher(models.build("D3C5"), net())
    ),
    r"unknown KD loss 'attention'; choose one of at, fitnets": lambda: LOSSES["attention"],
    r"3 student and 3 teacher channels, .* pass student_parts": (
        lambda: LOSSES["fitnets"](*real_pair())
    ),
    r"student_parts=.*see distillation\.parts": lambda: LOSSES["ft"](*real_pair()),
    r"trained before the student; pass teacher_parts": (
        lambda: LOSSES["ft"](*real_pair(), student_parts=[])
    ),
    r"call pair\.prepare\(batches\) first": lambda: Pair(
        method("ft"), *(tap_modules(net(4), NAMES) for _ in range(2)), images()
    )(images()),
    r"3 student and 1 teacher layers cannot be paired": lambda: Pair(
        method("at"), tap_modules(net(4), NAMES), tap_modules(net(4), ["middle"]), images()
    ),
    r"4 student and 8 teacher channels": lambda: Pair(
        method("stages"), *(tap_modules(net(w), ["middle"]) for w in (4, 8)), images()
    ),
    r"the method is 'at'; pass a row": lambda: Pair("at", net(), net(), images()),
    r"the teacher cannot be called on its example, \(4, 1, 32, 32\) torch\.float32 .* given=": (
        lambda: pair(teacher=net(8).double())
    ),
    r"the student cannot be called on its example": lambda: pair(net(4).double()),
    r"module 'middle' gives \(1, 4, 2, 2, 2\)": lambda: tap_modules(
        nn.Sequential(OrderedDict(middle=nn.Conv3d(1, 4, 3))), ["middle"]
    ).features(torch.rand(1, 1, 4, 4, 4)),
    r"the student has no weight to train": lambda: pair(net(4).requires_grad_(False)),
    r"weights in common, .* copy\.deepcopy": shared_weights,
    r"of TorchScript, .* made from": (
        lambda: tap_modules(torch.jit.trace(net(), images()), ["last"])
    ),
    r"a block of Conv3d cannot be called on an image \(4, 1, 32, 32\) torch\.float32": (
        lambda: models.OwnCascade([nn.Conv3d(1, 1, 3)])(measured())
    ),
    r"a block is 'conv'": lambda: models.OwnCascade(["conv"]),
    r"makes \(4, 5, 32, 32\) of an image \(4, 1, 32, 32\)": (
        lambda: models.OwnCascade([nn.Conv2d(1, 5, 1)])(measured())
    ),
    r"\(4, 3, 32, 32\) \(of 3 coils: combine them first\)": lambda: consistency.from_kspace(
        torch.zeros(4, 3, 32, 32, dtype=torch.complex64), torch.ones(32)
    ),
    r"k-space has dtype torch.float32; pass complex": (
        lambda: consistency.from_kspace(images(), torch.ones(32))
    ),
}  # fmt: skip


# refused by annotations already where the tests check them
BY_TYPE = [
    says for says in MISUSES if re.search("no taps|without stages|function|at'|block is", says)
]
UNTYPED = """
import sys
sys.path.insert(0, {folder!r})
import test_own_network as tests
for says in tests.BY_TYPE:
    with tests.pytest.raises(tests.InputError, match=says):
        tests.MISUSES[says]()
"""


@pytest.mark.parametrize("says", [says for says in MISUSES if says not in BY_TYPE])
def test_a_misuse_is_one_sentence_with_its_remedy(says):
    with pytest.raises(InputError, match=says):
        MISUSES[says]()


def test_so_is_what_is_of_another_type(environment):
    code = UNTYPED.format(folder=str(Path(__file__).parent))
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0, run.stderr[-2000:]
