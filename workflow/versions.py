"""Exact versions of three environments that the library and its chapters have to run in.

    python workflow/versions.py lowest > lowest.txt      the lower bounds of pyproject.toml
    python workflow/versions.py newest > newest.txt      the newest that are published
    python workflow/versions.py colab > colab.txt        what Colab has, and the library beside it
    python workflow/versions.py colab --read LIST        write workflow/colab_has.txt anew

uv resolves, pip installs what is printed. A bound of the project is a bound of its direct
dependencies; what those need themselves is the newest that suits them. ``LIST`` is Colab's
``pip-freeze.txt``, an address or a file.
"""

import argparse
import re
import subprocess
import sys
import urllib.request
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLAB = ROOT / "workflow" / "colab_has.txt"
COLAB_PYTHON = "3.13"
EXTRAS = ("book", "test", "coils", "dicom", "export")
# what a kernel of Colab's has that no chapter imports by name, and what runs a chapter there
KERNEL = ("ipykernel", "ipywidgets", "ipython", "papermill", "scikit-image", "statsmodels")
# CUDA for torch: which it takes is its own business, and a processor build has none of it
DEVICE = re.compile(r"(nvidia|cuda|triton)\b")
# whose release there is for newer Pythons than our builds': older ones take what they can
NEWER = {"tifffile": "3.12"}
HEADER = """\
# What Colab has, of the packages that this book needs there: read on {day}.
# Written by `python workflow/versions.py colab --read LIST`.
"""


def lines(which: str, python: str) -> list[str]:
    """``name==version`` of an environment for a version of Python, without CUDA's packages.

    Raises SystemExit with uv's reason where no versions suit each other.
    """
    command = ["pip", "compile", "pyproject.toml"]
    if which == "colab":
        given = "".join(f"{name}\n" for name in KERNEL)
        command += ["-", "--constraint", str(COLAB)]
    else:
        given = None
        command += [word for extra in EXTRAS for word in ("--extra", extra)]
        command += ["--resolution", "lowest-direct" if which == "lowest" else "highest"]
    return [line for line in uv(command, python, given) if not DEVICE.match(line)]


def uv(command: list[str], python: str, given: str | None = None) -> list[str]:
    """The lines that ``uv pip compile`` prints."""
    how = ["--python-version", python, "--no-annotate", "--no-header", "--quiet"]
    run = subprocess.run(
        [sys.executable, "-m", "uv", *command, *how],
        cwd=ROOT, input=given, capture_output=True, text=True,
    )  # fmt: skip
    if run.returncode:
        raise SystemExit(f"no versions suit each other on Python {python}: {run.stderr.strip()}")
    return run.stdout.splitlines()


def read_colab(listed: str, day: str) -> str:
    """The text of ``colab_has.txt``: those lines of Colab's list that our resolution meets."""
    if "://" in listed:
        with urllib.request.urlopen(listed, timeout=60) as answer:
            text = answer.read().decode()
    else:
        text = Path(listed).read_text(encoding="utf-8")
    known = dict(filter(None, map(pinned, text.splitlines())))
    COLAB.write_text("".join(f"{n}=={v}\n" for n, v in known.items() if not DEVICE.match(n)))
    met = {line.split("==")[0] for line in lines("colab", COLAB_PYTHON)}
    kept = [f"{name}=={known[name]}{marker(name)}\n" for name in sorted(known) if name in met]
    return HEADER.format(day=day) + "".join(kept)


def marker(name: str) -> str:
    """For which Pythons a version holds, where it is not for all of ours."""
    return f' ; python_version >= "{NEWER[name]}"' if name in NEWER else ""


def pinned(line: str) -> tuple[str, str] | None:
    """Name and version of a line of ``pip freeze``; of a wheel's address as well."""
    found = re.match(r"([\w.-]+)==([\w.]+)", line)
    found = found or re.match(r"(torch) @ \S+/torch-([\d.]+)", line)
    return found and (re.sub(r"[-_.]+", "-", found[1]).lower(), found[2])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", choices=("lowest", "newest", "colab"))
    parser.add_argument("--python", default=".".join(map(str, sys.version_info[:2])))
    parser.add_argument("--read", metavar="LIST", help="Colab's pip-freeze.txt: address or file")
    parser.add_argument("--day", default=date.today().isoformat(), help="when LIST was made")
    options = parser.parse_args()
    if options.read:
        COLAB.write_text(read_colab(options.read, options.day))
        return 0
    print(*lines(options.which, options.python), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
