"""The strict runner, staging, and the tidy form of chapters."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

import remaining  # noqa: E402
import run_chapter  # noqa: E402
import setup_cell  # noqa: E402
import stage  # noqa: E402


def notebook(*cells: str, parameters: str | None = "seed = 0") -> nbformat.NotebookNode:
    new = nbformat.v4.new_notebook()
    new.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    new.cells.append(nbformat.v4.new_markdown_cell("# Title"))
    if parameters is not None:
        tagged = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
        new.cells.append(tagged)
    new.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
    return new


@pytest.fixture
def chapter(tmp_path):
    def write(*cells, **options):
        path = tmp_path / "chapter.ipynb"
        nbformat.write(notebook(*cells, **options), path)
        return path, tmp_path / "out" / "chapter.ipynb"

    return write


def test_a_good_run_leaves_the_notebook_and_its_record(chapter):
    source, target = chapter("print(seed + 1)")
    record = run_chapter.run(source, target, {"seed": 41})
    assert "42" in target.read_text()
    assert json.loads(target.with_suffix(".json").read_text()) == record
    assert record["parameters"] == {"seed": 41}
    assert {"commit", "versions", "device", "seconds", "started"} <= set(record)
    assert sorted(p.name for p in target.parent.iterdir()) == ["chapter.ipynb", "chapter.json"]


def test_a_failed_run_is_kept_for_reading_and_takes_the_old_one_away(chapter):
    source, target = chapter("print(1)")
    run_chapter.run(source, target, {})
    source, target = chapter("print('before')", "1 / 0")
    with pytest.raises(run_chapter.ChapterError, match=r"chapter\.ipynb, cell .*ZeroDivisionError"):
        run_chapter.run(source, target, {})
    assert [p.name for p in target.parent.iterdir()] == ["chapter.failed.ipynb"]
    assert "before" in (target.parent / "chapter.failed.ipynb").read_text()


def test_unknown_parameters_are_named(chapter):
    source, target = chapter("1")
    with pytest.raises(run_chapter.ChapterError, match="no parameter sead; it has seed"):
        run_chapter.run(source, target, {"sead": 1})
    assert not target.exists()


def test_a_missing_or_doubled_parameters_cell_is_named(chapter):
    source, target = chapter("1", parameters=None)
    with pytest.raises(run_chapter.ChapterError, match="0 cells tagged parameters"):
        run_chapter.run(source, target, {})


def test_unreadable_notebooks_are_named(tmp_path):
    for name, content in {"a.ipynb": "{", "b.ipynb": "{}", "c.ipynb": "[1]"}.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(run_chapter.ChapterError, match=name):
            run_chapter.read(tmp_path / name)
    with pytest.raises(run_chapter.ChapterError, match="does not exist"):
        run_chapter.read(tmp_path / "none.ipynb")


@pytest.mark.parametrize("counts", [[1, 3], [2, 1], [1, None], [1, 1]])
def test_cells_run_out_of_order_are_an_error(counts):
    executed = notebook("2")
    for cell, count in zip(executed.cells[1:], counts, strict=True):
        cell.execution_count = count
    with pytest.raises(run_chapter.ChapterError, match="in order"):
        run_chapter.check_order(executed, Path("x.ipynb"))


def test_chapters_run_in_an_empty_folder_and_must_leave_it_empty(chapter):
    source, target = chapter("import os\nassert os.listdir() == []")
    run_chapter.run(source, target, {})
    source, target = chapter("open('litter.txt', 'w').close()")
    with pytest.raises(run_chapter.ChapterError, match=r"litter\.txt"):
        run_chapter.run(source, target, {})


def test_a_cell_that_takes_too_long_is_tried_once_more_then_named(chapter, tmp_path):
    log = tmp_path / "log"
    once = (
        f"import os, time\nn = os.path.exists({str(log)!r})\nopen({str(log)!r}, 'a').write('x')\n"
    )
    source, target = chapter(once + "n or time.sleep(60)")
    run_chapter.run(source, target, {}, timeout=2)
    assert log.read_text() == "xx"
    source, target = chapter("import time\ntime.sleep(60)")
    with pytest.raises(run_chapter.ChapterError, match="more than 1 s, twice"):
        run_chapter.run(source, target, {}, timeout=1)


def test_the_command_ends_with_one_line_and_status_1(chapter):
    source, target = chapter("1")
    command = [sys.executable, ROOT / "workflow" / "run_chapter.py", source, target]
    run = subprocess.run([*command, "-p", "sead", "1"], capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.startswith("error: chapter.ipynb has no parameter sead")


def test_values_are_read_as_papermill_reads_them():
    read = run_chapter._value
    assert [read("4"), read("2.5"), read("true"), read("brain"), read("/a b")] == [
        4, 2.5, True, "brain", "/a b",
    ]  # fmt: skip
    for text in ("*.nii", "[", "a: b: c", "%", "2024-13-45", "4: 5"):
        assert read(text) == text


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(("venv", "place"), [("/opt/env", "/opt/env"), (".venv", ROOT / ".venv")])
def test_make_finds_an_environment_anywhere(venv, place):
    command = ["make", "-s", "-f", "Makefile", "-f", "-", "show", f"VENV={venv}"]
    show = 'show: ; @echo "$$PATH"\n'
    run = subprocess.run(command, input=show, capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.split(":")[0] == f"{place}/bin"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(("asked", "set_before", "given"), [
    ([], {}, "yes redo"),
    (["RETRAIN=no"], {}, "yes redo"),
    (["RETRAIN=yes"], {}, "no redo"),
    (["RETRAIN=yes"], {"SFTKD_SHIPPED": "yes"}, "no redo"),  # what was asked for comes first
    ([], {"SFTKD_SHIPPED": "no"}, "no redo"),
    ([], {"SFTKD_STALE": "use"}, "yes use"),
])  # fmt: skip
def test_make_takes_the_shipped_networks_unless_asked_to_train(asked, set_before, given):
    run = make_shows(asked, set_before)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == given


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_names_a_retrain_that_is_neither_yes_nor_no():
    run = make_shows(["RETRAIN=1"], {})
    assert run.returncode != 0
    assert 'RETRAIN is "1"; say yes or no' in run.stderr


def make_shows(asked, set_before):
    """What a recipe of the Makefile finds in its environment."""
    command = ["make", "-s", "-f", "Makefile", "-f", "-", "show", *asked]
    show = 'show: ; @echo "$$SFTKD_SHIPPED $$SFTKD_STALE"\n'
    names = ("SFTKD_SHIPPED", "SFTKD_STALE", "RETRAIN", "MAKEFLAGS", "MAKEOVERRIDES")
    clean = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.run(
        command, input=show, capture_output=True, text=True, cwd=ROOT, env=clean | set_before
    )


def test_the_documents_and_the_makefile_agree_on_retraining():
    texts = ("README.md", "results/README.md", "CONTRIBUTING.md", "Makefile")
    for text in (*texts, ".github/workflows/publish.yml"):
        found = (ROOT / text).read_text()
        assert "RETRAIN=yes" in found, text
        assert not re.search(r"(?<![A-Z_])SHIPPED\s*\??=", found), text


# Chapters' sources and their stage.


def test_chapters_are_tidy():
    script = ROOT / "workflow" / "setup_cell.py"
    run = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_the_setup_cell_installs_nothing_where_the_library_is(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("pip was called")

    monkeypatch.setattr(subprocess, "run", refuse)
    exec(compile(setup_cell.setup_source("https://example.org/book"), "setup", "exec"), {})


@pytest.mark.parametrize("url", ["", "https://example.org/book", "https://github.com/some/book"])
def test_the_setup_cell_keeps_torch_and_numpy_where_it_installs(url, monkeypatch):
    import importlib.util

    import numpy
    import torch

    calls = []
    real = importlib.util.find_spec
    missing = lambda name, *rest: None if name == "sftkd_core" else real(name, *rest)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", missing)
    monkeypatch.setattr(subprocess, "run", lambda command, check, env: calls.append((command, env)))
    code = compile(setup_cell.setup_source(url, "abc"), "setup", "exec")
    if not url:
        with pytest.raises(SystemExit, match="clone the book"):
            exec(code, {})
        return
    exec(code, {})
    ((command, told),) = calls
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert f"torch=={torch.__version__}" in command
    assert f"numpy=={numpy.__version__}" in command
    assert command[-1] == f"sftkd-core @ git+{url}@abc"
    raw = "https://raw.githubusercontent.com/some/book/abc/results"
    assert told["SFTKD_RESULTS_URL"] == (raw if "github" in url else "")


def test_without_a_repository_no_button_is_shown_that_needs_one(monkeypatch):
    monkeypatch.delenv("SFTKD_REPOSITORY_URL", raising=False)
    if not setup_cell.repository_url():
        config = stage.configuration()
        assert "launch_buttons" not in config
        assert "repository" not in config
        assert not config["html"]["use_repository_button"]
    monkeypatch.setenv("SFTKD_REPOSITORY_URL", "https://example.org/book")
    monkeypatch.setenv("SFTKD_REPOSITORY_BRANCH", "pages")
    config = stage.configuration()
    assert config["repository"]["url"] == "https://example.org/book"
    assert config["repository"]["branch"] == "pages"
    assert config["launch_buttons"]["colab_url"]


def test_staged_notebooks_have_no_live_widget_but_its_picture():
    source = notebook("1")
    data = {"text/html": "<div>", stage.WIDGET_VIEW: {"model_id": "x"}}
    source.cells[2].outputs = [nbformat.v4.new_output("display_data", data=data)]
    source.cells[2].metadata["tags"] = ["injected-parameters"]
    source.metadata["widgets"] = {"state": {}}
    staged = stage.for_the_page(source, "")
    assert "widgets" not in staged.metadata
    assert staged.cells[2].outputs[0].data == {"text/html": "<div>"}
    assert "remove-cell" in staged.cells[2].metadata["tags"]


def test_the_table_of_contents_names_files_that_exist():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]
    for name in files:
        assert any((ROOT / f"{name}{ending}").exists() for ending in (".md", ".ipynb")), name
    on_disk = {str(p.relative_to(ROOT).with_suffix("")) for p in (ROOT / "book").rglob("*.ipynb")}
    assert on_disk <= set(files)


def test_the_remaining_time_knows_how_many_are_trained_at_once(tmp_path):
    wanted = [tmp_path / f"{name}.json" for name in "abcdefg"]
    assert remaining.remaining(wanted) == "0 of 7 networks are there"
    for path, seconds in zip(wanted, (120, 360), strict=False):
        path.write_text(json.dumps({"seconds": seconds}))
    # five are left, of four minutes each
    assert "the other 5 take about 20 min, 1 at once" in remaining.remaining(wanted)
    assert "the other 5 take about 10 min, 2 at once" in remaining.remaining(wanted, 2)
    assert "the other 5 take about 4 min, 64 at once" in remaining.remaining(wanted, 64)
    for path in wanted:
        path.write_text(json.dumps({"seconds": 1}))
    assert remaining.remaining(wanted) == "7 of 7 networks are there"


def test_the_graph_of_table_1_is_the_trainings_asked_for():
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "-s", "workflow/Snakefile", "--cores", "2",
         "--dry-run", "--forceall", "--printshellcmds",
         "--config", "profile=smoke", "seeds=0 1", "methods=at sp", "--", "table"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    command = r"sftkd_core train (\S+) .*?--acceleration (\S+) --seed (\d+)"
    asked = re.findall(command, run.stdout + run.stderr)
    names = ["teacher", "sft-teacher", "student", "student-long", "sft-finetuned"]
    names += ["sft-kd-random", "kd", "sft-kd", "kd-sp", "sft-kd-sp"]
    assert sorted(asked) == sorted((name, "4", seed) for name in names for seed in "01")
