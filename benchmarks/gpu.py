"""Does the library do on your GPU what it does on a processor, and what pays there? Ten minutes.

    python benchmarks/gpu.py [--device cuda] [--output results/gpu.json] [--seconds 20]

One table, printed and written as JSON: whether small trainings on the processor and on the device
agree, a stopped training goes on bit for bit, and trainings leave the global generators alone; what
bfloat16, channels-last, torch.compile and CUDA graphs are worth for a step; what several small
trainings side by side give. Without a CUDA device the part that needs none runs, and the rest is
said to be unrun.
"""

import argparse
import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

import numpy as np
import torch

from sftkd_core import models, system
from sftkd_core.consistency import measure
from sftkd_core.data import Dataset
from sftkd_core.experiments import Experiment, Schedule, objectives
from sftkd_core.sft import l1
from sftkd_core.system import Line, describe, pick_device

TOLERANCE = 0.02  # of the last validation loss, between devices: their sums round in other orders
COMMON = {
    "data": Dataset("brain", size=64, slices=4, train=2, validation=1, test=1),
    "schedule": Schedule(epochs=4, rate=2e-3, decay="cosine"),
    "precision": "float32",
}
TRAININGS = {
    "reconstruct": Experiment("reconstruct", "D3C5", **COMMON),
    "sft": Experiment("sft", "D5C5", student="D3C5", **COMMON),
}


@dataclass(frozen=True)
class Row:
    """One line of the table; value None: unrun, and why stands in ``says``."""

    what: str
    value: float | None
    unit: str
    says: str


def learn(experiment: Experiment, device: torch.device, folder: Path, line=None) -> tuple:
    """Train in a folder: the network, and the history."""
    network = objectives.network(experiment).to(device)
    history, _ = objectives.learn(network, experiment, "float32", None, (), folder, line)
    return network, history


@contextmanager
def deterministic():
    """Kernels of cuDNN that give the same sums each time."""
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    yield
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before


def agreement(name: str, device: torch.device, place: Path) -> Row:
    """How far the last validation loss on the device is from the processor's."""
    losses = [
        learn(TRAININGS[name], one, place / f"{name}-{one.type}")[1][-1]["validation_loss"]
        for one in (torch.device("cpu"), device)
    ]
    apart = abs(losses[1] / losses[0] - 1)
    verdict = "agree" if apart < TOLERANCE else "DIFFER"
    return Row(f"{name}: processor and device", apart, "of the loss", f"{verdict}, {TOLERANCE=}")


class _Stop(Line):
    """A line of progress that ends the training after an epoch, as a killed process would."""

    def show_epoch(self, history: list[dict], epochs: int) -> None:
        if len(history) == epochs // 2:
            raise KeyboardInterrupt


def resumption(name: str, device: torch.device, place: Path) -> Row:
    """Weights of a training that was stopped half-way against one that was not."""
    with deterministic():
        whole, _ = learn(TRAININGS[name], device, place / f"{name}-whole")
        try:
            learn(TRAININGS[name], device, place / f"{name}-stopped", _Stop("stopped", quiet=True))
            raise AssertionError("it was not stopped")
        except KeyboardInterrupt:
            resumed, _ = learn(TRAININGS[name], device, place / f"{name}-stopped")
    pairs = zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    apart = max((a - b).abs().max().item() for a, b in pairs)
    return Row(f"{name}: stopped and resumed", apart, "largest difference of a weight",
               "bit-equal" if apart == 0 else "DIFFER")  # fmt: skip


def generators(device: torch.device, place: Path) -> Row:
    """Whether a training draws from anybody's global generator."""

    def state() -> list:
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.zeros(1)
        numpy = np.random.get_state()[1]  # noqa: NPY002 - the global one is what is looked at
        return [torch.get_rng_state().numpy(), cuda.numpy(), numpy.copy(), random.getstate()[1]]

    before = state()
    learn(TRAININGS["sft"], device, place / "generators")
    moved = sum(not np.array_equal(a, b) for a, b in zip(before, state(), strict=True))
    return Row(
        "global generators", float(moved), "disturbed of 4", "DISTURBED" if moved else "kept"
    )


def stepper(device: torch.device, size: int, batch: int, **how) -> Callable[[], None]:
    """A training step of D5C5 on random images, as ``fit`` makes it.

    how  precision, layout (a memory format), compile (a mode of torch.compile)
    """
    network = models.build("D5C5", 0).to(device, memory_format=how.get("layout"))
    images = torch.rand(batch, 1, size, size, generator=torch.Generator().manual_seed(0))
    measurement = measure(images, np.arange(size) % 4 == 0).to(device)
    target = images.to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    called = torch.compile(network, mode=how["compile"]) if "compile" in how else network

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with system.autocast(device, how.get("precision", "float32")):
            loss = l1(called(measurement), target)
        loss.backward()
        optimiser.step()

    return step


def time_of(step: Callable[[], None], device: torch.device, seconds: float) -> float:
    """The median time of a step in ms, after three for warming up."""

    def timed() -> float:
        started = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return 1000 * (time.perf_counter() - started)

    for _ in range(3):
        timed()
    times, end = [], time.perf_counter() + seconds
    while not times or (time.perf_counter() < end and len(times) < 200):
        times.append(timed())
    return median(times)


LAST, FIRST = torch.channels_last, torch.contiguous_format
STEPS = {
    "float32, channels first": {"layout": FIRST},
    "float32, channels last": {"layout": LAST},
    "bfloat16, channels first": {"layout": FIRST, "precision": "bfloat16"},
    "bfloat16, channels last": {"layout": LAST, "precision": "bfloat16"},
    "bfloat16, channels last, torch.compile": {
        "layout": LAST, "precision": "bfloat16", "compile": "default",
    },
    "bfloat16, channels last, CUDA graphs": {
        "layout": LAST, "precision": "bfloat16", "compile": "reduce-overhead",
    },
}  # fmt: skip


def steps(device: torch.device, size: int, seconds: float) -> list[Row]:
    """Each way to make a step against the first."""
    rows: list[Row] = []
    for name, how in STEPS.items():
        if "compile" in how and device.type != "cuda":
            rows.append(Row(f"step, {name}", None, "ms", "unrun: no CUDA device"))
            continue
        try:
            value = time_of(stepper(device, size, 4, **how), device, seconds)
        except Exception as error:  # torch.compile fails in many ways, each worth a line
            rows.append(Row(f"step, {name}", None, "ms", f"FAILED: {str(error).splitlines()[0]}"))
            continue
        plain = rows[0].value if rows else value
        rows.append(
            Row(f"step, {name}", value, "ms", f"{plain / value:.2f} times the first's pace")
        )  # type: ignore[operator]
    return rows


def _count(device: str, size: int, seconds: float, start, counted) -> None:
    place = torch.device(device)
    torch.set_num_threads(1)
    step = stepper(place, size, 4, layout=LAST)
    time_of(step, place, 0)
    start.wait()
    end, done = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        step()
        done += 1
        if place.type == "cuda":
            torch.cuda.synchronize(place)
    counted.put(done / seconds)


def side_by_side(device: torch.device, size: int, seconds: float, numbers=(1, 2, 4)) -> list[Row]:
    """Steps a second of several small trainings at once, each a process."""
    rows: list[Row] = []
    context = multiprocessing.get_context("spawn")
    for number in numbers:
        start, counted = context.Barrier(number), context.Queue()
        arguments = (str(device), size, seconds, start, counted)
        every = [context.Process(target=_count, args=arguments) for _ in range(number)]
        for process in every:
            process.start()
        total = sum(counted.get(timeout=300) for _ in every)
        for process in every:
            process.join()
        alone = rows[0].value if rows else total
        says = f"{total / alone:.2f} times one alone"  # type: ignore[operator]
        rows.append(Row(f"{number} small trainings at once", total, "steps a second", says))
    return rows


def table(device: torch.device, seconds: float) -> list[Row]:
    """Every row; what needs a CUDA device is unrun without one."""
    cuda = device.type == "cuda"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rows = [
            agreement(name, device, place) if cuda
            else Row(f"{name}: processor and device", None, "of the loss", "unrun: no CUDA device")
            for name in TRAININGS
        ]  # fmt: skip
        rows += [resumption(name, device, place) for name in TRAININGS]
        rows.append(generators(device, place))
    rows += steps(device, 240 if cuda else 64, seconds)
    return rows + side_by_side(device, 64, seconds, (1, 2, 4) if cuda else (1, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, default=Path("results/gpu.json"))
    parser.add_argument("--seconds", type=float, default=20.0, help="of each timing, at most")
    options = parser.parse_args()
    device = pick_device(options.device)
    rows = table(device, options.seconds)
    for row in rows:
        value = "-" if row.value is None else f"{row.value:.4g}"
        print(f"{row.what:46} {value:>10} {row.unit:32} {row.says}")
    record = {
        "device": describe(device),
        "cuda": device.type == "cuda",
        "torch": torch.__version__,
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "rows": [asdict(row) for row in rows],
    }
    system.write_bytes(options.output, json.dumps(record, indent=1).encode())
    print(f"written to {options.output}; on {record['device']}")
    if device.type != "cuda":
        print("no CUDA device: what compares with one is unrun")


if __name__ == "__main__":
    main()
