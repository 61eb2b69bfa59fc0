"""Read a matrix of reruns: which chapters, with which parameters, each under a name of its own.

    python workflow/matrix.py workflow/rerun.yaml --profile smoke

lists the runs, or says in one line what is wrong: an unknown chapter or parameter, a value that no
chapter takes. `workflow/rerun.smk` runs them.
"""

import argparse
import re
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from zlib import crc32

import run_chapter
import yaml
from run_chapter import ChapterError

ROOT = run_chapter.ROOT
SHARED = ("profile", "data", "acceleration", "seed", "device")


@dataclass(frozen=True)
class Run:
    """A chapter, by its path without ending, and all parameters that it is given.

    A path from the root of the clone; one from the root of the machine is a notebook of your own.
    """

    chapter: str
    given: tuple[tuple[str, object], ...]

    @property
    def parameters(self) -> dict:
        return dict(self.given)

    @property
    def name(self) -> str:
        """The path of its results: ``book/foundations/masks/brain-4x-seed0``."""
        rest = dict(self.parameters)
        data, rate, seed = (rest.pop(key) for key in ("data", "acceleration", "seed"))
        for key in ("profile", "device"):
            rest.pop(key)
        words = [f"{Path(str(data)).name}-{rate:g}x-seed{seed}"]
        words += [f"{key}={value}" for key, value in rest.items()]
        plain = re.sub(r"[^\w.=-]+", "_", "-".join(words))
        exact = plain == "-".join(words) and data == Path(str(data)).name
        # what cannot be a file's name is marked, so that two runs never share one
        mark = "" if exact else f"-{crc32(repr(self.given).encode()):08x}"
        return f"{self.chapter.lstrip('/')}/{plain}{mark}"


def read(
    path: Path, profile: str = "quick", device: str = "auto", checked: bool = False
) -> list[Run]:
    """Every run of a matrix, each once; ``ChapterError`` for what cannot be run.

    checked  the chapters and their parameters have been looked at before
    """
    try:
        asked = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ChapterError(f"{path} is no matrix of runs: {error}") from None
    blocks = asked.get("runs") if isinstance(asked, dict) else None
    if not isinstance(blocks, list) or not blocks:
        raise ChapterError(f"{path} names no runs; write runs: with chapters: and parameters:")
    found: dict[Run, None] = {}
    for block in blocks:
        found |= dict.fromkeys(_runs(block, path, {"profile": profile, "device": device}))
    for run in found:
        if not checked:
            check(run)
    return list(found)


def _runs(block: object, path: Path, common: dict) -> list[Run]:
    if not isinstance(block, dict) or set(block) - {"chapters", "parameters"}:
        raise ChapterError(f"{path}: {block!r} is no block of runs; it has chapters and parameters")
    chapters, given = _list(block.get("chapters", [])), block.get("parameters") or {}
    if not chapters or not isinstance(given, dict):
        raise ChapterError(f"{path}: {block!r} names no chapter, or its parameters have no names")
    taken = sorted(set(given) & set(common))
    if taken:
        raise ChapterError(f"{path}: {', '.join(taken)} is one for all; say make rerun PROFILE=...")
    values = {"data": ["brain"], "acceleration": [4], "seed": [0]}
    values |= {name: _list(value) for name, value in given.items()}
    return [
        Run(str(chapter), tuple({**common, **dict(zip(values, one, strict=True))}.items()))
        for chapter in chapters
        for one in product(*values.values())
    ]


def _list(value: object) -> list:
    return value if isinstance(value, list) else [value]


def check(run: Run) -> None:
    """Names against the chapter's parameters, the shared values as ``Setting`` takes them."""
    from sftkd_core.book import Setting
    from sftkd_core.system import InputError

    source = ROOT / f"{run.chapter}.ipynb"
    run_chapter.check_parameters(run_chapter.read(source), source, run.parameters)
    try:
        Setting(**{key: value for key, value in run.given if key in SHARED})
    except InputError as error:
        raise ChapterError(f"{run.name}: {error}") from None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("matrix", type=Path)
    parser.add_argument("--profile", default="quick")
    options = parser.parse_args()
    try:
        for run in read(options.matrix, options.profile):
            print(run.name)
    except ChapterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
