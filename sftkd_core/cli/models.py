"""``models``: which trained networks there are; and finding one by name."""

import argparse
import json
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path

import torch
from torch import Tensor, nn

from sftkd_core import experiments
from sftkd_core import models as networks
from sftkd_core.book.setting import ALIASES, PLAN, Setting
from sftkd_core.experiments import store
from sftkd_core.experiments.experiment import Sampling
from sftkd_core.experiments.objectives import OBJECTIVES
from sftkd_core.system import InputError, pick_device


@dataclass(frozen=True)
class Trained:
    """A network that reconstructs, and where it comes from.

    name          as it was asked for, or the entry's full name
    model         in evaluation mode, on its device
    sampling      how to measure images for it: at the setting's acceleration, and with the pattern,
                  noise and phase that it learnt with
    acceleration  that it was trained for; None where the record does not say
    size          pixels a side of the images it learnt on; None where they have their own sizes
    """

    name: str
    model: nn.Module
    sampling: Sampling
    acceleration: float | None
    size: int | None


def models(options: argparse.Namespace) -> None:
    """List the trained networks: yours, and those that come with the book."""
    print(f"{'':44}{'data':>8}{'size':>6}{'R':>6}{'seed':>6}{'dB':>8}")
    for name, place in entries().items():
        print(f"{name:44}{_row(place)}  {'yours' if _is_yours(place) else 'shipped'}")
    print(
        "dB: best PSNR on its validation slices. Each of these names, or its beginning, serves as"
    )
    print(f"a model; so do the names of the plan: {', '.join([*PLAN, *ALIASES])}.")


def check_model(setting: Setting, name: str) -> Sampling:
    """How images are to be measured for the network of this name; trains nothing.

    Raises ``InputError`` unless ``find_or_train`` will know the name, and for a damaged entry.
    """
    if name in PLAN or name in ALIASES:
        return setting.experiment(name).sampling
    return _from_entry(_entry_name(name), setting).sampling


def find_or_train(setting: Setting, name: str) -> Trained:
    """The network of an experiment of the plan, trained now if need be, or of a stored entry.

    name  of the plan (or an alias); else of an entry in your store or of the shipped results, or
          the beginning of one entry's name
    """
    if name not in PLAN and name not in ALIASES:
        return _from_entry(_entry_name(name), setting)
    experiment = setting.experiment(name)
    if not experiments.exists(experiment):
        data = setting.dataset.name
        learns = {"brain": "synthetic brains", "cardiac": "synthetic hearts"}.get(data, data)
        print(
            f"no trained {name} of profile {setting.profile} at acceleration "
            f"{setting.acceleration} yet: training it first, on {learns}",
            flush=True,
        )
    result = experiments.run(experiment, setting.device)
    size = experiment.data.size
    return Trained(name, result.model, experiment.sampling, setting.acceleration, size)


def entries() -> dict[str, Path]:
    """Names of all entries, each with the folder that holds it; yours come before shipped ones."""
    found: dict[str, Path] = {}
    for layer in store.layers():
        for record in sorted(layer.glob("*/result.json")):
            found.setdefault(record.parent.name, record.parent)
    return found


def _entry_name(name: str) -> str:
    known = list(entries())
    matches = [name] if name in known else [entry for entry in known if entry.startswith(name)]
    if name and len(matches) == 1:
        return matches[0]
    if name and matches:
        raise InputError(
            f"{name!r} is the beginning of {len(matches)} entries "
            f"({', '.join(matches[:3])}, ...); write more of the name"
        )
    raise InputError(
        f"unknown experiment or entry {name!r}; choose one of {', '.join([*PLAN, *ALIASES])}, or "
        'an entry that "python -m sftkd_core models" lists'
    )


def _from_entry(name: str, setting: Setting) -> Trained:
    """A stored network: what it is stands in its record, which code trained it does not matter."""
    place = entries()[name]
    found = store.read(place, shipped=not _is_yours(place))
    if found is None:
        raise InputError(f"entry {name} is damaged; train it again, or choose another")
    weights, record = found
    try:
        described = record["provenance"]["experiment"]
        if described["objective"] == "paraphrase":
            raise InputError(f"entry {name} is no network that reconstructs; choose another")
        model = networks.build(described["model"])
        model.load_state_dict(_own(weights, OBJECTIVES[described["objective"]].part))
        learnt = Sampling(**described["sampling"])
        size = described["data"]["size"]
    except (KeyError, TypeError, RuntimeError) as error:
        raise InputError(
            f"entry {name} does not fit this version of the library ({type(error).__name__}); "
            "train it again"
        ) from None
    device = pick_device(setting.device)
    model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    kind = {"pattern": learnt.pattern, "noise": learnt.noise, "phase": learnt.phase}
    sampling = replace(setting.sampling, **kind)  # type: ignore[arg-type]
    return Trained(name, model, sampling, learnt.acceleration, size)


def _own(weights: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    """Those of a part of what was trained; "" is all of it."""
    prefix = f"{part}." if part else ""
    own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    return own or weights  # distilled students were once stored alone


def _is_yours(place: Path) -> bool:
    return place.parent == store.folder("any").parent


def _row(place: Path) -> str:
    """What an entry's record says, in columns."""
    try:
        record = json.loads((place / "result.json").read_text(encoding="utf-8"))
        described = record["provenance"]["experiment"]
        size, kind = described["data"]["size"], Path(described["data"]["name"]).name[:8]
        acceleration, seed = described["sampling"]["acceleration"], described["seed"]
        # a network of features has no PSNR
        scores = [row.get("validation_psnr", nan) for row in record["history"]]
        best = max(scores, default=nan)
    except (OSError, ValueError, KeyError, TypeError):
        return f"{'damaged, or of another version':>34}"
    return f"{kind:>8}{size or '?':>6}{acceleration:>6}{seed:>6}{best:8.2f}"
