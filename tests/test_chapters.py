"""The chapters: their form, and their runs at the smoke profile."""

import ast
import json
import re
import statistics
import sys

import pytest
from chapters import CHAPTERS, ROOT, SHARED, name, source

sys.path.insert(0, str(ROOT / "workflow"))

import draw_map
import run_chapter

from sftkd_core.book import comparisons
from sftkd_core.book.plan import ALIASES, PLAN

RUNS = {f"setting.{method}" for method in ("run", "run_all", "reconstruct", "evaluate")}
RUNS |= {"comparisons.compare"}
KEYS = set(re.findall(r"^@\w+\{(\w+),", (ROOT / "book/references.bib").read_text(), re.M))


def code_cells(path):
    generated = {"setup"}
    return [
        cell
        for cell in source(path).cells
        if cell.cell_type == "code" and not generated & set(cell.metadata.get("tags", []))
    ]


def prose(path):
    return "\n".join(c.source for c in source(path).cells if c.cell_type == "markdown")


def named_runs(code):
    """Experiments of the plan that code names where it runs them, directly or in a variable."""
    tree = ast.parse(code)
    held = {
        target.id: strings(node.value)
        for node in ast.walk(tree) if isinstance(node, ast.Assign)
        for target in node.targets if isinstance(target, ast.Name)
    }  # fmt: skip
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in RUNS:
            for argument in node.args:
                found |= strings(argument)
                for inner in ast.walk(argument):
                    found |= held.get(getattr(inner, "id", None), set())
    return {ALIASES.get(word, word) for word in found} & set(PLAN)


def strings(node):
    """Those that are written out, and the names that the questions to a method are about."""
    found = {n.value for n in ast.walk(node) if isinstance(getattr(n, "value", None), str)}
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "comparisons.questions":
            found |= {name for pair in comparisons.questions(call.args[0].value) for name in pair}
    return found


def test_named_runs_are_found():
    code = """
names = ["kd-sp", "zero-filled"]
setting.run("student"); setting.evaluate(some); other.run("kd-ft")
results = setting.run_all(["teacher", *names])
setting.experiment("kd-cc"); table = setting.evaluate("kd-at")
pairs = [*comparisons.questions("cc"), ("kd-cc-released", "student")]
versus = comparisons.compare(setting, pairs)
"""
    asked = {"kd-cc", "sft-kd-cc", "kd-cc-released", "sft-finetuned", "student-long"}
    assert named_runs(code) == {"student", "teacher", "kd-sp", "kd"} | asked


def test_the_map_is_drawn_from_the_table_of_contents():
    parts = draw_map.contents()
    assert [name(path) for path in CHAPTERS] == [
        chapter for part in parts.values() for chapter in part
    ]
    redraw = "python workflow/draw_map.py"
    assert draw_map.DRAWN.read_text() == draw_map.draw(parts), redraw
    assert f":alt: {draw_map.describe(parts)}\n" in draw_map.INTRO.read_text(), redraw


PAPER = {  # each table and figure of results in the paper, and the chapter that has ours beside it
    "Table 1": "table_1", "Table 2": "feature_domain", "Table 3": "table_1",
    "Table 4": "feature_domain", "Table 5": "initialisation", "Table 6": "heterogeneous_teacher",
    "Table 7": "other_networks", "Table 8": "compression", "Table 9": "vdsr",
    "Figure 3": "table_1", "Figure 4": "table_1", "Figure 5": "feature_domain",
    "Figure 6": "feature_domain", "Figure 7": "pretraining", "Figure 8": "table_1",
}  # fmt: skip


@pytest.mark.parametrize("what", PAPER)
def test_each_table_and_figure_of_the_paper_has_its_section(what):
    (path,) = [path for path in CHAPTERS if name(path) == PAPER[what]]
    kind, number = what.split()
    named = re.findall(rf"{kind}s? (\d(?:\w?(?:, | and |–)\d)*)", prose(path))
    assert number in set("".join(named)), named
    if kind == "Table":
        code = "\n".join(cell.source for cell in code_cells(path))
        assert f"TABLE_{number}" in code or "paper.reported(" in code
    intro = (ROOT / "book/intro.md").read_text()
    assert re.search(rf"\| {what} \|.*{path.stem}\.ipynb", intro)


IN_THE_LIBRARY = {  # what chapters do not write out, and what says it
    r"pick_device\(": "setting.torch_device",
    r'"scanned"': "setting.kind",
    r"0\.06, 0\.36": "setting.pictured",
    r"only shows that": "setting.caveat",
    r"Setting\(profile, data, acceleration, (?!seed\b)": "setting.grid",
    r"losses\.Examples\(": "setting.examples",
}


@pytest.mark.parametrize("path", CHAPTERS, ids=name)
def test_what_all_chapters_need_is_written_once(path):
    code = "\n".join(cell.source for cell in code_cells(path))
    assert not {told for words, told in IN_THE_LIBRARY.items() if re.search(words, code)}


@pytest.mark.parametrize("path", CHAPTERS, ids=name)
def test_imports_are_one_block_with_one_line_a_module(path):
    imports = [
        node for cell in code_cells(path) for node in ast.parse(cell.source).body
        if isinstance(node, ast.ImportFrom) and node.module.startswith("sftkd_core")
    ]  # fmt: skip
    modules = [(node.module, alias.asname is None) for node in imports for alias in node.names[:1]]
    assert len(set(modules)) == len(modules), modules


@pytest.mark.parametrize("path", CHAPTERS, ids=name)
class TestForm:
    def test_parameters_are_the_shared_ones_first(self, path):
        (cell,) = [c for c in code_cells(path) if "parameters" in c.metadata.get("tags", [])]
        assigned = {
            node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(cell.source).body
        }
        assert tuple(assigned)[:5] == SHARED
        data = (
            source(path).metadata["sftkd"].get("data", "brain")
        )  # where its own table is of hearts
        defaults = {"profile": "quick", "data": data, "acceleration": 4, "seed": 0}
        assert {key: assigned[key] for key in SHARED} == {**defaults, "device": "auto"}

    def test_one_number_may_stand_for_a_list_of_numbers(self, path):
        """papermill turns ``-p seeds 3`` into a number."""
        (cell,) = [c for c in code_cells(path) if "parameters" in c.metadata.get("tags", [])]
        code = "\n".join(c.source for c in code_cells(path))
        for node in ast.parse(cell.source).body:
            name, value = node.targets[0].id, ast.literal_eval(node.value)
            if name in ("seeds", "accelerations", "shares"):
                assert isinstance(value, str)
            if isinstance(value, str) and re.fullmatch(r"[\d. ]*", value):
                assert re.search(rf"\bnumbers\({name}\b", code)
                assert not re.search(rf"\b{name}\.split", code)

    def test_a_reader_finds_what_every_chapter_has(self, path):
        text = prose(path)
        first = source(path).cells[0].source
        assert first.startswith("# ")
        for heading in ("Objectives", "Prerequisites", "Time"):
            assert f"**{heading}" in first, heading
        assert "What to read next" in text
        assert text.count("{exercise-start}") == text.count("{exercise-end}") >= 1
        assert text.count("{solution-start}") == text.count("{solution-end}") >= 1
        assert ":class: dropdown" in text

    def test_cells_can_be_read_at_a_sitting(self, path):
        cells = code_cells(path)
        assert 14 <= len(cells) <= 22
        open_ = [c for c in cells if "hide-input" not in c.metadata.get("tags", [])]
        lengths = [len(cell.source.splitlines()) for cell in open_]
        assert max(lengths) <= 31
        assert statistics.median(lengths) <= 19, lengths

    def test_code_fits_on_a_page_of_1280_pixels(self, path):
        """Beside both bars of the site 84 characters stay; longer lines would scroll."""
        cells = [cell for cell in source(path).cells if cell.cell_type == "code"]
        lines = [line for cell in cells for line in cell.source.splitlines()]
        assert not [line for line in lines if len(line) > 84]

    def test_solutions_are_tested(self, path):
        cells = source(path).cells
        starts = [i for i, cell in enumerate(cells) if "{solution-start}" in cell.source]
        for start in starts:
            end = next(i for i in range(start, len(cells)) if "{solution-end}" in cells[i].source)
            code = "\n".join(c.source for c in cells[start:end] if c.cell_type == "code")
            assert "assert" in code

    def test_figures_have_alternative_text(self, path):
        for cell in code_cells(path):
            draws = re.search(r"plt\.show\(\)|plots\.(gallery|curves|intervals)\(", cell.source)
            if draws and "def draw" not in cell.source and "explore(" not in cell.source:
                alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
                assert len(alt) > 30, cell.source

    def test_citations_and_links_lead_somewhere(self, path):
        text = prose(path)
        for keys in re.findall(r"\{cite:\w+\}`([^`]+)`", text):
            assert {key.strip() for key in keys.split(",")} <= KEYS
        for link in re.findall(r"\]\(([^)#]+\.(?:ipynb|md))\)", text):
            assert (path.parent / link).exists(), link

    def test_metadata_name_the_experiments_that_are_run(self, path):
        listed = source(path).metadata["sftkd"]["experiments"]
        assert set(listed) <= set(PLAN)
        assert len(set(listed)) == len(listed)
        code = "\n".join(cell.source for cell in code_cells(path))
        assert named_runs(code) <= set(listed)


@pytest.mark.parametrize("path", CHAPTERS, ids=name)
def test_it_ran_at_smoke_with_this_source(path):
    """`make test` runs the chapters first; what it left is of this source, complete, in order."""
    target = ROOT / "_build/smoke/executed" / path.relative_to(ROOT)
    if not target.exists():
        pytest.fail(f"{target} is missing: run make test, which runs the chapters first")
    executed = run_chapter.read(target)
    run_chapter.check_order(executed, path)
    ran = [c.source for c in executed.cells if "injected" not in str(c.metadata.get("tags"))]
    assert ran == [cell.source for cell in source(path).cells]
    record = json.loads(target.with_suffix(".json").read_text())
    assert record["parameters"]["profile"] == "smoke"
    errors = [
        output.text
        for cell in executed.cells if cell.cell_type == "code"
        for output in cell.outputs
        if output.get("name") == "stderr" and "Warning" in output.text
    ]  # fmt: skip
    assert not errors
    shown = [
        output["data"]["text/plain"]
        for cell in executed.cells if cell.cell_type == "code"
        for output in cell.outputs
        if "text/plain" in output.get("data", {})
    ]  # fmt: skip
    assert not [text[:80] for text in shown if "Result(experiment=" in text]
