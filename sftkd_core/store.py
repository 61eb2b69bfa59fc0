"""Where finished experiments are kept: what you ran, over what the book ships.

An entry is a folder ``<label>-<key>`` with ``weights.safetensors`` and ``result.json``. The JSON is
written last and holds the checksum of the weights, so an entry is either whole or not there.
"""

import ast
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
# the source as it is when the library is imported: what is edited later is not what runs
_IMPORTED = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}


def folder(name: str) -> Path:
    """The folder of an entry that you ran, or will run."""
    return storage.home() / "store" / name


def find(name: str, code: str) -> tuple[dict[str, Tensor], dict] | None:
    """Weights and record of an entry, from your store or else from the shipped results.

    code  fingerprint of the code that decides such weights now, see ``code_fingerprint``

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


@lru_cache(maxsize=64)
def code_fingerprint(files: tuple[str, ...], settings: tuple[str, ...] = ()) -> str:
    """A hash of source files of the package, without comments and docstrings, and of settings."""
    digest = hashlib.sha256(json.dumps(settings).encode())
    for name in files:
        path = PACKAGE / name
        source = _IMPORTED.get(path) or path.read_text(encoding="utf-8")
        digest.update(_skeleton(source).encode())
    return digest.hexdigest()[:16]


def _skeleton(source: str) -> str:
    """Source without comments and docstrings, in one normal form."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if _can_document(node) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return _plain(tree)


def _plain(node: object) -> str:
    """A syntax tree as text, the same in every Python: without what is empty or missing.

    ``ast.unparse`` and ``ast.dump`` are not: they quote and bracket by the version.
    """
    if isinstance(node, ast.JoinedStr):  # some versions end an f-string with an empty piece
        pieces = [v for v in node.values if getattr(v, "value", None) != ""]
        return f"JoinedStr({_plain(pieces)})"
    if isinstance(node, ast.AST):
        kept = [
            f"{name}={_plain(value)}"
            for name, value in ast.iter_fields(node)
            if value is not None and value != [] and name not in ("kind", "type_comment")
        ]
        return f"{type(node).__name__}({', '.join(kept)})"
    if isinstance(node, list):
        return f"[{', '.join(map(_plain, node))}]"
    return repr(node)


def _can_document(node: ast.AST) -> bool:
    return isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)


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
