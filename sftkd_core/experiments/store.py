"""Where finished experiments are kept: what you ran, over what the book ships or publishes.

An entry is a folder ``<label>-<key>`` with ``weights.safetensors`` and ``result.json``. The JSON is
written last and holds the checksum of the weights, so an entry is either whole or not there. Of
some networks the book ships the record alone, with a digest of the weights under which the table of
their metrics is filed: they are compared, and nobody needs them to reconstruct.
"""

import hashlib
import io
import json
import os
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from sftkd_core import system
from sftkd_core.experiments import published

PACKAGE = Path(__file__).parents[1]
EVALUATIONS = "evaluations"  # folder of the tables
BEGUN = "begun"  # folder of trainings that are shipped unfinished
LOG = "log.jsonl"  # a line an epoch, written by training.fit


def folder(name: str) -> Path:
    """The folder of an entry that you ran, or will run."""
    return system.home() / "store" / name


def find(name: str, code: str) -> tuple[dict[str, Tensor], dict] | None:
    """Weights and record of an entry, from your store or else from the shipped results.

    code  seal of the code that decides such weights now, see ``fingerprint.seal``

    A damaged entry is set aside with a warning and taken for absent. An entry made by another
    version of the training code is used with a warning where there is no other, or, with
    ``SFTKD_STALE=redo`` in the environment, taken for absent.
    """
    stale = None
    for place in layers():
        if place == published.place():
            published.bring_entry(name)
        entry = read(place / name, shipped=place != system.home() / "store")
        if entry is not None and entry[1]["code"] == code:
            return entry
        stale = stale or entry
    if stale is None or os.environ.get("SFTKD_STALE", "use") == "redo":
        return None
    _warn_stale(name)
    return stale


def record_alone(name: str, code: str) -> dict | None:
    """The record of an entry that is shipped without its weights, of today's code; else None."""
    for place in layers()[1:]:
        if place == published.place():
            published.bring_record(name)
        record = _read_alone(place / name)
        if record is not None and record["code"] == code:
            return record
    return None


def _read_alone(place: Path) -> dict | None:
    """The record in a folder without weights that has their digest."""
    path = place / "result.json"
    if not path.exists() or (place / "weights.safetensors").exists():
        return None
    try:
        record = json.loads(path.read_bytes())
        return record if {"network", "code", "history"} <= set(record) else None
    except (OSError, ValueError, RecursionError, TypeError):
        return None


def log(name: str) -> list[dict]:
    """What a training has logged of its epochs: your own, or one that is shipped unfinished."""
    for place in (system.home() / "store", *(layer / BEGUN for layer in layers()[1:])):
        if place.parent == published.place():
            published.bring(f"{BEGUN}/{name}/{LOG}")
        try:
            return [json.loads(line) for line in (place / name / LOG).read_text().splitlines()]
        except (OSError, ValueError):
            continue
    return []


def is_there(name: str) -> bool:
    """Whether your own store holds an entry, whatever code made it."""
    return (folder(name) / "result.json").exists()


def put(name: str, weights: dict[str, Tensor], record: dict, code: str) -> None:
    """Write an entry; nothing half-written is ever taken for one."""
    place = folder(name)
    (place / "result.json").unlink(missing_ok=True)
    payload = save({key: value.detach().cpu().contiguous() for key, value in weights.items()})
    system.write_bytes(place / "weights.safetensors", payload)
    sealed = {**record, "code": code, "sha256": hashlib.sha256(payload).hexdigest()}
    system.write_bytes(place / "result.json", json.dumps(sealed, indent=1).encode())


def layers() -> list[Path]:
    layers = [system.home() / "store"]
    if os.environ.get("SFTKD_SHIPPED", "yes") != "no":
        # in a clone the results lie beside the package; a wheel knows where they are published
        layers += [PACKAGE / "shipped", PACKAGE.parent / "results", published.place()]
    return layers


def read(place: Path, shipped: bool) -> tuple[dict[str, Tensor], dict] | None:
    """Weights and record in a folder; None where there is no entry, or a damaged one."""
    record_path = place / "result.json"
    if not record_path.exists() or (shipped and _read_alone(place) is not None):
        return None
    text = None
    try:
        text = record_path.read_bytes()
        record = json.loads(text)
        payload = (place / "weights.safetensors").read_bytes()
        if hashlib.sha256(payload).hexdigest() != record["sha256"]:
            raise ValueError("checksum of the weights differs")
        record["code"], record["history"], record["provenance"]
        return load(payload), record
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        if shipped:
            warnings.warn(f"shipped result {place} is damaged ({error}); it is not used")
        elif isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise system.StorageError(
                f"cannot read {place} ({error.strerror or error}); see to its permissions, or set "
                "SFTKD_HOME to a folder of your own"
            ) from error
        elif record_path.exists() and record_path.read_bytes() == text:  # else it is being written
            system.set_aside(place, f"damaged: {error}")
        return None


@lru_cache(maxsize=64)
def _warn_stale(name: str) -> None:
    warnings.warn(
        f"result {name} was trained by another version of the library and is used as it is; "
        "set SFTKD_STALE=redo to train it again"
    )


def remembered(
    given: Mapping[str, Tensor | str], compute: Callable[[], pd.DataFrame], also: str = ""
) -> pd.DataFrame:
    """``compute()``, or what it returned before for these very tensors and words.

    Tables lie in your store, and under shipped results where they come with the book.

    given  what decides the table: the weights' digest, and images that are not computed from a seed
    also   what else does: seals of the code, and which data
    """
    name = table_name(given, also)
    known = table(name)
    if known is not None:
        return known
    path = system.home() / EVALUATIONS / name
    with system.lock(path):
        known = _known_table(path)  # another process may have computed it meanwhile
        if known is not None:
            return known
        text = compute().to_csv(index=False, float_format=_seven_digits).encode()
        system.write_bytes(path, hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
    return _table(path.read_bytes())


def table(name: str) -> pd.DataFrame | None:
    """A table that was remembered, from your store or else from the shipped results."""
    path = system.home() / EVALUATIONS / name
    for place in (path, *(shipped / EVALUATIONS / name for shipped in layers()[1:])):
        if place.parents[1] == published.place():
            published.bring(f"{EVALUATIONS}/{name}")
        known = _known_table(place)
        if known is not None:
            return known
    return None


def table_name(given: Mapping[str, Tensor | str], also: str) -> str:
    """The file of a table: a hash of all that decides it, see ``remembered``."""
    return f"{digest(given, also)[:24]}.csv"


def digest(given: Mapping[str, Tensor | str], also: str = "") -> str:
    """SHA-256 of words and of named tensors, or words, in their order."""
    found = hashlib.sha256(also.encode())
    for name, value in given.items():
        found.update(name.encode())
        if isinstance(value, str):
            found.update(value.encode())
        else:
            found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _seven_digits(value: float) -> str:
    """More than float32 images hold, and half the bytes."""
    return repr(float(f"{value:.7g}"))


def _known_table(path: Path) -> pd.DataFrame | None:
    if not path.exists():
        return None
    try:
        return _table(path.read_bytes())
    except (OSError, ValueError) as error:
        warnings.warn(f"{path} is damaged ({error}); it is computed again")
        return None


def _table(payload: bytes) -> pd.DataFrame:
    checksum, _, text = payload.partition(b"\n")
    if hashlib.sha256(text).hexdigest().encode() != checksum:
        raise ValueError("its checksum differs")
    # a subject may be called NA
    form = {"dtype": {"subject": str}, "keep_default_na": False, "na_values": [""]}
    return pd.read_csv(io.BytesIO(text), float_precision="round_trip", **form)
