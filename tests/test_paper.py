"""The paper's numbers, read again in the paper's own text."""

import re
from pathlib import Path

import pytest

from sftkd_core import models
from sftkd_core.book import paper
from sftkd_core.book.setting import PLAN
from sftkd_core.data import PHANTOMS, SHORT_NAMES

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


def test_scans_of_the_papers_own_data_stand_beside_its_numbers():
    assert set(paper.DATASETS) <= {*PHANTOMS, *SHORT_NAMES}
    assert paper.reported("mrbrains", 4) == paper.reported("brain", 4)
    assert paper.reported("acdc", 5) == paper.reported("cardiac", 5)
    assert paper.reported("calgary", 4) == paper.reported("/scans/brain", 4) == {}


def lines(start: str, stop: str) -> list[list[str]]:
    """Cells of the table's lines between two headings, without markup."""
    text = TEXT.read_text(encoding="utf-8")
    part = text[text.index(start) :]
    part = re.sub(r"</?\w+>", "", part[: part.index(stop, len(start))])
    return [line.split("\t") for line in part.splitlines() if "\t" in line]


def numbers(cells: list[str]) -> list[float]:
    return [float(x) for x in re.findall(r"\d+(?:\.\d+)?", " ".join(cells))]


SETUP_ROWS = {  # both columns of Tables 2 and 4, as printed -> ours
    "Teacher": "teacher", "SF Teacher": "sft-teacher", "SFT-KD-Recon Teacher": "sft-teacher",
    "Student": "student", "KD": "kd", "SFT": "sft-kd", "SFT-KD-Recon": "sft-kd",
}  # fmt: skip


@needs_paper
@pytest.mark.parametrize(
    ("start", "table"),
    [("Table 2: Comparison", paper.TABLE_2), ("Table 4: Comparison", paper.TABLE_4)],
    ids=["2", "4"],
)
def test_tables_of_two_setups(start, table):
    found = {"feature": {}, "image": {}}
    for cells in lines(start, "Figure"):
        if len(cells) == 7 and cells[1] in SETUP_ROWS:
            found["feature"][SETUP_ROWS[cells[1]]] = tuple(numbers(cells[2:4]))
            found["image"][SETUP_ROWS[cells[4]]] = tuple(numbers(cells[5:7]))
    assert found == table
    assert all(list(setup) == list(table["image"]) for setup in table.values())


@needs_paper
def test_table_6():
    cells = {row[0]: row[1:] for row in lines("Table 6: Ablative", "#### A.0.4")}
    assert cells["Evaluation Metrics"] == [
        "Teacher",
        "SFT-Teacher",
        "Student",
        "KD",
        "SFT-KD Recon",
    ]
    columns = zip(cells["PSNR"], cells["SSIM"], strict=True)
    assert [tuple(numbers(column)) for column in columns] == list(paper.TABLE_6.values())
    assert list(paper.TABLE_6) == ["teacher", "sft-teacher", "student", "kd", "sft-kd"]


@needs_paper
def test_table_7():
    found = {
        cells[0].removesuffix(" (D3C5)"): tuple(numbers(cells[1:]))
        for cells in lines("Table 7: Ablative", "**Comparison of SFT-KD-Recon Teacher")
        if len(numbers(cells[1:])) == 5
    }
    assert found == paper.TABLE_7


@needs_paper
def test_table_8():
    found = lines("Table 8: Performance", "## Appendix B")[2:]
    for cells, (name, row) in zip(found, paper.TABLE_8.items(), strict=True):
        assert f"({name})" in cells[0]
        count = [row["parameters"], row["removed"], row["milliseconds"]]
        trained = [*(row["alone"] or ()), *(row["kd"] or ()), *(row["sft-kd"] or ())]
        assert numbers(cells[1:]) == [x for x in [*count, *trained] if x is not None]
    text = TEXT.read_text(encoding="utf-8")
    assert ", ".join(f"{name} ({share}%)" for name, share in list(paper.TEXT_8.items())[:2]) in text
    assert "33%, 62% and 97% for D4C5, D3C5, D2C5 respectively" in text
    assert list(paper.TEXT_8.values()) == [33, 62, 97]


@needs_paper
def test_table_9():
    names = {**ROWS, "PKT": "pkt", "factortransfer": "ft", "NST": "nst"}
    found = {}
    for cells in lines("Table 9: Comparison", "## B.2.2"):
        name = next((cell for cell in cells[:2] if cell in names), None)
        if name:
            values = numbers(cells[cells.index(name) + 1 :])
            found[names[name]] = tuple(values + [None] * (8 - len(values)))
    assert found == paper.TABLE_9


@needs_paper
def test_section_4_3_on_the_random_start():
    text = TEXT.read_text(encoding="utf-8")
    (psnr, ssim), printed = paper.TEXT_4_3["sft-kd-random"], "SFT-KD-Recon (random initializations)"
    assert f"{printed}: {psnr}/{ssim}" in text


def test_slips_that_the_notes_speak_of():
    """What a note calls a repetition is one, and tables that agree elsewhere do agree."""
    feature, image = paper.TABLE_4["feature"], paper.TABLE_4["image"]
    assert feature["sft-teacher"][:2] == image["sft-teacher"][:2] == paper.TABLE_3["teacher"][2:]
    assert feature["student"][3] == feature["student"][1] != paper.TABLE_2["feature"]["student"][2]
    assert image["sft-kd"][:2] == paper.TABLE_3["fitnets"][2:] != paper.TABLE_3["at"][2:]
    assert feature["student"][0] < feature["sft-kd"][0]
    for setup, rows_ in paper.TABLE_4.items():
        for name, row in rows_.items():
            psnr, _, ssim, _ = paper.TABLE_2[setup][name]
            assert row[2] == psnr
            assert row[3] == ssim or (setup, name) == ("feature", "student")
    brain = paper.TABLE_1["brain", 4]
    assert paper.TEXT_4_3["sft-kd-random"] == brain["fsp"][2:]
    assert paper.TABLE_6["sft-teacher"][2] < paper.TABLE_6["teacher"][2]
    assert paper.TABLE_6["student"][0] != brain["student"][0]
    assert paper.TABLE_7["SFT-KD-Recon"][0] < paper.TABLE_7["DC-CNN"][0]
    assert paper.TABLE_8["D4C5"]["sft-kd"][3] < paper.TABLE_8["D4C5"]["kd"][3]
    assert paper.TABLE_9["cc"][6] < paper.TABLE_9["cc"][2]
    best = max(row[4] for name, row in paper.TABLE_9.items() if row[4] and name != "teacher")
    gaps = [round(paper.TABLE_9["teacher"][place] - best, 2) for place in (0, 4)]
    assert gaps == [0.36, 0.45]


def test_parameters_of_tables_7_and_8():
    counts = {name: models.parameter_count(models.build(name)) for name in paper.TABLE_8}
    assert counts == {name: row["parameters"] for name, row in paper.TABLE_8.items()}
    removed = [round(100 * (1 - count / counts["D5C5"]), 1) for count in counts.values()]
    assert removed == [0, 32.6, 65.2, 97.9]
    for name, row in paper.TABLE_7.items():
        ours = {"DC-CNN": "D5C5", "KD-MRI": "D3C5", "SFT-KD-Recon": "D3C5", "DC-RDN": "DC-RDN"}
        if name in ours:
            assert models.parameter_count(models.build(ours[name])) == row[4]
    small, at = paper.TABLE_7["SFT-KD-Recon"], [paper.TABLE_1["cardiac", r]["at"] for r in (4, 5)]
    assert small[:4] == (*at[0][2:], *at[1][2:])
    assert paper.TABLE_7["KD-MRI"][:4] == (*at[0][:2], *at[1][:2])
