"""Put finished trainings of profile "study" beside the shipped results, in half the bytes.

    python workflow/ship.py HOME [STAGE ...] [--halve NAME ...] [--strip]

HOME is the SFTKD_HOME of the trainings. An entry is shipped if it is finished, of a clean commit,
and no result of today stands in its place; its weights are stored as float16, but for as many
stages as it takes to keep PSNR within 1e-3 dB of the float32 network over the test subjects;
tensors that did not learn stay the seed's to the last bit. ``--halve`` does this to entries that
are shipped already. Evaluations follow: ``workflow/evaluations.py``. Then ``--strip`` takes away
the weights that no page reconstructs with; their records and tables stay, and are compared.
"""

import argparse
import hashlib
import json
import os
import re
from functools import cache
from pathlib import Path

import study
import torch
from evaluations import setting_of
from safetensors.torch import load, save

from sftkd_core import experiments, system
from sftkd_core.book.plan import TEACHERS
from sftkd_core.book.protocol import TUNING
from sftkd_core.book.setting import NOISE_FREE
from sftkd_core.experiments import Experiment, objectives, store
from sftkd_core.experiments.objectives import OBJECTIVES, part_of
from sftkd_core.experiments.running import with_earlier

ROOT = Path(__file__).resolve().parents[1]
TOLERANCE = 1e-3  # dB, of the mean PSNR of a test set


def halved(
    weights: dict[str, torch.Tensor], seed: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Floating-point weights in float16, but for tensors that did not learn: chapters show that."""

    def kept(name: str, value: torch.Tensor) -> bool:
        return not value.is_floating_point() or torch.equal(value, seed[name])

    return {name: v if kept(name, v) else v.half() for name, v in weights.items()}


def psnr(experiment: Experiment, weights: dict[str, torch.Tensor]) -> float:
    """Mean PSNR of the test slices, dB, of the network that reconstructs."""
    network = objectives.network(experiment)
    network.load_state_dict(weights)
    setting = setting_of(experiment)
    model = part_of(network, OBJECTIVES[experiment.objective].part).eval()
    images = experiments.reconstruct(model, setting.measured(experiment.sampling))
    squared = (images - setting.test_set.images).square().flatten(1).mean(1)
    return -10 * torch.log10(squared).mean().item()


def stage_of(name: str) -> str:
    """The stage of a tensor: its name as far as the first number, ``student.stages.2``."""
    return re.match(r"\D*\d*", name).group()  # type: ignore[union-attr]


def smaller(experiment: Experiment, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights in half the bytes, but for stages that PSNR would notice."""
    half = halved(weights, objectives.network(experiment).state_dict())
    exact = psnr(experiment, weights)

    def change(rounded: dict[str, torch.Tensor]) -> float:
        return abs(psnr(experiment, weights | rounded) - exact)

    if change(half) <= TOLERANCE:
        return half
    by_stage: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in half.items():
        by_stage.setdefault(stage_of(name), {})[name] = value
    most_first = iter(sorted(by_stage, key=lambda stage: -change(by_stage[stage])))
    while by_stage and change(half) > TOLERANCE:
        stage = next(most_first)
        half |= {name: weights[name] for name in by_stage.pop(stage)}
    return half


def compact(record: dict) -> bytes:
    """A record as it is shipped: its history to seven digits, a line of JSON."""

    def seven(value: object) -> object:
        return float(f"{value:.7g}") if isinstance(value, float) else value

    history = [{name: seven(value) for name, value in row.items()} for row in record["history"]]
    return json.dumps(record | {"history": history}, separators=(",", ":")).encode() + b"\n"


def write(place: Path, weights: dict[str, torch.Tensor], record: dict) -> None:
    """An entry, its record last; which says how its weights are stored."""
    payload = save({name: value.contiguous() for name, value in weights.items()})
    half = any(value.dtype == torch.float16 for value in weights.values())
    record = {k: v for k, v in record.items() if k not in ("sha256", "stored")}
    record["stored"] = "float16" if half else "float32"
    record["sha256"] = hashlib.sha256(payload).hexdigest()
    system.write_bytes(place / "weights.safetensors", payload)
    system.write_bytes(place / "result.json", compact(record))


def ship(source: Path, experiment: Experiment) -> str:
    """Ship one entry of a store; says what became of it."""
    place, target = source / experiment.name, ROOT / "results" / experiment.name
    if not (place / "result.json").exists():
        return "not finished"
    record = json.loads((place / "result.json").read_text())
    known = target / "result.json"
    if known.exists() and json.loads(known.read_text())["code"] == record["code"]:
        return "there already"
    if record["provenance"]["commit"].endswith("-dirty"):
        return "of a commit with changes: train it again"
    weights = load((place / "weights.safetensors").read_bytes())
    target.mkdir(exist_ok=True)
    if reconstructs(experiment):  # or else only until ``--strip``: nothing to save
        weights = smaller(experiment, weights)
    write(target, weights, record)
    return "shipped"


def halve(place: Path) -> str:
    """Halve an entry that is shipped."""
    record = json.loads((place / "result.json").read_text())
    experiment = Experiment.from_record(record["provenance"]["experiment"])
    weights = load((place / "weights.safetensors").read_bytes())
    write(place, smaller(experiment, weights), record)
    return json.loads((place / "result.json").read_text())["stored"]


@cache
def compared_alone() -> frozenset[str]:
    """The keys of what ``study.RECORDS_ALONE`` holds."""
    return frozenset(e.key for stage in study.RECORDS_ALONE for e in study.wanted(stage))


def reconstructs(experiment: Experiment) -> bool:
    """Whether a page may take the network itself.

    Of the joint networks those of seed 0, with which the pages run, and of further seeds those that
    a chapter run again would want first. None of the search for shares, which has validation only,
    and none of the stages that are compared and no more.
    """
    if experiment.key in compared_alone():
        return False
    seed = experiment.seed % TEACHERS
    usual = (
        experiment.data.name not in NOISE_FREE.values()
        and experiment.sampling.acceleration == 4
        and not experiment.released
    )
    return seed != TUNING and (experiment.objective != "sft" or seed == 0 or usual)


def strip(place: Path) -> str:
    """Leave an entry's record with a digest of its network, where no page takes the network."""
    record = json.loads((place / "result.json").read_text())
    experiment = Experiment.from_record(record["provenance"]["experiment"])
    if reconstructs(experiment) or not (place / "weights.safetensors").exists():
        return ""
    setting = setting_of(experiment)
    given, words = setting.deciding(experiment, experiment.sampling)
    if store.table(store.table_name(given, words)) is None:
        return "has no table of metrics: python workflow/evaluations.py"
    record |= {"network": given["network"], "stored": "record alone"}
    system.write_bytes(place / "result.json", compact(record))
    (place / "weights.safetensors").unlink()
    return "record alone"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("stages", nargs="*", default=[])
    parser.add_argument("--halve", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--strip", action="store_true")
    options = parser.parse_args()
    os.environ["SFTKD_SHIPPED"] = "yes"
    for path in sorted((ROOT / "results").glob("*/result.json")) if options.strip else []:
        if said := strip(path.parent):
            print(f"{path.parent.name}: {said}", flush=True)
    for name in options.halve:
        print(f"{name}: {halve(ROOT / 'results' / name)}", flush=True)
    wanted = [e for stage in options.stages for e in study.wanted(stage)]
    every = with_earlier(wanted)
    # a joint network that nobody asks for by name is needed to train its student again, no more
    asked = {e.key for e in wanted} | {e.key for e in every if e.objective == "reconstruct"}
    for experiment in every:
        if experiment.key in asked:
            print(f"{experiment.name}: {ship(options.home / 'store', experiment)}", flush=True)


if __name__ == "__main__":
    main()
