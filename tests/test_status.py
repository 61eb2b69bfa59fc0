"""The status page: one short row a chapter, everything else folded and complete."""

import sys

import nbformat
import pytest
from chapters import ROOT

sys.path.insert(0, str(ROOT / "workflow"))

import setup_cell
import stage

RECORD = {
    "title": "Masks",
    "link": "foundations/masks.ipynb",
    "parameters": {"profile": "smoke", "seed": 0},
    "versions": {"torch": "2.13.0"},
    "started": "2026-11-29T04:28:00",
    "seconds": 20.4,
    "commit": "523dac2",
    "device": "cpu",
    "meta": {},
}


@pytest.fixture
def parts():
    """The visible part of the page, and the folded one, of two chapters on two devices."""
    records = {0: RECORD, 1: RECORD | {"title": "Metrics", "device": "cuda"}}
    visible, folded = stage.status_table(records).split(":::{dropdown}")
    return visible, folded


def test_a_row_says_which_when_and_how_long(parts):
    rows = [line for line in parts[0].splitlines() if line.startswith("| [")]
    assert rows == [
        f"| [{title}](foundations/masks.ipynb) | 2026-11-29 04:28 | 20 s |"
        for title in ("Masks", "Metrics")
    ]


def test_what_all_share_is_said_once_and_the_rest_for_each(parts):
    visible, folded = parts
    for text in ("profile smoke, seed 0", "torch 2.13.0", "`523dac2`"):
        assert folded.count(text) == 1
        assert text not in visible
    assert "| [Masks](foundations/masks.ipynb) | cpu |" in folded
    assert "| [Metrics](foundations/masks.ipynb) | cuda |" in folded
    assert folded.rstrip().endswith(":::")


def test_every_row_of_a_table_has_the_cells_of_its_head(parts):
    for part in parts:
        counts = {line.count("|") for line in part.splitlines() if line.startswith("|")}
        assert len(counts) == 1


@pytest.mark.parametrize("chapter", setup_cell.chapters(), ids=lambda path: path.stem)
def test_the_head_of_a_chapter_says_how_long_this_page_took(chapter):
    head = nbformat.read(chapter, as_version=4).cells[0].source
    said = stage.timed(head, RECORD)
    added = " *This page took 20 s at profile `smoke` on cpu; no GPU of Colab's has been timed.*"
    assert said.replace(added, "") == head != said
    assert "took 2.5 minutes at" in stage.timed(head, RECORD | {"seconds": 150.0})


def test_a_head_without_a_paragraph_on_time_is_named():
    with pytest.raises(SystemExit, match="Masks does not begin a paragraph with"):
        stage.timed("# Masks\n\nText.", RECORD)
