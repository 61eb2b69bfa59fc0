"""Ways of doing the same, timed in turns, for the chapter on performance.

What else a machine does falls on all ways alike where they take turns, one step each: a ratio
within a round tells something where seconds do not.
"""

import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import torch

from sftkd_core.book import plain
from sftkd_core.system import InputError

ROUNDS = 40  # at most
LEAST = 3
RESULTS = Path(__file__).parents[2] / "results"  # of a clone


def in_turns(
    ways: Mapping[str, Callable[[], float]], seconds: float, least: int = LEAST
) -> pd.DataFrame:
    """Seconds of every way, a column each, in rounds of one step each, a row each.

    ways     functions that do a step and return its seconds, such as ``cost.clocked``
    seconds  after which no round begins, once there are ``least``; a first round, in which caches
             are filled, does not count

    Every round starts with another way.
    """
    if not ways:
        raise InputError("no ways are given; pass functions that return the seconds of a step")
    names, rows, until = list(ways), [], None
    for number in range(ROUNDS + 1):
        first = number % len(names)
        row = {name: ways[name]() for name in names[first:] + names[:first]}
        if until is None:
            until = time.monotonic() + seconds
            continue
        rows.append([row[name] for name in names])
        if time.monotonic() > until and len(rows) >= least:
            break
    return pd.DataFrame(rows, columns=names)


def faster(times: pd.DataFrame, than: str) -> pd.DataFrame:
    """How many times the pace of one way each other has: median over rounds, and quartiles.

    A row a way, columns ``times``, ``low`` and ``high``.
    """
    others = [name for name in times if name != than]
    ratios = pd.DataFrame({name: times[than] / times[name] for name in others})
    quartiles = ratios.quantile([0.5, 0.25, 0.75]).T
    return quartiles.set_axis(["times", "low", "high"], axis=1)


def says(low: float, high: float) -> str:
    """What quartiles of a ratio allow to be said of this run."""
    if low > 1:
        return "faster"
    return "slower" if high < 1 else "no difference to be seen"


@contextmanager
def recipe(size: int, batch: int, device: torch.device) -> Iterator[dict]:
    """``book.plain``'s steps in a process of their own: name -> a function for ``in_turns``.

    There memory is as a reader's own program would have it, freed and asked for again.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    given = (size, batch, str(device), torch.get_num_threads(), theirs)
    process = context.Process(target=plain.serve, args=given, daemon=True)
    process.start()
    theirs.close()

    def ask(name: str) -> float:
        ours.send(name)
        return ours.recv()

    try:
        yield {name: lambda name=name: ask(name) for name in ("SFT", "KD")}
        ours.send("")
    finally:
        process.join(10)
        process.kill()


def on_a_gpu(path: Path | None = None) -> tuple[str, pd.DataFrame] | None:
    """What ``benchmarks/gpu.py`` wrote in this clone: the device, and its table; None: nothing."""
    record = _written(path or RESULTS / "gpu.json")
    if record is None:
        return None
    return f"{record['device']}, torch {record['torch']}", pd.DataFrame(record["rows"])


def in_a_browser(path: Path | None = None) -> tuple[str, pd.DataFrame] | None:
    """Likewise of ``benchmarks/browser.py``: browser, runtime and what it weighs, and its table."""
    record = _written(path or RESULTS / "browser.json")
    if record is None:
        return None
    where = f"{record['device']}; the runtime is {record['runtime']}"
    return where, pd.DataFrame(record["rows"])


def _written(path: Path) -> dict | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
