"""Where finished experiments are kept: what you ran, over what the book ships.

An entry is a folder ``<label>-<key>`` with ``weights.safetensors`` and ``result.json``. The JSON is
written last and holds the checksum of the weights, so an entry is either whole or not there.
"""

import hashlib
import json
import os
import warnings
from functools import lru_cache
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from sftkd_core import storage

PACKAGE = Path(__file__).parent


def folder(name: str) -> Path:
    """The folder of an entry that you ran, or will run."""
    return storage.home() / "store" / name


def find(name: str, code: str) -> tuple[dict[str, Tensor], dict] | None:
    """Weights and record of an entry, from your store or else from the shipped results.

    code  seal of the code that decides such weights now, see ``fingerprint.seal``

    A damaged entry is set aside with a warning and taken for absent. An entry made by another
    version of the training code is used with a warning where there is no other, or, with
    ``SFTKD_STALE=redo`` in the environment, taken for absent.
    """
    stale = None
    for place in _layers():
        entry = _read(place / name, shipped=place != storage.home() / "store")
        if entry is not None and entry[1]["code"] == code:
            return entry
        stale = stale or entry
    if stale is None or os.environ.get("SFTKD_STALE", "use") == "redo":
        return None
    _warn_stale(name)
    return stale


def put(name: str, weights: dict[str, Tensor], record: dict, code: str) -> None:
    """Write an entry; nothing half-written is ever taken for one."""
    place = folder(name)
    (place / "result.json").unlink(missing_ok=True)
    payload = save({key: value.detach().cpu().contiguous() for key, value in weights.items()})
    storage.write_bytes(place / "weights.safetensors", payload)
    sealed = {**record, "code": code, "sha256": hashlib.sha256(payload).hexdigest()}
    storage.write_bytes(place / "result.json", json.dumps(sealed, indent=1).encode())


def _layers() -> list[Path]:
    layers = [storage.home() / "store"]
    if os.environ.get("SFTKD_SHIPPED", "yes") != "no":
        # in the wheel the results lie inside the package, in a clone beside it
        layers += [PACKAGE / "shipped", PACKAGE.parent / "results"]
    return layers


def _read(place: Path, shipped: bool) -> tuple[dict[str, Tensor], dict] | None:
    record_path = place / "result.json"
    if not record_path.exists():
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
            raise storage.StorageError(
                f"cannot read {place} ({error.strerror or error}); see to its permissions, or set "
                "SFTKD_HOME to a folder of your own"
            ) from error
        elif record_path.exists() and record_path.read_bytes() == text:  # else it is being written
            storage.set_aside(place, f"damaged: {error}")
        return None


@lru_cache(maxsize=64)
def _warn_stale(name: str) -> None:
    warnings.warn(
        f"result {name} was trained by another version of the library and is used as it is; "
        "set SFTKD_STALE=redo to train it again"
    )
