"""Run one chapter strictly: papermill, with its warnings made errors, and a record of the run.

    python workflow/run_chapter.py IN.ipynb OUT.ipynb -p profile smoke -p seed 3

A wrong parameter, a missing ``parameters`` cell, a failed cell, cells run out of order or an
unreadable notebook end with one line that names it and status 1. A failed run leaves
``OUT.failed.ipynb`` to read and no ``OUT.ipynb``. A good one leaves ``OUT.ipynb`` and, beside it,
``OUT.json``: parameters, commit, versions, device, seconds, and the numbers that it reported.
"""

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbclient.exceptions import CellTimeoutError

ROOT = Path(__file__).resolve().parents[1]
VERSIONED = ("torch", "numpy", "scipy", "matplotlib", "papermill")
MEASURED = ("value", "low", "high")  # of a reported number; all else says what it is of


class ChapterError(Exception):
    """What is wrong with a chapter or its run, in one sentence."""


def run(source: Path, target: Path, parameters: dict, timeout: int | None = None) -> dict:
    """Execute ``source`` into ``target``; returns the record that lies beside it.

    timeout  seconds that one cell may take. A kernel can lose a message and wait for ever: a run
             that runs out of time is tried once more.
    """
    check_parameters(read(source), source, parameters)
    failed = target.with_name(f"{target.stem}.failed.ipynb")
    said = target.with_suffix(".said")
    for stale in (target, target.with_suffix(".json"), failed, said):
        stale.unlink(missing_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    started, clock = datetime.now(timezone.utc), time.perf_counter()
    os.environ["SFTKD_REPORT"] = str(said.resolve())  # where sftkd_core.book.report writes
    _execute_patiently(source, failed, parameters, timeout)
    notebook = read(failed)
    check_order(notebook, source)
    record = _record(notebook, source, parameters, started, time.perf_counter() - clock)
    record |= told(said)
    record["device"] = record["device"] or _device(parameters)
    said.unlink(missing_ok=True)
    part = target.with_suffix(".json.part")
    part.write_text(json.dumps(record, indent=1))
    os.replace(failed, target)  # from here on the run counts
    os.replace(part, target.with_suffix(".json"))
    return record


def read(path: Path) -> nbformat.NotebookNode:
    """A valid notebook, or ``ChapterError``."""
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except FileNotFoundError:
        raise ChapterError(f"{path} does not exist") from None
    except Exception as error:  # nbformat raises many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ChapterError(f"{path} is not a readable notebook: {reason}") from None
    return notebook


def parameter_names(notebook: nbformat.NotebookNode, source: Path) -> set[str]:
    """What the one cell tagged ``parameters`` assigns."""
    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ChapterError(f"{source.name} has {len(cells)} cells tagged parameters; it needs one")
    try:
        tree = ast.parse(cells[0].source)
    except SyntaxError as error:
        raise ChapterError(f"{source.name}: the parameters cell does not parse: {error}") from None
    return {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def check_parameters(notebook: nbformat.NotebookNode, source: Path, given: dict) -> None:
    """Raise ``ChapterError`` for a parameter that the chapter does not have."""
    names = parameter_names(notebook, source)
    unknown = ", ".join(sorted(set(given) - names))
    if unknown:
        known = ", ".join(sorted(names))
        raise ChapterError(f"{source.name} has no parameter {unknown}; it has {known}")


def check_order(notebook: nbformat.NotebookNode, source: Path) -> None:
    """Every code cell ran, once, from first to last, without an error."""
    counts = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        for output in cell.outputs:
            if output.output_type == "error":
                raise ChapterError(f"{source.name}, cell {number}: {output.ename}: {output.evalue}")
        if cell.source.strip():
            counts.append(cell.execution_count)
    if counts != list(range(1, len(counts) + 1)):
        raise ChapterError(f"{source.name} did not run in order: execution counts {counts}")


def _execute_patiently(source: Path, working: Path, parameters: dict, timeout: int | None) -> None:
    """``_execute``, once more where a cell ran out of time."""
    for again in ("; once more", ""):
        try:
            return _execute(source, working, parameters, timeout)
        except CellTimeoutError:
            late = f"{source.name}: a cell took more than {timeout} s"
            print(f"{late}{again}", file=sys.stderr)
    raise ChapterError(f"{late}, twice (see {working})")


def _execute(source: Path, working: Path, parameters: dict, timeout: int | None) -> None:
    """Papermill in an empty folder, so that a chapter that needs a neighbour fails here too."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # this environment's kernel, not the user's
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # a profiler's own log is nothing for a page
    with tempfile.TemporaryDirectory() as empty:
        try:
            papermill.execute_notebook(
                source.resolve(),
                working.resolve(),
                parameters,
                cwd=empty,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                start_timeout=120,
                execution_timeout=timeout,
            )
        except PapermillExecutionError as error:
            raise ChapterError(
                f"{source.name}, cell {error.cell_index} failed: {error.ename}: {error.evalue} "
                f"(the run is kept in {working})"
            ) from None
        except CellTimeoutError:
            raise
        except Exception as error:  # a kernel that dies or does not start
            raise ChapterError(
                f"{source.name} stopped: {type(error).__name__}: {error} (see {working})"
            ) from None
        left = sorted(path.name for path in Path(empty).iterdir())
    if left:
        raise ChapterError(f"{source.name} wrote into the reader's folder: {', '.join(left)}")


def _record(notebook, source: Path, given: dict, started: datetime, seconds: float) -> dict:
    versions = {name: version(name) for name in VERSIONED}
    return {
        "chapter": source.stem,
        "parameters": given,
        "commit": _commit(),
        "versions": {"python": sys.version.split()[0], **versions},
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "cells": sum(cell.cell_type == "code" for cell in notebook.cells),
    }


def told(said: Path) -> dict:
    """What a chapter reported of its run: "numbers", each as it was said last, and "device".

    No torch is loaded for it, which takes seconds: only a chapter that says nothing has it asked.
    """
    rows = map(json.loads, said.read_text(encoding="utf-8").splitlines() if said.exists() else [])
    numbers, device = {}, None
    for row in rows:
        if "device" in row:
            device = row["device"]
        else:
            numbers[tuple(item for item in row.items() if item[0] not in MEASURED)] = row
    return {"numbers": list(numbers.values()), "device": device}


def _device(given: dict) -> str:
    from sftkd_core.system import describe, pick_device

    return describe(pick_device(str(given.get("device", "auto"))))


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "not a clone"


def _value(text: str):
    """As papermill's -p reads it: true, 3, 2.5 or a string."""
    import yaml

    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # "*.nii", "2024-13-45"
        return text
    return value if isinstance(value, bool | int | float) else text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    parser.add_argument("--timeout", type=int, help="seconds that one cell may take")
    options = parser.parse_args()
    parameters = {name: _value(text) for name, text in options.p}
    try:
        record = run(options.source, options.target, parameters, options.timeout)
    except ChapterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options.source.stem}: {record['cells']} cells in {record['seconds']:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
