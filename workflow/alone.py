"""Run each chapter alone: an empty folder, the library from its wheel, what a reader would have.

    python workflow/alone.py _build/env/colab             results brought from a server on loopback
    python workflow/alone.py _build/env/colab --offline   no server: what is missing is trained

The notebooks are those that the site offers for Colab, the server has the published results, and
each chapter begins with an empty SFTKD_HOME (offline they share one, so that a network is trained
once). ``ENVIRONMENT.json`` beside the output folder's chapters keeps versions, seconds, and the
seconds from the first cell to the first figure. Status 1 if a chapter fails, leaves files in the
reader's folder, or shows its figure after ``--figure`` seconds.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import colab
import nbformat
from loopback import serve

ROOT = Path(__file__).resolve().parents[1]
NOWHERE = "http://127.0.0.1:9/results"  # a port where nobody answers
NAMED = ("torch", "numpy", "scipy", "pandas", "matplotlib", "ipywidgets", "ipython", "ipykernel")


def install(python: Path, place: Path) -> None:
    """Build the library's wheel into ``place`` and install it, and nothing else, beside Python."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", place, ROOT]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = place.glob("*.whl")
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", wheel]
    subprocess.run(pip, check=True)


def run(python: Path, chapter: Path, target: Path, told: dict, parameters: dict) -> dict:
    """One chapter; its record: ``error`` (empty if none), ``seconds``, ``figure``, ``left``."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SFTKD", "VIRTUAL"))}
    told = kept | {"JUPYTER_PREFER_ENV_PATH": "1", "PATH": f"{python.parent}:{kept['PATH']}"} | told
    words = [word for name, value in parameters.items() for word in ("-p", name, str(value))]
    with tempfile.TemporaryDirectory() as empty:
        shutil.copy(chapter, empty)
        command = [python, "-m", "papermill", "--no-progress-bar", chapter.name, target.resolve()]
        process = subprocess.run(
            [*command, *words, "--execution-timeout", "1200"],
            cwd=empty, env=told, capture_output=True, text=True,
        )  # fmt: skip
        left = sorted({p.name for p in Path(empty).iterdir()} - {chapter.name})
    said = process.stderr.strip().splitlines() or ["no message"]
    record = {"error": said[-1] if process.returncode else "", "left": left}
    if target.exists():
        record |= times(nbformat.read(target, as_version=4))
    return record


def times(executed: nbformat.NotebookNode) -> dict:
    """Seconds of all cells, and from the first cell's start to the first figure's cell's end."""
    ran = [c for c in executed.cells if c.metadata.get("papermill", {}).get("end_time")]
    ran = [cell for cell in ran if cell.cell_type == "code"]
    if not ran:
        return {"seconds": None, "figure": None}
    start = datetime.fromisoformat(ran[0].metadata.papermill.start_time)
    ends = [datetime.fromisoformat(cell.metadata.papermill.end_time) - start for cell in ran]
    figures = [end for cell, end in zip(ran, ends, strict=True) if shows_a_figure(cell)]
    return {
        "seconds": round(ends[-1].total_seconds(), 1),
        "figure": round(figures[0].total_seconds(), 1) if figures else None,
    }


def shows_a_figure(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell drew: a picture, or the page's figure with sliders."""
    data = [output.get("data", {}) for output in cell.outputs]
    return any("image/png" in d or "sftkd-explore" in d.get("text/html", "") for d in data)


def versions(python: Path) -> dict:
    """What is installed there of the packages that matter most."""
    code = (
        "import json, sys, importlib.metadata as m\n"
        f"known = {{n: m.version(n) for n in {NAMED}}}\n"
        "print(json.dumps({'python': sys.version.split()[0]} | known))"
    )
    return json.loads(subprocess.run([python, "-c", code], capture_output=True, check=True).stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("environment", type=Path, help="a folder with bin/python")
    parser.add_argument("chapters", nargs="*", help="names such as masks; all without any")
    parser.add_argument("--offline", action="store_true")
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--figure", type=float, default=90, help="seconds for the first figure")
    parser.add_argument("--target", type=Path, default=ROOT / "_build" / "alone")
    options = parser.parse_args()
    python = options.environment.absolute() / "bin" / "python"
    name = options.environment.name + ("-offline" if options.offline else "")
    folder = options.target / name
    folder.mkdir(parents=True, exist_ok=True)
    told = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(os.cpu_count()))}
    failed, records = 0, {}
    with tempfile.TemporaryDirectory() as site, serve(Path(site)) as address:
        install(python, Path(site) / "wheel")
        colab.write(Path(site))
        (Path(site) / "results").symlink_to(ROOT / "results")
        told["SFTKD_RESULTS_URL"] = NOWHERE if options.offline else f"{address}results"
        for chapter in colab.setup_cell.chapters():
            if options.chapters and chapter.stem not in options.chapters:
                continue
            with tempfile.TemporaryDirectory() as fresh:
                told["SFTKD_HOME"] = str(folder / "home") if options.offline else fresh
                path = Path(site) / chapter.relative_to(ROOT)
                given = {"profile": options.profile}
                record = run(python, path, folder / chapter.name, told, given)
            records[chapter.stem] = record
            wrong = fault(record, options.figure)
            failed += bool(wrong)
            print(f"{chapter.stem}: {wrong or 'ok'}, {told_of(record)}", flush=True)
            whole = {"profile": options.profile, "versions": versions(python), "chapters": records}
            (options.target / f"{name}.json").write_text(json.dumps(whole, indent=1))
    print(f"{name}: {len(records) - failed} of {len(records)} chapters")
    return 1 if failed or not records else 0


def fault(record: dict, limit: float) -> str:
    """What is wrong with a run; empty if nothing is."""
    if record["error"]:
        return f"failed ({record['error']})"
    if record["left"]:
        return f"wrote into the reader's folder: {', '.join(record['left'])}"
    if record["figure"] is None:
        return "shows no figure"
    late = record["figure"] > limit
    return f"its first figure comes after {record['figure']:.0f} s" if late else ""


def told_of(record: dict) -> str:
    if record.get("seconds") is None:
        return "no cell ran"
    figure = record["figure"]
    return f"{record['seconds']} s, first figure " + ("none" if figure is None else f"{figure} s")


if __name__ == "__main__":
    sys.exit(main())
