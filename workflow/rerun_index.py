"""Gather the runs of a matrix: a page that says what became of each, and a table of their numbers.

    python workflow/rerun_index.py workflow/rerun.yaml _build/rerun/quick --profile quick

Writes index.html, numbers.csv and, where pyarrow is installed, numbers.parquet into the folder.
"""

import argparse
import importlib.util
import json
import os
from html import escape
from pathlib import Path

import matrix
import pandas as pd

COLUMNS = (
    "chapter", "run", "data", "acceleration", "seed", "name", "metric", "value", "low", "high"
)  # fmt: skip
STYLE = (
    "body{font:15px/1.4 system-ui,sans-serif;margin:2em;color:#1c1c1c}"
    "table{border-collapse:collapse}"
    "td,th{padding:.25em .8em;text-align:left;border-bottom:1px solid #ccc}"
    ".done{color:#1d7044}.failed{color:#a3271b}"
)


def state_of(run: matrix.Run, folder: Path) -> dict:
    """What became of a run: status, record and the files to look at."""
    whole = folder / f"{run.name}.ipynb"
    failed = whole.with_name(f"{whole.stem}.failed.ipynb")
    record, log = whole.with_suffix(".json"), whole.with_suffix(".log")
    if whole.exists() and record.exists():
        status = "done"
    else:
        status = "failed" if failed.exists() or log.exists() else "not run"
    links = [path for path in (whole, failed, log) if path.exists()]
    said = json.loads(record.read_text()) if status == "done" else {}
    return {"run": run, "status": status, "record": said, "links": links}


def numbers(states: list[dict]) -> pd.DataFrame:
    """Every number that a run has reported, one a row."""
    rows = []
    for state in states:
        run = state["run"]
        own = {key: run.parameters[key] for key in ("data", "acceleration", "seed")}
        where = {"chapter": run.chapter, "run": run.name, **own}
        rows += [{**where, **row} for row in state["record"].get("numbers", [])]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"data": str})


def page(states: list[dict], folder: Path) -> str:
    """The index in HTML."""
    count = sum(state["status"] == "done" for state in states)
    rows = "\n".join(_row(state, folder) for state in states)
    head = "".join(f"<th>{h}</th>" for h in ("run", "status", "time", "on", "parameters", "files"))
    return (
        '<!doctype html><html lang="en-GB"><meta charset="utf-8"><title>Reruns</title>'
        f"<style>{STYLE}</style><h1>Reruns</h1><p>{count} of {len(states)} are done. "
        '<a href="numbers.csv">All their numbers</a>.</p>'
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></html>\n"
    )


def _row(state: dict, folder: Path) -> str:
    run, record = state["run"], state["record"]
    links = ", ".join(
        f'<a href="{escape(str(path.relative_to(folder)))}">{escape(path.suffix[1:])}</a>'
        for path in state["links"]
    )
    given = ", ".join(f"{name} {value}" for name, value in run.given)
    seconds = f"{record['seconds']:.0f} s" if record else ""
    words = [run.name, state["status"], seconds, record.get("device", ""), given]
    cells = "".join(f"<td>{escape(str(word))}</td>" for word in words)
    return f'<tr class="{state["status"].split()[0]}">{cells}<td>{links}</td></tr>'


def write(runs: list[matrix.Run], folder: Path) -> list[dict]:
    """The page and the tables of some runs; returns what became of each."""
    folder.mkdir(parents=True, exist_ok=True)
    states = [state_of(run, folder) for run in runs]
    table = numbers(states)
    table.to_csv(folder / "numbers.csv", index=False)
    if importlib.util.find_spec("pyarrow"):
        table.to_parquet(folder / "numbers.parquet", index=False)
    part = folder / "index.html.part"
    part.write_text(page(states, folder), encoding="utf-8")
    os.replace(part, folder / "index.html")
    return states


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("matrix", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--profile", default="quick")
    options = parser.parse_args()
    states = write(matrix.read(options.matrix, options.profile), options.folder)
    done = sum(state["status"] == "done" for state in states)
    print(f"{done} of {len(states)} runs are done: {(options.folder / 'index.html').resolve()}")


if __name__ == "__main__":
    main()
