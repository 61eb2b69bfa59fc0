"""Chapters with sliders run on what Colab has: ipywidgets 7 and IPython 7."""

import os
import subprocess
import sys

import nbformat
import pytest
from chapters import ROOT, run_chapter, smoke_home

COLAB = {"ipywidgets": "7.7.1", "ipython": "7.34.0"}
# what those two import and this environment's newer ones do not bring
NEEDED = ["ipython_genutils==0.2.0", "backcall", "decorator", "pickleshare"]
VIEW = "application/vnd.jupyter.widget-view+json"
MOVE = """
import IPython, ipywidgets

boxes = [w for w in ipywidgets.Widget.widgets.values() if isinstance(w, ipywidgets.VBox)]
moved = []
for box in boxes:
    *sliders, image = box.children
    before = image.value
    sliders[0].index = len(sliders[0].options) - 1
    moved.append(image.value != before)
print(ipywidgets.__version__, IPython.__version__, len(moved), all(moved))
"""


@pytest.fixture(scope="session")
def colab(tmp_path_factory):
    """A folder with Colab's two packages, to stand before this environment's."""
    folder = tmp_path_factory.mktemp("colab")
    wanted = [*(f"{name}=={version}" for name, version in COLAB.items()), *NEEDED]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
    run = subprocess.run([*pip, *wanted], capture_output=True, text=True)
    if run.returncode:
        reason = (run.stderr.strip().splitlines() or ["no message"])[-1]
        pytest.skip(f"pip cannot install {', '.join(wanted[:2])} here: {reason}")
    return folder


def test_a_chapter_with_sliders_runs_with_the_widgets_of_colab(colab, tmp_path):
    notebook = nbformat.read(ROOT / "book" / "foundations" / "masks.ipynb", as_version=4)
    sliders = sum("plots.explore(" in cell.source for cell in notebook.cells)
    assert sliders
    notebook.cells.append(nbformat.v4.new_code_cell(MOVE, id="colab"))
    nbformat.write(notebook, tmp_path / "masks.ipynb")
    path = os.pathsep.join([str(colab), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    environment["SFTKD_HOME"] = str(smoke_home())
    command = [sys.executable, ROOT / "workflow" / "run_chapter.py", tmp_path / "masks.ipynb"]
    run = subprocess.run(
        [*command, tmp_path / "out" / "masks.ipynb", "-p", "profile", "smoke", "--timeout", "300"],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    executed = run_chapter.read(tmp_path / "out" / "masks.ipynb")
    (said,) = executed.cells[-1].outputs
    assert said.text.split() == [COLAB["ipywidgets"], COLAB["ipython"], str(sliders), "True"]
    outputs = [o.data for cell in executed.cells for o in cell.get("outputs", []) if "data" in o]
    explorers = [data for data in outputs if "sftkd-explore" in data.get("text/html", "")]
    assert len(explorers) == sliders
    state = executed.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    for data in explorers:
        assert 'type="range"' in data["text/html"]  # the figure that needs no kernel
        assert state[data[VIEW]["model_id"]]["model_name"] == "VBoxModel"  # the one that has it


def test_without_a_kernel_widgets_of_colab_leave_the_figure_to_the_page(colab):
    code = (
        "import ipywidgets; from sftkd_core.book import plots\n"
        "ipywidgets.Widget.close_all(); ipywidgets.VBox.model_id = None\n"
        "print(ipywidgets.__version__, plots._widget([b'1', b'2'], {'height': [1, 2]}))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(colab), str(ROOT)])}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert run.stdout.split() == [COLAB["ipywidgets"], "{}"], run.stderr[-2000:]
