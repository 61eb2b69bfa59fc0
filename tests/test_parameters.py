"""A chapter refuses a parameter that it does not have, before anything runs."""

import subprocess
import sys

import nbformat
import pytest
from chapters import CHAPTERS, name, source

from sftkd_core.book import parameters
from sftkd_core.system import InputError

DECLARED = 'profile = "quick"  # how large\nseed = 0\nseeds = "0 1"'


def test_names_that_the_chapter_has_are_let_through():
    parameters.refuse_unknown(
        ["", "import this", DECLARED, "# Parameters\nseed = 3\n", "seeed = 4"]
    )
    parameters.refuse_unknown([DECLARED, "sead = 3"])  # the reader's own cell
    parameters.refuse_unknown(["print(1)", "# Parameters\nsead = 3\n"])  # declares none
    parameters.refuse_unknown([])


def test_another_name_is_refused_with_what_was_meant():
    with pytest.raises(InputError, match=r"no parameter sead in profile, seed, seeds; do you mean"):
        parameters.refuse_unknown(["", DECLARED, "# Parameters\nseed = 1\nsead = 3\n"])
    with pytest.raises(InputError, match=r"no parameter colour in profile, seed, seeds$"):
        parameters.refuse_unknown([DECLARED, '# Parameters\ncolour = "red"\n'])


def test_outside_a_notebook_nothing_is_asked():
    parameters.check()


@pytest.mark.parametrize("path", CHAPTERS, ids=name)
def test_every_chapter_asks_in_its_first_cell_behind_the_parameters(path):
    cells = [cell for cell in source(path).cells if cell.cell_type == "code"]
    (place,) = [i for i, c in enumerate(cells) if "parameters" in c.metadata.get("tags", [])]
    assert (
        "Setting(profile" in cells[place + 1].source
        or "parameters.check()" in cells[place + 1].source
    )


def test_plain_papermill_ends_before_anything_runs(tmp_path, environment):
    cells = [
        nbformat.v4.new_code_cell("seed = 0", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(
            "from sftkd_core.book import Setting\nsetting = Setting('smoke', seed=seed)"
        ),
        nbformat.v4.new_code_cell(f"open({str(tmp_path / 'ran')!r}, 'w')"),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(notebook, tmp_path / "in.ipynb")
    command = [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb", "-p", "sead", "3"]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode != 0
    assert "InputError: no parameter sead in seed; do you mean seed?" in run.stderr
    assert not (tmp_path / "ran").exists()
