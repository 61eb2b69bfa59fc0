"""Time our training steps against a plain implementation of the published recipe, in one run.

    python benchmarks/steps.py [--size 240] [--batch 4] [--repeats 7] [--methods at sp]

The recipe is ``sftkd_core.book.plain``: eager float32, branches one after the other, FFT data
consistency, and for distillation the teacher's forward pass in every step; each method's loss
stands here as the common libraries write it ("nst" with matrix products, "nst-broadcast" by
broadcasting as some do). Ours: branches as one batch, data consistency as a matrix product,
bfloat16 and channels-last where the hardware has it, the frozen teacher's summaries cached, losses
by matrix products in the features' own precision, and the memory of freed tensors kept, as
``training.fit`` does.

Each side of each step runs in a process of its own: the recipe in one as a reader would start it,
and once more in one that keeps freed memory, so that the last column compares the arithmetic
alone. The processes take turns, one step each, so that what else the machine does falls on all;
seconds are the processor's, of all threads, or a GPU's clock.
"""

import argparse
import functools
import multiprocessing
from math import exp
from statistics import median

import torch
from torch import nn
from torch.nn.functional import normalize

from sftkd_core import distillation, models, sft
from sftkd_core.book import plain
from sftkd_core.book.plain import middles
from sftkd_core.consistency import measure
from sftkd_core.distillation.teacher import common_sizes, remember
from sftkd_core.experiments import Sampling, objectives
from sftkd_core.models.cost import clocked, convolution_peak
from sftkd_core.system import autocast, describe, has_bfloat16, keep_freed_memory, pick_device


def plain_sft_step(joint, optimiser, start, kspace, mask, target):
    """Teacher, then each of its four branches by itself."""
    optimiser.zero_grad()
    plain.sft_loss(joint.teacher, joint.student, start, kspace, mask, target).backward()
    optimiser.step()


def plain_kd_step(student, optimiser, teacher, parts, loss, start, kspace, mask, target):
    """The student beside its teacher, which computes its features in every step."""
    optimiser.zero_grad()
    given = (start, kspace, mask, target, loss, tuple(parts))
    plain.kd_loss(student, teacher, *given).backward()
    optimiser.step()


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
        sum(exp(-0.8) * 0.8**p / (1, 1, 2)[p] * cosines**p for p in range(3))
        for cosines in (plain_cosines(mine), plain_cosines(theirs))
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


def plain_nst(mine, theirs, broadcast=False):
    kd = 0
    for pair in zip(middles(mine), middles(theirs), strict=True):
        s, t = (normalize(f.flatten(2), dim=2) for f in pair)

        def kernel(a, b):
            if broadcast:
                return (a.unsqueeze(1) * b.unsqueeze(2)).sum(-1).pow(2).mean()
            return (a @ b.transpose(1, 2)).pow(2).mean()

        kd = kd + kernel(t, t) + kernel(s, s) - 2 * kernel(s, t)
    return kd


WARM = 2  # steps of each side before the first that counts
PLAIN = {
    "at": plain.attention, "fitnets": plain_fitnets, "sp": plain_sp, "fsp": plain_fsp,
    "cc": plain_cc, "pkt": plain_pkt, "ft": plain_ft, "nst": plain_nst,
    "nst-broadcast": functools.partial(plain_nst, broadcast=True),
}  # fmt: skip


def our_step(network, optimiser, objective, indices, device):
    optimiser.zero_grad(set_to_none=True)
    with autocast(device, "auto"):
        loss = objective(network, indices)
    loss.backward()
    optimiser.step()


def adam(network):
    return torch.optim.Adam(network.parameters(), 1e-3)


SIDES = ("recipe", "ours", "recipe, memory kept")


def examples(options, device):
    """Random images: what our step trains on, and the same as the recipe's arguments."""
    size = options.size
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(options.batch, 1, size, size, generator=generator).to(device)
    lines = Sampling(4).mask(size)
    measurement = measure(images, lines)
    return objectives.Examples(measurement, images), plain.arguments(measurement, images)


def sft_step(ours, train, given):
    """One side's step of training a student-friendly teacher, as a function of nothing."""
    device = train.targets.device
    joint = sft.StudentFriendlyTeacher(models.build("D5C5", 0), models.build("D3C5", 0)).to(device)
    if not ours:
        return functools.partial(plain_sft_step, joint, adam(joint), *given)
    joint.to(memory_format=torch.channels_last)
    indices = torch.arange(len(train.targets))
    objective = objectives.student_friendly(train)
    return functools.partial(our_step, joint, adam(joint), objective, indices, device)


def kd_step(name, ours, train, given):
    """One side's step of distilling by a method, as a function of nothing."""
    device = train.targets.device
    method = distillation.method(name.partition("-")[0])
    teacher = models.build("D5C5", 0).to(device).eval().requires_grad_(False)
    student = models.build("D3C5", 0).to(device)
    learnt, fixed = distillation.parts(method, student, teacher)
    learnt, fixed = (nn.ModuleList(parts).to(device) for parts in (learnt, fixed))
    fixed.requires_grad_(False)
    if not ours:
        optimiser = adam(nn.ModuleList([student, *learnt]))
        parts = [*learnt, *fixed]
        return functools.partial(
            plain_kd_step, student, optimiser, teacher, parts, PLAIN[name], *given
        )
    distiller = distillation.Distiller(student, learnt).to(memory_format=torch.channels_last)
    sizes = common_sizes(method, student, teacher, train.targets.shape[-2:])
    memory = remember(teacher, train.measurement, method, fixed, sizes)
    objective = objectives.distillation(train, memory, method, plain.KD_WEIGHT)
    indices = torch.arange(len(train.targets))
    return functools.partial(our_step, distiller, adam(distiller), objective, indices, device)


def serve(name, side, options, pipe):
    """One side in its process: a step, and its seconds, whenever it is asked for one."""
    if side != "recipe":
        keep_freed_memory()
    device = pick_device(options.device)
    train, given = examples(options, device)
    ours = side == "ours"
    step = sft_step(ours, train, given) if name == "SFT" else kd_step(name, ours, train, given)
    while pipe.recv():
        pipe.send(clocked(step, device))


def compare(name, options):
    """Median seconds of a step of every side, in the order of ``SIDES``."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for side in SIDES:
        pipe, far = context.Pipe()
        process = context.Process(target=serve, args=(name, side, options, far), daemon=True)
        process.start()
        far.close()
        pipes.append(pipe)
        processes.append(process)

    def turn():
        seconds = []
        for pipe in pipes:
            pipe.send(True)
            seconds.append(pipe.recv())
        return seconds

    for _ in range(WARM):
        turn()
    columns = zip(*(turn() for _ in range(options.repeats)), strict=True)
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send(False)
        process.join()
    return [median(column) for column in columns]


def multiplications(network, size):
    """Of a forward pass of one image."""
    weights = sum(p.numel() for n, p in network.named_parameters() if n.endswith("weight"))
    return weights * size**2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=240)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--methods", nargs="*", default=["SFT", *PLAIN], choices=["SFT", *PLAIN])
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = pick_device(options.device)
    size, batch = options.size, options.batch
    d5, d3 = (multiplications(models.build(name, 0), size) for name in ("D5C5", "D3C5"))
    # forward and backward are three passes; the first stage of the student is in no branch
    work = {name: 6 * batch * d3 for name in PLAIN}  # the student's own
    work["SFT"] = 6 * batch * (d5 + 10 * d3 / 5)
    dtype = torch.bfloat16 if has_bfloat16(device) else torch.float32
    peak = convolution_peak(device, dtype)
    print(f"{describe(device)}; torch {torch.__version__}; {size} x {size}, batch {batch}")
    print(f"measured convolution peak in {dtype}: {peak / 1e9:.0f} GFLOP/s")
    print("each in a process of its own; last two columns: the recipe with freed memory kept too")
    print(f"{'step':14}{'recipe':>9}{'ours':>9}{'ratio':>7}{'of peak':>9}{'recipe':>9}{'ratio':>7}")
    for name in options.methods:
        theirs, mine, kept = compare(name, options)
        share = work[name] / mine / peak
        print(
            f"{name:14}{theirs:8.3f}s{mine:8.3f}s{theirs / mine:7.1f}{share:9.0%}"
            f"{kept:8.3f}s{kept / mine:7.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
