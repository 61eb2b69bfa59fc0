"""Time our training steps against a plain implementation of the published recipe, in one run.

    python benchmarks/steps.py [--size 240] [--batch 4] [--repeats 5] [--methods at sp]

The recipe, written out here: eager float32, five separate networks' branches, FFT data consistency,
and for distillation the teacher's forward pass in every step and each method's loss as the common
libraries write it (NST by broadcasting, unless --modest). Ours: branches as one batch, data
consistency as a matrix product, bfloat16 and channels-last where the hardware has it, the frozen
teacher's summaries cached, losses by matrix products in the features' own precision. Both take
turns, so that what else the machine does falls on both.
"""

import argparse
import copy
import functools
import time
from math import exp

import torch
from torch import nn
from torch.nn.functional import conv2d, normalize, relu

from sftkd_core import distillation, models, objectives, sft
from sftkd_core.consistency import measure
from sftkd_core.distillation.distiller import common_sizes
from sftkd_core.distillation.memory import remember
from sftkd_core.experiments import Sampling
from sftkd_core.hardware import describe, has_bfloat16, pick_device
from sftkd_core.training import autocast


def plain_stage(convolutions, image, kspace, mask):
    """Convolutions with ReLU between, then the FFT form of data consistency."""
    kept = []
    for index, layer in enumerate(convolutions):
        image = layer(relu(image) if index else image)
        kept.append(image)
    predicted = torch.fft.fft2(image, norm="ortho")
    predicted = (1 - mask) * predicted + mask * kspace
    return torch.fft.ifft2(predicted, norm="ortho").real, kept


def plain_cascade(network, image, kspace, mask, first=0):
    images, kept = [], []
    for stage in list(network.stages)[first:]:
        image, features = plain_stage(stage.convolutions, image, kspace, mask)
        images.append(image)
        kept.append(features)
    return images, kept


def plain_sft_step(joint, optimiser, start, kspace, mask, target):
    """Teacher, then each of its four branches by itself."""
    optimiser.zero_grad()
    images, _ = plain_cascade(joint.teacher, start, kspace, mask)
    loss = (images[-1] - target).abs().mean()
    for k in range(4):
        branch = plain_cascade(joint.student, images[k], kspace, mask, first=k + 1)[0][-1]
        loss = loss + ((branch - target).abs().mean() + (branch - images[-1]).abs().mean()) / 4
    loss.backward()
    optimiser.step()


def plain_kd_step(student, optimiser, teacher, parts, loss, start, kspace, mask, target):
    """The student beside its teacher, which computes its features in every step."""
    optimiser.zero_grad()
    with torch.no_grad():
        _, theirs = plain_cascade(teacher, start, kspace, mask)
    images, mine = plain_cascade(student, start, kspace, mask)
    kd = loss(mine, theirs, *parts)
    ((images[-1] - target).abs().mean() + 1e-3 * kd).backward()
    optimiser.step()


def middles(features):
    return [stage[(len(stage) - 1) // 2] for stage in features]


def plain_at(mine, theirs):
    kd = 0
    for s, t in zip(middles(mine), middles(theirs), strict=True):
        maps = [f.pow(2).sum(1).flatten(1) for f in (s, t)]
        maps = [m / m.norm(dim=1, keepdim=True) for m in maps]
        kd = kd + (maps[0] - maps[1]).norm(dim=1).mean()
    return kd


def plain_fitnets(mine, theirs, regressor):
    return 0.5 * (regressor(middles(mine)[2]) - middles(theirs)[2]).pow(2).sum((1, 2, 3)).mean()


def plain_sp(mine, theirs):
    kd = 0
    for pair in zip(middles(mine), middles(theirs), strict=True):
        grams = [normalize(f.flatten(1) @ f.flatten(1).T, dim=1) for f in pair]
        kd = kd + (grams[0] - grams[1]).pow(2).sum() / len(grams[0]) ** 2
    return kd


def plain_fsp(mine, theirs):
    kd = 0
    for s, t in zip(mine, theirs, strict=True):
        flows = [
            torch.einsum("bihw,bjhw->bij", stage[0], stage[-2]) / stage[0][0, 0].numel()
            for stage in (s, t)
        ]
        kd = kd + (flows[0] - flows[1]).pow(2).mean()
    return kd


def plain_cosines(features):
    vectors = normalize(middles(features)[-1].flatten(1), dim=1)
    return vectors @ vectors.T


def plain_cc(mine, theirs):
    kernels = [
        sum(exp(-0.8) * 0.8**p / (1, 1, 2)[p] * plain_cosines(f) ** p for p in range(3))
        for f in (mine, theirs)
    ]
    return (kernels[0] - kernels[1]).pow(2).sum() / len(kernels[0]) ** 2


def plain_pkt(mine, theirs):
    rows = [(plain_cosines(f) + 1) / 2 for f in (mine, theirs)]
    off = ~torch.eye(len(rows[0]), dtype=torch.bool, device=rows[0].device)
    rows = [r[off].view(len(r), -1) for r in rows]
    student, teacher = (r / r.sum(1, keepdim=True) for r in rows)
    return (teacher * (teacher / student).log()).sum()


def plain_ft(mine, theirs, translator, paraphraser):
    with torch.no_grad():
        wanted = normalize(paraphraser(middles(theirs)[-1]).flatten(1), dim=1)
    factor = normalize(translator(middles(mine)[-1]).flatten(1), dim=1)
    return (factor - wanted).abs().sum(1).mean()


def plain_nst(mine, theirs, broadcast=True):
    kd = 0
    for pair in zip(middles(mine), middles(theirs), strict=True):
        s, t = (normalize(f.flatten(2), dim=2) for f in pair)

        def kernel(a, b):
            if broadcast:
                return (a.unsqueeze(1) * b.unsqueeze(2)).sum(-1).pow(2).mean()
            return (a @ b.transpose(1, 2)).pow(2).mean()

        kd = kd + kernel(t, t) + kernel(s, s) - 2 * kernel(s, t)
    return kd


PLAIN = {
    "at": plain_at, "fitnets": plain_fitnets, "sp": plain_sp, "fsp": plain_fsp,
    "cc": plain_cc, "pkt": plain_pkt, "ft": plain_ft, "nst": plain_nst,
}  # fmt: skip


def our_step(network, optimiser, objective, indices, device):
    optimiser.zero_grad(set_to_none=True)
    with autocast(device, "auto"):
        loss = objective(network, indices)
    loss.backward()
    optimiser.step()


def adam(network):
    return torch.optim.Adam(network.parameters(), 1e-3)


def kd_steps(name, teacher, train, plain, indices, modest):
    """The recipe's step and ours, for one method."""
    device = train.targets.device
    method = distillation.method(name)
    students = models.build("D3C5", 0).to(device), models.build("D3C5", 0).to(device)
    learnt, fixed = distillation.parts(method, students[0], teacher)
    learnt, fixed = (nn.ModuleList(parts).to(device) for parts in (learnt, fixed))
    fixed.requires_grad_(False)
    ours = distillation.Distiller(students[1], copy.deepcopy(learnt))
    ours.to(memory_format=torch.channels_last)
    sizes = common_sizes(method, students[1], teacher, train.targets.shape[-2:])
    memory = remember(teacher, train.measurement, method, fixed, sizes)
    objective = objectives.distillation(train, memory, method, 1e-3)
    optimisers = adam(nn.ModuleList([students[0], *learnt])), adam(ours)
    loss = functools.partial(plain_nst, broadcast=not modest) if name == "nst" else PLAIN[name]
    parts = [*learnt, *fixed]
    return (
        lambda: plain_kd_step(students[0], optimisers[0], teacher, parts, loss, *plain),
        lambda: our_step(ours, optimisers[1], objective, indices, device),
    )


def timed(function, device):
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def convolution_peak(device, dtype, seconds=1.0):
    """The best rate of a 3x3 convolution that this machine shows, forward, in FLOP/s."""
    best = 0.0
    for channels, size in ((32, 240), (64, 128), (256, 64)):
        x = torch.randn(4, channels, size, size, device=device, dtype=dtype)
        x = x.to(memory_format=torch.channels_last)
        w = torch.randn(channels, channels, 3, 3, device=device, dtype=dtype)
        w = w.to(memory_format=torch.channels_last)
        work = 2 * 9 * channels**2 * size**2 * 4
        with torch.inference_mode():
            conv2d(x, w, padding=1)
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                best = max(best, work / timed(lambda x=x, w=w: conv2d(x, w, padding=1), device))
    return best


def multiplications(network, size):
    """Of a forward pass of one image."""
    weights = sum(p.numel() for n, p in network.named_parameters() if n.endswith("weight"))
    return weights * size**2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=240)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--methods", nargs="*", default=list(PLAIN), choices=list(PLAIN))
    parser.add_argument("--modest", action="store_true", help="NST's recipe by matrix products")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = pick_device(options.device)
    size, batch = options.size, options.batch
    images = torch.rand(batch, 1, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    lines = Sampling(4).mask(size)
    measurement = measure(images, lines)
    indices = torch.arange(batch)
    train = objectives.Examples(measurement, images)
    mask = torch.from_numpy(lines).float()[:, None].expand(size, size).to(device)
    plain = (measurement.zero_filled, measurement.kspace, mask, images)

    def joint():
        return sft.StudentFriendlyTeacher(models.build("D5C5", 0), models.build("D3C5", 0)).to(
            device
        )

    joints = joint(), joint().to(memory_format=torch.channels_last)
    optimisers = [adam(network) for network in joints]
    steps = {
        "SFT": (
            lambda: plain_sft_step(joints[0], optimisers[0], *plain),
            lambda: our_step(
                joints[1], optimisers[1], objectives.student_friendly(train), indices, device
            ),
        ),
    }
    teacher = models.build("D5C5", 0).to(device).eval().requires_grad_(False)
    for name in options.methods:
        steps[name] = kd_steps(name, teacher, train, plain, indices, options.modest)
    d5, d3 = multiplications(teacher, size), multiplications(models.build("D3C5", 0), size)
    # forward and backward are three passes; the first stage of the student is in no branch
    stage = d3 / 5
    work = {name: 6 * batch * d3 for name in options.methods}  # the student's own
    work["SFT"] = 6 * batch * (d5 + 10 * stage)
    dtype = torch.bfloat16 if has_bfloat16(device) else torch.float32
    peak = convolution_peak(device, dtype)
    print(f"{describe(device)}; torch {torch.__version__}; {size} x {size}, batch {batch}")
    print(f"measured convolution peak in {dtype}: {peak / 1e9:.0f} GFLOP/s")
    print(f"{'step':8}{'recipe':>10}{'ours':>10}{'ratio':>8}{'share of peak':>16}")
    for name, (recipe, ours) in steps.items():
        for function in (recipe, ours):
            function()
        times = [(timed(recipe, device), timed(ours, device)) for _ in range(options.repeats)]
        theirs, mine = (sorted(column)[len(times) // 2] for column in zip(*times, strict=True))
        share = work[name] / mine / peak
        print(f"{name:8}{theirs:9.3f}s{mine:9.3f}s{theirs / mine:8.1f}{share:15.0%}")


if __name__ == "__main__":
    main()
