"""Which build of torch make installs: one for processors where there is no NVIDIA device.

    python workflow/torch_index.py auto|pypi|cpu|cu126|...

Prints the options for pip, or nothing. ``auto`` is for Linux, where PyPI's torch brings gigabytes
of CUDA: without a device of NVIDIA's it takes the processor build, unless pip's settings name an
index already, or the index of PyTorch does not answer. ``pypi`` adds nothing; any other word is a
folder of that index.
"""

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

INDEX = "https://download.pytorch.org/whl/"
SETTINGS = ("index-url", "extra-index-url", "no-index", "find-links")
SECONDS = 10  # that the index has for an answer


def options(word: str) -> list[str]:
    """Options for ``pip install``; what was decided goes to the standard error stream.

    Raises SystemExit when the word can be no folder of the index.
    """
    if not re.fullmatch(r"[a-z][a-z0-9.]*", word):
        raise SystemExit(f'TORCH is "{word}"; say auto, pypi, cpu, or a build such as cu126')
    if word == "pypi" or (word == "auto" and not wanted()):
        return []
    folder = INDEX + ("cpu" if word == "auto" else word)
    if word == "auto" and not answers(f"{folder}/torch/"):
        tell(f"{folder} does not answer: torch comes from where pip looks by itself")
        return []
    tell(f"torch comes from {folder}; make TORCH=pypi, or TORCH=cu126, takes another build")
    return ["--extra-index-url", folder]


def wanted() -> bool:
    """Whether the processor build is worth an index: Linux, no NVIDIA, no settings of pip."""
    return sys.platform == "linux" and not has_nvidia() and not set_by_user()


def has_nvidia(root: Path = Path("/")) -> bool:
    """Whether the machine shows a device of NVIDIA's, its driver, or that of Windows below it."""
    devices = [*root.glob("dev/nvidia*"), *root.glob("dev/dxg"), *root.glob("proc/driver/nvidia")]
    return bool(devices) or shutil.which("nvidia-smi") is not None


def set_by_user() -> list[str]:
    """What pip has been told already of where packages are, in its variables or files."""
    run = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True
    )
    said = [line.split("=")[0].rpartition(".")[2] for line in run.stdout.splitlines()]
    variables = {name: "PIP_" + name.upper().replace("-", "_") for name in SETTINGS}
    return [name for name in SETTINGS if name in said or os.environ.get(variables[name])]


def answers(url: str) -> bool:
    """Whether the address can be read from here."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS):
            return True
    except (OSError, ValueError):
        return False


def tell(sentence: str) -> None:
    print(sentence, file=sys.stderr)


if __name__ == "__main__":
    print(*options(sys.argv[1] if len(sys.argv) > 1 else "auto"))
