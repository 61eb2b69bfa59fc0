"""Synthetic subjects, a new one for each seed, made once and kept."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np

from sftkd_core import system
from sftkd_core.data.phantoms.brain import brain_phantom
from sftkd_core.data.phantoms.cardiac import cardiac_phantom, heart_phantom
from sftkd_core.data.phantoms.head import head_phantom
from sftkd_core.data.slices import Volume

PHANTOMS = {
    "brain": brain_phantom,
    "cardiac": cardiac_phantom,
    "head": head_phantom,  # more than one anatomy, and no noise in the target
    "heart": heart_phantom,
}
SPOKEN = {
    "brain": "synthetic T1 brains",
    "cardiac": "synthetic short-axis hearts",
    "head": "synthetic heads (clean targets)",
    "heart": "synthetic short-axis hearts (clean targets)",
}
PHANTOM_VERSION = 1
VERSIONS = {"head": 2}  # raise it when a phantom changes: cached subjects are then made again


def subject(kind: str, seed: int, size: int, slices: int) -> Volume:
    """A phantom from the cache, or made now and put there; damage is noticed by checksum."""
    version = VERSIONS.get(kind, PHANTOM_VERSION)
    path = system.home() / "phantoms" / f"{kind}-{seed}-{size}-{slices}-v{version}.npy"
    volume = _read_phantom(path)
    if volume is None:
        with system.lock(path):
            volume = _read_phantom(path)  # another process may have made it meanwhile
            if volume is None:
                volume = PHANTOMS[kind](seed, size, slices)
                _write_phantom(path, volume)
    return volume


def _write_phantom(path: Path, volume: Volume) -> None:
    buffer = io.BytesIO()
    np.save(buffer, volume.slices, allow_pickle=False)
    payload = buffer.getvalue()
    note = {"name": volume.name, "sha256": hashlib.sha256(payload).hexdigest()}
    system.write_bytes(path, payload)
    system.write_bytes(path.with_suffix(".json"), json.dumps(note).encode())


def _read_phantom(path: Path) -> Volume | None:
    note_path = path.with_suffix(".json")
    if not note_path.exists():
        return None
    try:
        note = json.loads(note_path.read_text())
        payload = path.read_bytes()
        if hashlib.sha256(payload).hexdigest() != note["sha256"]:
            raise ValueError("its checksum differs")
        return Volume(note["name"], np.load(io.BytesIO(payload), allow_pickle=False), True)
    except (OSError, ValueError, KeyError) as error:
        system.set_aside(path, f"damaged ({error})")
        note_path.unlink(missing_ok=True)
        return None
