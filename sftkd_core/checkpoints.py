"""Published checkpoints (torch ``.pt``): their tensors, and nothing else from the file.

The released code saves a pickle: weights under "model", beside "args" (a Namespace), "exp_dir" (a
path), "optimizer" and "best_dev_loss" (a numpy number). A pickle can run any code, so it is read by
``torch.load(weights_only=True)`` with these few harmless types named, after a look at its size.
"""

import argparse
import pathlib
import pickletools
import re
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sftkd_core import files
from sftkd_core.errors import InputError

LIMIT = 1 << 29  # bytes of a checkpoint, of all that it unpacks to, and of its tensors
_OPERATIONS = 60_000  # of its pickles; tuples nested some 200,000 deep overflow Python's stack
_PICKLES = 5  # an old file holds that many before its tensors
_NAMES = ("model", "state_dict", "model_state_dict")  # under which a file may keep its weights
_SCALAR = np.float64(0).__reduce__()[0]
_SAFE = [
    argparse.Namespace,
    (pathlib.PurePosixPath, "pathlib.PosixPath"),
    np.dtype,
    type(np.dtype(np.float64)),
    type(np.dtype(np.float32)),
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
]


def load_published(path: str | Path) -> dict[str, Tensor]:
    """The weights in a checkpoint: names to tensors, on the CPU.

    Raises ``InputError`` for anything that is not a dictionary of finite tensors, that needs a type
    not named here, or is too large; code in the file is not run.
    """
    if tuple(int(n) for n in re.findall(r"\d+", torch.__version__)[:2]) < (2, 6):
        raise InputError(
            f"torch {torch.__version__} does not read checkpoints safely; install 2.6 or later"
        )
    path = files.check_regular(path, "checkpoint")
    try:
        _check_size(path)
        with torch.serialization.safe_globals(_SAFE):
            content = torch.load(path, map_location="cpu", weights_only=True)
        return _weights(content, path)
    except InputError:
        raise
    except Exception as error:  # a damaged pickle or archive fails in nearly any way
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it asks for {wanted.group(1)[:60]}" if wanted else type(error).__name__
        raise InputError(
            f"checkpoint {path} cannot be read as weights alone ({reason}); it is damaged, or "
            "holds objects that could run code"
        ) from None


def _weights(content, path: Path) -> dict[str, Tensor]:
    """The dictionary of tensors in what was read."""
    for name in _NAMES:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
            break
    if not isinstance(content, dict) or not content:
        raise InputError(f"checkpoint {path} holds no dictionary of weights")
    size = 0
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise InputError(f"checkpoint {path} holds more than tensors where weights should be")
        # a tensor can claim more elements than the file has, by a stride of 0
        size += value.numel() * value.element_size()
        if value.layout != torch.strided or value.device.type != "cpu" or size > LIMIT:
            raise InputError(f"checkpoint {path}: {name[:60]} is no plain tensor of fair size")
        if not torch.isfinite(value).all():
            raise InputError(f"checkpoint {path}: {name[:60]} holds NaN or infinite values")
    return {name: value.detach().clone() for name, value in content.items()}


def _check_size(path: Path) -> None:
    """Compare the file, what its archive unpacks to, and its pickles with what is usual."""
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            size = max(size, sum(member.file_size for member in members))
            pickles = [m for m in members if m.filename.endswith("/data.pkl")]
            if size <= LIMIT and len(pickles) == 1:
                with archive.open(pickles[0]) as file:
                    _count_operations(file, path, 1)
            elif size <= LIMIT:
                raise InputError(f"checkpoint {path} is an archive, but not one of torch.save")
    elif size <= LIMIT:
        with open(path, "rb") as file:
            if file.read(1) != b"\x80":
                raise InputError(f"checkpoint {path} is not a file that torch.save wrote")
            file.seek(0)
            _count_operations(file, path, _PICKLES)
    if size > LIMIT:
        raise InputError(f"checkpoint {path} holds {size} bytes; these networks have far fewer")


def _count_operations(file, path: Path, pickles: int) -> None:
    """Raise ``InputError`` where pickles do more than any checkpoint needs. Runs none of them."""
    count = 0
    for _ in range(pickles):
        for _ in pickletools.genops(file):
            count += 1
            if count > _OPERATIONS:
                raise InputError(
                    f"checkpoint {path} is made of more than {_OPERATIONS} parts; these networks "
                    "have far fewer"
                )
