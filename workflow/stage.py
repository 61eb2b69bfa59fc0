"""Lay out what jupyter-book builds: prose, executed chapters at their own paths, computed tables.

    python workflow/stage.py _build/quick/executed _build/quick/stage

SFTKD_REPOSITORY_URL and SFTKD_REPOSITORY_BRANCH say where the chapters will be found, in place of
``_config.yml``; while no place is known, there are no buttons that would need one.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

import nbformat
import setup_cell
import yaml

ROOT = setup_cell.ROOT
SHARED = ("profile", "data", "acceleration", "seed", "device")  # parameters of every chapter
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def stage(executed: Path, target: Path) -> None:
    """Fill ``target`` afresh."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    config = configuration()
    url = config["repository"]["url"] if "repository" in config else ""
    (target / "_config.yml").write_text(yaml.safe_dump(config, sort_keys=False))
    shutil.copy(ROOT / "_toc.yml", target)
    chapters = setup_cell.chapters()
    records = {path: record_of(path, executed) for path in chapters}
    tables = {
        "<!-- chapter-table -->": chapter_table(records),
        "<!-- status-table -->": status_table(records),
        "<!-- gpu-table -->": gpu_table(ROOT / "results" / "gpu.json"),
    }
    for path in sorted((ROOT / "book").rglob("*")):
        place = target / path.relative_to(ROOT)
        if path.is_dir() or path.suffix in (".ipynb", ".pyc"):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".md":
            shutil.copy(path, place)
            continue
        text = path.read_text(encoding="utf-8")
        for marker, table in tables.items():
            text = text.replace(marker, table)
        place.write_text(text, encoding="utf-8")
    for path in chapters:
        place = target / path.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        notebook = nbformat.read(executed / path.relative_to(ROOT), as_version=4)
        notebook.cells[0].source = timed(notebook.cells[0].source, records[path])
        nbformat.write(for_the_page(notebook, url), place)


def configuration() -> dict:
    """``_config.yml`` with the repository filled in, or without all that needs it."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    repository = config["repository"]
    repository["url"] = os.environ.get("SFTKD_REPOSITORY_URL", repository["url"])
    repository["branch"] = os.environ.get("SFTKD_REPOSITORY_BRANCH", repository["branch"])
    if not repository["url"]:
        for section in ("repository", "launch_buttons"):
            config.pop(section)
        for button in ("use_repository_button", "use_issues_button"):
            config["html"][button] = False
    return config


def for_the_page(notebook: nbformat.NotebookNode, url: str) -> nbformat.NotebookNode:
    """An executed notebook without live widgets, and with a setup cell that knows the repository.

    The published figure with sliders is the HTML beside the widget view; the cell that papermill
    injected stays hidden and its values show on the status page.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        tags = cell.metadata.get("tags", [])
        if "setup" in tags:
            cell.source = setup_cell.setup_source(url, setup_cell.edition())
        if "injected-parameters" in tags:
            cell.metadata["tags"] = [*tags, "remove-cell"]
        for output in cell.outputs:
            if "data" in output and "text/html" in output["data"]:
                output["data"].pop(WIDGET_VIEW, None)
    return notebook


def timed(head: str, record: dict) -> str:
    """A chapter's head whose paragraph on time ends in what this run of it took.

    Raises SystemExit where a head has no such paragraph.
    """
    paragraphs = head.split("\n\n")
    place = next((i for i, text in enumerate(paragraphs) if text.startswith("**Time")), None)
    if place is None:
        raise SystemExit(f"error: {record['title']} does not begin a paragraph with **Time**")
    seconds, profile = record["seconds"], record["parameters"]["profile"]
    took = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} minutes"
    paragraphs[place] += (
        f" *This page took {took} at profile `{profile}` on {record['device']}; no GPU of Colab's "
        "has been timed.*"
    )
    return "\n\n".join(paragraphs)


def record_of(path: Path, executed: Path) -> dict:
    """The run's record with the chapter's title and path."""
    record = json.loads((executed / path.relative_to(ROOT)).with_suffix(".json").read_text())
    notebook = nbformat.read(path, as_version=4)
    title = notebook.cells[0].source.splitlines()[0].removeprefix("# ").strip()
    meta = notebook.metadata.get("sftkd", {})
    return {**record, "title": title, "link": path.relative_to(ROOT / "book"), "meta": meta}


def chapter_table(records: dict) -> str:
    """Chapters, the networks they name, and how long they took in this edition."""
    rows = [["chapter", "networks", "time in this edition"]]
    for number, record in enumerate(records.values(), 1):
        named = ", ".join(record["meta"].get("experiments", [])) or "none"
        title = f"{number}. [{record['title']}]({record['link']})"
        rows.append([title, named, f"{record['seconds']:.0f} s"])
    note = (
        "\nThe time is that of the chapter's cells; the networks that it names are trained once, "
        "before it or within it. The [status page](status.md) says how long that took, and on what."
    )
    return "\n".join([*_table(rows), note])


def status_table(records: dict) -> str:
    """One row a chapter; folded below it what chapters ran with, and the trainings behind them."""
    fields = {
        "parameters": lambda record: _listed(record["parameters"]),
        "versions": lambda record: _listed(record["versions"]),
        "code": lambda record: f"`{record['commit']}`",
        "device": lambda record: record["device"],
    }
    texts = {title: [text(r) for r in records.values()] for title, text in fields.items()}
    shared = [title for title, found in texts.items() if len(set(found)) == 1]
    common = [f"- {title}: {texts[title][0]}" for title in shared]
    differing = [title for title in texts if title not in shared]
    short, long = [["chapter", "started (UTC)", "time"]], [["chapter", *differing]]
    for number, record in enumerate(records.values()):
        name = f"[{record['title']}]({record['link']})"
        started = record["started"][:16].replace("T", " ")
        short.append([name, started, f"{record['seconds']:.0f} s"])
        long.append([name, *(texts[title][number] for title in differing)])
    folded = ["All chapters share:\n", *common, ""] if common else []
    folded += _table(long) if differing else []
    details = _folded("What each chapter ran with: parameters, versions, code, device", folded)
    return "\n".join([*_table(short), "", details]) + "\n" + training_table(records)


def _table(rows: list[list[str]]) -> list[str]:
    """A table's lines in Markdown; the first row is its head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]


def _folded(title: str, lines: list[str]) -> str:
    """What opens on a click."""
    return "\n".join([f":::{{dropdown}} {title}", *lines, ":::"])


def _listed(values: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def training_table(records: dict) -> str:
    """The networks that the chapters compare: when, on what and for how long they were trained."""
    from sftkd_core import experiments
    from sftkd_core.book.setting import Setting

    wanted = {
        (r["parameters"]["data"], name): Setting(**{k: r["parameters"][k] for k in SHARED})
        for r in records.values()
        for name in r["meta"].get("experiments", [])
    }
    if not wanted:
        return ""
    rows = [["experiment", "epochs", "trained on", "in", "time", "code", "network"]]
    described = {}
    for (data, name), setting in wanted.items():
        result = experiments.find(setting.experiment(name), "cpu")
        if result is None:
            raise SystemExit(f"error: no result of experiment {name}; run its chapter again")
        about = result.provenance
        described[about["data"]] = None
        rows.append(
            [
                f"{name} ({Path(data).name})",
                f"{len(result.history)}",
                about["hardware"],
                about["precision"],
                f"{result.seconds:.0f} s",
                f"`{about['commit']}`",
                f"`{result.experiment.name}`",
            ]
        )
    hours = sum(float(row[4].removesuffix(" s")) for row in rows[1:]) / 3600
    said = f"{len(rows) - 1} networks, trained in {hours:.1f} hours of one process. "
    table = _folded("Each network: where, when and for how long it was trained", _table(rows))
    heading = "\n## The networks behind the numbers\n"
    return f"{heading}\n{said}Data: {'; '.join(described)}.\n\n{table}\n"


def gpu_table(path: Path) -> str:
    """What ``benchmarks/gpu.py`` has found, if somebody has run it."""
    if not path.exists():
        return "`python benchmarks/gpu.py` has not been run for this edition."
    found = json.loads(path.read_text())
    lines = ["| what | measured | which says |", "|---|---|---|"]
    for row in found["rows"]:
        value = "" if row["value"] is None else f"{row['value']:.4g} {row['unit']}"
        lines.append(f"| {row['what']} | {value} | {row['says']} |")
    note = f"On {found['device']}, torch {found['torch']}, {found['when'][:10]}."
    return "\n".join([*lines, "", note])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("executed", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    stage(options.executed, options.target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
