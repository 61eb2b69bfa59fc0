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
            cell.source = setup_cell.setup_source(url)
        if "injected-parameters" in tags:
            cell.metadata["tags"] = [*tags, "remove-cell"]
        for output in cell.outputs:
            if "data" in output and "text/html" in output["data"]:
                output["data"].pop(WIDGET_VIEW, None)
    return notebook


def record_of(path: Path, executed: Path) -> dict:
    """The run's record with the chapter's title and path."""
    record = json.loads((executed / path.relative_to(ROOT)).with_suffix(".json").read_text())
    notebook = nbformat.read(path, as_version=4)
    title = notebook.cells[0].source.splitlines()[0].removeprefix("# ").strip()
    meta = notebook.metadata.get("sftkd", {})
    return {**record, "title": title, "link": path.relative_to(ROOT / "book"), "meta": meta}


def chapter_table(records: dict) -> str:
    """Chapters, the networks they name, and how long they took in this edition."""
    lines = ["| chapter | networks | time in this edition | on |", "|---|---|---|---|"]
    for number, record in enumerate(records.values(), 1):
        named = ", ".join(record["meta"].get("experiments", [])) or "none"
        lines.append(
            f"| {number}. [{record['title']}]({record['link']}) | {named} "
            f"| {record['seconds']:.0f} s | {record['device']} |"
        )
    note = (
        "\nThe time is that of the chapter's cells; the networks that it names are trained once, "
        "before it or within it, and the [status page](status.md) says how long that took."
    )
    return "\n".join(lines) + "\n" + note


def status_table(records: dict) -> str:
    """One row a chapter, what all have in common, then the trainings behind them."""
    shared, columns = [], {}
    for title, field in (("parameters", "parameters"), ("versions", "versions")):
        texts = [_listed(record[field]) for record in records.values()]
        if len(set(texts)) == 1:
            shared.append(f"All chapters, {title}: {texts[0]}.\n")
        else:
            columns[title] = texts
    head = ["chapter", "started (UTC)", *columns, "code", "device", "time"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for number, record in enumerate(records.values()):
        row = [
            f"[{record['title']}]({record['link']})",
            record["started"][:16].replace("T", " "),
            *(texts[number] for texts in columns.values()),
            f"`{record['commit']}`",
            record["device"],
            f"{record['seconds']:.0f} s",
        ]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join([*lines, "", *shared]) + training_table(records)


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
    lines = [
        "\n## The networks behind the numbers\n",
        "| experiment | epochs | trained on | in | time | code | network |",
        "|---|---|---|---|---|---|---|",
    ]
    described = {}
    for (data, name), setting in wanted.items():
        result = experiments.find(setting.experiment(name), "cpu")
        if result is None:
            raise SystemExit(f"error: no result of experiment {name}; run its chapter again")
        about = result.provenance
        described[about["data"]] = None
        lines.append(
            f"| {name} ({Path(data).name}) | {len(result.history)} | {about['hardware']} "
            f"| {about['precision']} | {result.seconds:.0f} s | `{about['commit']}` "
            f"| `{result.experiment.name}` |"
        )
    return "\n".join(lines) + f"\n\nData: {'; '.join(described)}.\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("executed", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    stage(options.executed, options.target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
