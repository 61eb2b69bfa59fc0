"""Environments of other versions, and chapters alone in them: what decides, without installing."""

import re
import sys
from datetime import datetime, timedelta

import nbformat
import pytest
import tomllib
from chapters import ROOT
from packaging.requirements import Requirement

sys.path.insert(0, str(ROOT / "workflow"))

import alone
import versions


def test_lines_of_a_list_are_read_as_names_and_versions():
    assert versions.pinned("Jupyter_Client==7.4.9") == ("jupyter-client", "7.4.9")
    assert versions.pinned("torch @ https://x/torch-2.11.0%2Bcpu-cp313.whl") == ("torch", "2.11.0")
    assert versions.pinned("google-colab @ file:///somewhere") is None
    assert versions.pinned("# a comment") is None


def test_what_colab_has_is_dated_pinned_and_within_our_bounds():
    head, _, *lines = versions.COLAB.read_text().splitlines()
    assert re.search(r"read on \d{4}-\d\d-\d\d\.$", head)
    has = {name: version for name, version in map(versions.pinned, lines)}
    assert len(has) == len(lines)
    assert not [name for name in has if versions.DEVICE.match(name)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    there = [r for r in map(Requirement, project["dependencies"]) if r.name in has]
    assert len(there) > 5
    for requirement in there:
        assert requirement.specifier.contains(has[requirement.name]), requirement


def test_a_list_of_colab_is_cut_to_what_is_met(tmp_path, monkeypatch):
    listed = tmp_path / "pip-freeze.txt"
    listed.write_text("numpy==2.1.3\ntifffile==2026.1.1\nnvidia-nccl-cu12==2.1\nflask==3.0\n")
    monkeypatch.setattr(versions, "COLAB", tmp_path / "has.txt")

    def resolved(which, python):
        assert (which, python) == ("colab", versions.COLAB_PYTHON)
        assert "nvidia" not in versions.COLAB.read_text()
        return ["numpy==2.1.3", "tifffile==2026.1.1"]

    monkeypatch.setattr(versions, "lines", resolved)
    _, _, *kept = versions.read_colab(str(listed), "2026-08-19").splitlines()
    assert kept == ["numpy==2.1.3", 'tifffile==2026.1.1 ; python_version >= "3.12"']


def test_versions_that_do_not_suit_each_other_are_said(monkeypatch):
    monkeypatch.setattr(versions.sys, "executable", "false")
    with pytest.raises(SystemExit, match=r"no versions suit each other on Python 3\.9"):
        versions.lines("lowest", "3.9")


def executed(*cells):
    """A notebook whose cells (seconds, output) ran one after the other."""
    start, made = datetime(2026, 11, 29), []
    for seconds, output in cells:
        end = start + timedelta(seconds=seconds)
        cell = nbformat.v4.new_code_cell()
        cell.metadata["papermill"] = {"start_time": str(start), "end_time": str(end)}
        if output:
            cell.outputs = [nbformat.v4.new_output("display_data", output)]
        made.append(cell)
        start = end
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Text"), *made])


@pytest.mark.parametrize("figure", [
    {"image/png": "x"}, {"text/html": '<div class="sftkd-explore">'},
])  # fmt: skip
def test_a_first_figure_is_timed_from_the_first_cell(figure):
    table = {"text/html": "<table>"}
    ran = executed((2, None), (3, table), (4, figure), (5, figure))
    assert alone.times(ran) == {"seconds": 14.0, "figure": 9.0}
    assert alone.times(executed((2, table)))["figure"] is None
    assert alone.times(executed()) == {"seconds": None, "figure": None}


@pytest.mark.parametrize(("change", "words"), [
    ({}, ""),
    ({"error": "NameError"}, "failed (NameError)"),
    ({"left": ["a.txt"]}, "wrote into the reader's folder: a.txt"),
    ({"figure": None}, "shows no figure"),
    ({"figure": 91.0}, "its first figure comes after 91 s"),
])  # fmt: skip
def test_what_is_wrong_with_a_chapter_alone(change, words):
    record = {"error": "", "left": [], "seconds": 100.0, "figure": 80.0}
    assert alone.fault(record | change, 90) == words
