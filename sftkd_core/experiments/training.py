"""One training loop for every objective.

The state after each epoch (weights, best weights, Adam's moments, history) is written whole, so a
run killed at any moment goes on from its last finished epoch and ends with the same weights, bit
for bit: the order of the slices follows from the seed and the number of the epoch alone.
"""

import json
import math
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from sftkd_core import system
from sftkd_core.consistency import Measurement
from sftkd_core.consistency.coils import CoilMeasurement
from sftkd_core.system import InputError, Line, autocast, keep_freed_memory


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: Adam, ``batch`` slices a step, the rate constant within an epoch.

    decay  "step": times 0.1 every 40 epochs, as released; "cosine": to 0 over all epochs
    """

    epochs: int
    batch: int = 4
    rate: float = 1e-3
    decay: str = "step"

    def __post_init__(self):
        if self.epochs < 1 or self.batch < 1 or not self.rate > 0:
            raise InputError(f"{self} trains nothing; epochs, batch and rate must be positive")
        if self.decay not in ("step", "cosine"):
            raise InputError(f'unknown decay {self.decay!r}; choose "step" or "cosine"')

    def rate_at(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        if self.decay == "step":
            return self.rate * 0.1 ** (epoch // 40)
        return self.rate * 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))


@contextmanager
def _full_float32():
    """Convolutions of GPUs with all 23 bits of float32, of which they drop 13 unless told."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


@_full_float32()
def fit(
    network: nn.Module,
    objective: Callable[[nn.Module, Tensor], Tensor],
    validate: Callable[[nn.Module], dict[str, float]],
    examples: int,
    schedule: Schedule,
    folder: Path,
    seed: int = 0,
    precision: str = "auto",
    line: Line | None = None,
) -> list[dict]:
    """Train ``network`` in place; leave it with its best weights, in evaluation mode.

    network    ours, or any module that the objective can call; one that takes tensors and not a
               ``Measurement`` behind ``distillation.tap_modules``
    objective  (network, indices of slices) -> scalar loss
    validate   network -> {"loss": ..., ...}; the epoch of the smallest loss is the best
    examples   number of training slices
    folder     where ``checkpoint.safetensors`` and ``log.jsonl`` live
    precision  "float32", "bfloat16" (autocast; data consistency and losses stay float32), or
               "auto": bfloat16 where the hardware has it

    Returns the history: one dict an epoch. Raises ``InputError`` if the loss is not finite.
    """
    keep_freed_memory()
    device = next(network.parameters()).device
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(network.parameters(), lr=schedule.rate)
    checkpoint = folder / "checkpoint.safetensors"
    best, history = _resume(checkpoint, network, optimiser)
    for epoch in range(len(history), schedule.epochs):
        started = time.perf_counter()
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate_at(epoch)
        losses = []
        network.train()
        for indices in _batches(examples, schedule.batch, seed, epoch):
            optimiser.zero_grad(set_to_none=True)
            with autocast(device, precision):
                loss = objective(network, indices)
            loss.backward()
            optimiser.step()
            losses.append(loss.detach() * len(indices))
        train_loss = torch.stack(losses).sum().item() / examples
        network.eval()
        with torch.no_grad(), autocast(device, precision):
            scores = validate(network)
        if not (math.isfinite(train_loss) and math.isfinite(scores["loss"])):
            raise InputError(
                f"the loss became {train_loss} (validation: {scores['loss']}) in epoch "
                f"{epoch + 1}; use a learning rate below {schedule.rate}"
            )
        row = {"epoch": epoch + 1, "rate": schedule.rate_at(epoch), "train_loss": train_loss}
        row |= {f"validation_{name}": value for name, value in scores.items()}
        if best is None or row["validation_loss"] < min(r["validation_loss"] for r in history):
            best = {name: value.detach().clone() for name, value in network.state_dict().items()}
        row["seconds"] = time.perf_counter() - started
        history.append(row)
        _save(checkpoint, network, optimiser, best, history)
        system.write_bytes(folder / "log.jsonl", _jsonl(history))
        if line is not None:
            line.show_epoch(history, schedule.epochs)
    network.load_state_dict(best)  # type: ignore[arg-type]
    network.eval()
    return history


@torch.inference_mode()
def reconstruct(
    model: nn.Module, measurement: Measurement | CoilMeasurement, batch: int = 8
) -> Tensor:
    """The images of all slices, float32 on the CPU, (n, 1, h, w); in float32 throughout."""
    keep_freed_memory()
    device = next(model.parameters()).device
    parts = (measurement[i : i + batch].to(device) for i in range(0, len(measurement), batch))
    with _full_float32():
        return torch.cat([model(part).float().cpu() for part in parts])


def _batches(examples: int, batch: int, seed: int, epoch: int) -> list[Tensor]:
    """The slices of each step of an epoch; a function of seed and epoch only."""
    generator = torch.Generator().manual_seed(1_000_003 * seed + epoch)
    batches = list(torch.randperm(examples, generator=generator).split(batch))
    if len(batches) > 1 and len(batches[-1]) == 1 < batch:
        # a slice left over joins the batch before: losses that compare slices need two
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _save(path: Path, network, optimiser, best: dict, history: list[dict]) -> None:
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{name}": value for name, value in moments.items()}
    tensors = {name: value.contiguous().cpu() for name, value in tensors.items()}
    system.write_bytes(path, save(tensors, metadata={"history": json.dumps(history)}))


def _resume(path: Path, network, optimiser) -> tuple[dict | None, list[dict]]:
    """Put back what ``_save`` wrote; ``(None, [])`` where there is nothing to go on from."""
    if not path.exists():
        return None, []
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            history = json.loads(file.metadata()["history"])
        parts = {"network": {}, "best": {}, "adam": {}}  # type: ignore[var-annotated]
        for name, value in tensors.items():
            part, key = name.split(".", 1)
            parts[part][key] = value
        network.load_state_dict(parts["network"])
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        system.set_aside(path, f"cannot be resumed from ({error})")
        return None, []
    state: dict[int, dict] = {}
    for key, value in parts["adam"].items():
        index, name = key.split(".")
        state.setdefault(int(index), {})[name] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
    return parts["best"], history


def _jsonl(history: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in history).encode()
