"""The paper's numbers, read again in the paper's own text."""

import re
from pathlib import Path

import pytest

from sftkd_core import paper
from sftkd_core.settings import PLAN

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


ROWS = {  # as printed -> ours
    "ZF": "zero-filled", "Teacher": "teacher", "Student": "student", "Fitnets": "fitnets",
    "AT": "at", "CC": "cc", "FSP": "fsp", "SP": "sp",
}  # fmt: skip


@needs_paper
def test_table_1():
    printed = rows("Table 1: Comparison", "4.2. Implementation")
    found = {key: values for key, values in printed.items() if key[1] in ROWS}
    assert len(found) == 16
    for name, label in (("brain", "MRBrainS"), ("cardiac", "Cardiac")):
        for row, ours in ROWS.items():
            both = [x for r in (4, 5) for x in paper.TABLE_1[name, r][ours] if x is not None]
            assert both == found[label, row], (name, row)
    assert all(list(table) == list(ROWS.values()) for table in paper.TABLE_1.values())


@needs_paper
def test_table_3():
    printed = rows("Table 3: HFN", "## A.0.2")
    found = {row: values for (_, row), values in printed.items() if row in ROWS}
    assert len(found) == len(ROWS) - 1  # no row of zero-filled images
    for row, values in found.items():
        assert [x for x in paper.TABLE_3[ROWS[row]] if x is not None] == values, row
    assert list(paper.TABLE_3) == [ours for ours in ROWS.values() if ours != "zero-filled"]


def test_tables_are_complete():
    """Both columns of every method; one of what no teacher taught."""
    assert set(paper.TABLE_1) == {(d, a) for d in ("brain", "cardiac") for a in (4, 5)}
    for table in [*paper.TABLE_1.values(), paper.TABLE_3]:
        for name, values in table.items():
            missing = [x is None for x in values]
            expected = name in ("zero-filled", "student")
            assert missing == [False, False, expected, expected], name


@pytest.mark.parametrize("key", paper.TABLE_1)
def test_every_printed_method_is_reported_under_the_plans_name(key):
    reported = paper.reported(*key)
    assert set(reported) <= {*PLAN, "zero-filled"}
    for method in ("fitnets", "sp", "fsp", "cc"):
        row = paper.TABLE_1[key][method]
        assert (*reported[f"kd-{method}"], *reported[f"sft-kd-{method}"]) == row
    assert (*reported["kd"], *reported["sft-kd"]) == paper.TABLE_1[key]["at"]
    assert (*reported["teacher"], *reported["sft-teacher"]) == paper.TABLE_1[key]["teacher"]


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
