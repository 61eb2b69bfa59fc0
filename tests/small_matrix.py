"""Two small chapters that share a network, and a matrix of 2 x 2 x 2 runs of them, or of fewer."""

from pathlib import Path

import nbformat

PARAMETERS = 'profile = "quick"\ndata = "brain"\nacceleration = 4\nseed = 0\ndevice = "auto"'
START = "from sftkd_core.book import Setting, comparisons\n"
START += "setting = Setting(profile, data, acceleration, seed, device)\n"
CHAPTERS = {
    "one": 'setting.evaluate("student");',
    "two": 'comparisons.compare(setting, [("student-long", "student")]);',
}


def write(place: Path, seeds: str = "[0, 1]", accelerations: str = "[4, 8]") -> Path:
    """Write the chapters and the matrix into a folder; the path of the matrix."""
    for name, code in CHAPTERS.items():
        cells = [
            nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell(START + code),
        ]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), place / f"{name}.ipynb")
    chapters = ", ".join(str(place / name) for name in CHAPTERS)
    path = place / "rerun.yaml"
    path.write_text(
        f"runs: [{{chapters: [{chapters}], "
        f"parameters: {{acceleration: {accelerations}, seed: {seeds}}}}}]"
    )
    return path


def times(folder: Path, pattern: str) -> dict[Path, int]:
    """When each file was written, ns: what is done again has another time."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob(pattern)}
