"""A matrix of reruns: what it names, what it refuses, and that nothing is done twice."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import small_matrix
import torch
from chapters import ROOT
from small_matrix import times

import matrix  # isort: skip - in workflow/, which the import above has put on the path
import rerun_index  # isort: skip
import run_chapter  # isort: skip

from sftkd_core.book import report
from sftkd_core.system import InputError, describe


def written(tmp_path, text):
    path = tmp_path / "rerun.yaml"
    path.write_text(text)
    return path


MASKS = "book/foundations/masks"


def test_every_combination_has_a_name_of_its_own(tmp_path):
    text = f"""
runs:
  - chapters: [{MASKS}, book/results/table_1]
    parameters: {{data: [brain, cardiac], acceleration: [4, 2.5], seed: [0, 1]}}
  - chapters: book/results/table_1
    parameters: {{seeds: ["0 1", "2"]}}
  - chapters: {MASKS}
"""
    runs = matrix.read(written(tmp_path, text), "smoke")
    assert len(runs) == len({run.name for run in runs}) == 18  # masks at the defaults: once
    assert f"{MASKS}/cardiac-2.5x-seed1" in {run.name for run in runs}
    assert runs[-1].parameters["profile"] == "smoke"
    lists = [run.name for run in runs if "seeds" in run.parameters]
    assert all("seeds=" in name and " " not in name for name in lists)


@pytest.mark.parametrize(("text", "says"), [
    ("runs: []", "names no runs"),
    ("[", "is no matrix of runs"),
    ("chapters: [a]", "names no runs"),
    (f"runs: [{{chapter: {MASKS}}}]", "is no block of runs; it has chapters and parameters"),
    ("runs: [{parameters: {seed: 1}}]", "names no chapter"),
    ("runs: [{chapters: book/none}]", r"none\.ipynb does not exist"),
    (f"runs: [{{chapters: {MASKS}, parameters: {{sead: 3}}}}]", "has no parameter sead; it has"),
    (f"runs: [{{chapters: {MASKS}, parameters: {{acceleration: 0.5}}}}]", "acceleration"),
    (f"runs: [{{chapters: {MASKS}, parameters: {{data: hearts}}}}]", "hearts"),
    (f"runs: [{{chapters: {MASKS}, parameters: {{profile: paper}}}}]", "profile is one for all"),
])  # fmt: skip
def test_what_cannot_be_run_is_refused_before_anything_runs(text, says, tmp_path):
    with pytest.raises(run_chapter.ChapterError, match=says):
        matrix.read(written(tmp_path, text), "smoke")


def test_the_shipped_matrix_can_be_run():
    assert len(matrix.read(ROOT / "workflow/rerun.yaml")) > 8


def test_numbers_are_written_where_they_are_asked_for(tmp_path, monkeypatch):
    place = tmp_path / "said"
    report.number("student", "psnr", 1.0)
    assert run_chapter.told(place) == {"numbers": [], "device": None}
    monkeypatch.setenv(report.VARIABLE, str(place))
    report.number("student", "psnr", 1.0, seed=0)
    report.number("student", "psnr", 2.0, seed=0)  # said again: the last counts
    report.number("a - b", "psnr", 0.5, 0.1, 0.9)
    report.device(torch.device("cpu"))
    found = run_chapter.told(place)
    rows = found["numbers"]
    assert found["device"] == describe(torch.device("cpu"))
    assert [(row["name"], row["value"], row["low"]) for row in rows] == [
        ("student", 2.0, None), ("a - b", 0.5, 0.1)
    ]  # fmt: skip
    with pytest.raises(InputError, match="no column colour in a report"):
        report.number("student", "psnr", 1.0, colour="red")


def test_the_index_says_what_became_of_each_run(tmp_path):
    common = {"profile": "smoke", "device": "cpu", "data": "brain", "acceleration": 4}
    runs = [matrix.Run(MASKS, tuple({**common, "seed": seed}.items())) for seed in (0, 1, 2)]
    first, second, _ = (tmp_path / f"{run.name}.ipynb" for run in runs)
    first.parent.mkdir(parents=True)
    first.write_text("{}")
    said = [{"name": "student", "metric": "psnr", "value": 30.0}]
    record = {"seconds": 3.2, "device": "a <processor>", "numbers": said}
    first.with_suffix(".json").write_text(json.dumps(record))
    second.with_name(f"{second.stem}.failed.ipynb").write_text("{}")
    states = rerun_index.write(runs, tmp_path)
    assert [state["status"] for state in states] == ["done", "failed", "not run"]
    page = (tmp_path / "index.html").read_text()
    assert "1 of 3 are done" in page
    assert "a &lt;processor&gt;" in page
    assert "3 s" in page
    assert f'href="{first.relative_to(tmp_path)}"' in page
    for table in (
        pd.read_csv(tmp_path / "numbers.csv"),
        pd.read_parquet(tmp_path / "numbers.parquet"),
    ):
        (row,) = table.to_dict("records")
        assert (row["run"], row["name"], row["value"]) == (runs[0].name, "student", 30.0)


@pytest.fixture
def call(tmp_path, environment):
    """Snakemake on 2 chapters x 3 accelerations, and its folder of results."""
    config = ["profile=smoke", "device=cpu", f"output={tmp_path / 'out'}"]
    matrix_of_six = small_matrix.write(tmp_path, seeds="[0]", accelerations="[4, 6, 8]")
    command = [
        sys.executable, "-m", "snakemake", "-s", ROOT / "workflow/rerun.smk", "--cores", "2",
        "--rerun-triggers", "mtime", "params", "input", "--rerun-incomplete", "--nolock",
        "--config", *config, f"matrix={matrix_of_six}",
    ]  # fmt: skip

    def start():
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, start_new_session=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    return start, tmp_path / "out"


def test_a_killed_matrix_completes_and_nothing_is_done_twice(call, home):
    start, out = call
    first = start()
    # two that end together may both be on their way into the books when the kill comes
    while len(times(out, "brain-*.json")) < 3:
        assert first.poll() is None, first.communicate()[0]
        time.sleep(0.2)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    finished, trained = times(out, "brain-*.json"), times(home / "store", "result.json")

    second = start()
    said = second.communicate()[0]
    assert second.returncode == 0, said[-3000:]
    done, networks = times(out, "brain-*.json"), times(home / "store", "result.json")
    assert len(done) == 6
    assert len(networks) == 6  # two networks x 3 accelerations: shared by both chapters
    assert trained.items() <= networks.items()
    kept = [path for path in finished if done[path] == finished[path]]
    assert kept
    assert "6 of 6 are done" in (out / "index.html").read_text()
    table = pd.read_csv(out / "numbers.csv")
    assert set(table["acceleration"]) == {4, 6, 8}
    assert set(table["name"]) == {"student", "student-long", "student-long - student"}
    assert len(table.query("name == 'student' and metric == 'psnr'")) == 6

    third = start()
    said = third.communicate()[0]
    assert "Nothing to be done" in said
    assert times(out, "brain-*.json") == done
