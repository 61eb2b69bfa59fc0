"""The paper's numbers, read again in the paper's own text."""

import re
from pathlib import Path

import pytest

from sftkd_core import paper

TEXT = Path(__file__).parents[2] / "shared" / "paper.txt"
needs_paper = pytest.mark.skipif(
    not TEXT.exists(), reason="the paper's text is not beside the clone"
)


def rows(start: str, stop: str) -> dict[tuple[str, str], list[float]]:
    """Numbers of each row between two headings, by (dataset, row name)."""
    text = TEXT.read_text(encoding="utf-8")
    lines = text[text.index(start) : text.index(stop)].replace("<b>", "").replace("</b>", "")
    found, dataset = {}, ""
    for line in lines.splitlines():
        cells = line.split("\t")
        if len(cells) > 2:
            dataset = cells[0] or dataset
            found[dataset, cells[1]] = [
                float(x) for x in re.findall(r"\d+\.\d+", "/".join(cells[2:]))
            ]
    return found


@needs_paper
def test_table_1():
    printed = rows("Table 1: Comparison", "4.2. Implementation")
    columns = [("Teacher", "teacher"), ("ZF", "zero-filled"), ("Student", "student"), ("AT", "at")]
    for name, label in (("brain", "MRBrainS"), ("cardiac", "Cardiac")):
        for row, ours in columns:
            both = [x for r in (4, 5) for x in paper.TABLE_1[name, r][ours] if x is not None]
            assert both == printed[label, row]


@needs_paper
def test_table_3():
    printed = rows("Table 3: HFN", "## A.0.2")
    for row, ours in (("Teacher", "teacher"), ("Student", "student"), ("AT", "at")):
        assert [x for x in paper.TABLE_3[ours] if x is not None] == printed["MRBrainS", row]


@needs_paper
def test_table_5():
    text = TEXT.read_text(encoding="utf-8")
    section = text[text.index("Table 5: Ablative") : text.index("### A.0.3")]
    for metric in ("hfn", "mse", "psnr", "ssim", "vif"):
        line = next(x for x in section.splitlines() if x.lower().startswith(metric + "\t"))
        means = [float(cell.split("+/-")[0]) for cell in line.split("\t")[1:]]
        assert means == [column[metric] for column in paper.TABLE_5.values()]


def test_reported_by_our_names():
    assert paper.reported("brain", 4)["sft-kd"] == (40.07, 0.9789)
    assert "sft-kd-random" not in paper.reported("cardiac", 5)
    assert paper.reported("brain", 8) == {}
