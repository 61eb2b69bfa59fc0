"""Write constraints.txt: the exact versions that are installed now."""

import re
import subprocess
import sys
from pathlib import Path

PATH = Path(__file__).resolve().parents[1] / "constraints.txt"
HEADER = """\
# Exact versions of our builds (used by make book, make test and environment.yml).
# Written by `make constraints`. Older Pythons than 3.11 take the newest releases that still
# support them.
"""
EVERYWHERE = ("torch", "jupyter-book", "sphinx", "snakemake", "papermill", "packaging")


def constraint(line: str) -> str:
    """``name==version``, without a local build, for the Pythons that have it."""
    pinned = re.sub(r"\+\w+$", "", line)
    if pinned.split("==")[0].lower() in EVERYWHERE:
        return pinned
    return f'{pinned} ; python_version >= "3.11"'


def main() -> None:
    freeze = [sys.executable, "-m", "pip", "freeze", "--exclude-editable"]
    for name in ("pip", "setuptools", "wheel"):
        freeze += ["--exclude", name]
    lines = subprocess.run(freeze, capture_output=True, text=True, check=True).stdout.splitlines()
    PATH.write_text(HEADER + "".join(f"{constraint(line)}\n" for line in lines if "==" in line))


if __name__ == "__main__":
    main()
