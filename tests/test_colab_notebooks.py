"""The notebooks that the launch buttons open: plain Markdown, the same code, one edition."""

import ast
import re
import sys
from functools import cache
from pathlib import PurePosixPath

import nbformat
import pytest
from chapters import CHAPTERS, ROOT, name, source

sys.path.insert(0, str(ROOT / "workflow"))

import colab
from citations import Citations
from plain_markdown import plain

URL, COMMIT, SITE = "https://github.com/someone/book", "1234abc", "https://someone.github.io/book/"
BIB = ROOT / "book" / "references.bib"
MYST = re.compile(r"^(```+|:::+)\{|\{[a-z:]+\}`|^\(\S+\)=$|^\+\+\+|^:(label|class): ", re.M)


@cache
def converted(path, site=SITE):
    place = PurePosixPath(path.relative_to(ROOT).as_posix())
    return colab.convert(source(path), place, URL, COMMIT, site)


def markdown(notebook):
    return "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")


@pytest.mark.parametrize("path", CHAPTERS, ids=name)
class TestChapters:
    def test_nothing_of_myst_is_left(self, path):
        assert MYST.search(markdown(source(path)))
        notebook = converted(path)
        nbformat.validate(notebook)
        assert not MYST.search(markdown(notebook))

    def test_the_code_is_what_it_was_but_for_the_setup_cell(self, path):
        before = [c for c in source(path).cells if c.cell_type == "code"]
        after = [c for c in converted(path).cells if c.cell_type == "code"]
        for old, new in zip(before, after, strict=True):
            tags = old.metadata.get("tags", [])
            assert new.metadata.get("tags", []) == tags
            if "setup" in tags:
                assert f'"{URL}", "{COMMIT}"' in new.source
            else:
                assert ast.dump(ast.parse(new.source)) == ast.dump(ast.parse(old.source))
            assert new.outputs == []

    def test_solutions_are_folded(self, path):
        cells = source(path).cells
        (start,) = [i for i, c in enumerate(cells) if "{solution-start}" in c.source]
        (end,) = [i for i, c in enumerate(cells) if "{solution-end}" in c.source]
        solution = [cell.source for cell in cells[start:end] if cell.cell_type == "code"]
        notebook = converted(path)
        folded = [c.source for c in notebook.cells if c.metadata.get("cellView") == "form"]
        assert folded == [f"{colab.FOLDED}\n{code}" for code in solution]
        assert markdown(notebook).count("<details>") == markdown(notebook).count("</details>") >= 1
        assert "> **Exercise**" in markdown(notebook)

    def test_links_lead_to_the_pages_or_are_words(self, path):
        local = r"\]\((?!https?:|doi:)[^)$]*\.(ipynb|md)[^)]*\)"
        assert not re.search(local, markdown(converted(path)))
        alone = markdown(converted(path, site=""))
        assert not re.search(local, alone)
        assert SITE not in alone


def test_cells_have_names_of_their_own_in_the_whole_book():
    ids = [cell.id for path in CHAPTERS for cell in converted(path).cells]
    assert len(set(ids)) == len(ids)


def test_citations_are_author_and_year_with_a_link():
    citations = Citations(BIB)
    text = (
        "As {cite:t}`gayathri2023sftkdrecon` say {cite:p}`park2021student, hinton2015distilling`."
    )
    new, _ = plain(text, citations, lambda to: to)
    assert new == (
        "As [Gayathri et al. (2023)](https://arxiv.org/abs/2304.05057) say (Park et al., 2021; "
        "[Hinton et al., 2015](https://arxiv.org/abs/1503.02531))."
    )
    assert citations.cited[0] == "gayathri2023sftkdrecon"
    assert len(citations.listed().splitlines()) == 3


def test_links_and_code_in_words():
    lead = {"../a/b.ipynb": "https://x.org/b.html", "#here": None}.get
    text = "A [page *of* [mine]](../a/b.ipynb) and [this](#here), not `{cite:t}`x`` nor $a{b}`c`$."
    new, _ = plain(text, Citations(BIB), lead)
    assert new.startswith("A [page *of* [mine]](https://x.org/b.html) and this, not")


def test_admonitions_are_quotes_with_a_title():
    text = "Before.\n\n```{note}\nOne {cite:t}`park2021student`.\n\nTwo.\n```\n\nAfter."
    new, _ = plain(text, Citations(BIB), lambda to: to)
    assert "\n> **Note**\n>\n> One Park et al. (2021).\n>\n> Two.\n" in new
    assert new.startswith("Before.\n")
    assert new.endswith("\nAfter.")
    assert "> **Take care**" in plain(":::{admonition} Take care\nso\n:::", Citations(BIB), str)[0]


@pytest.mark.parametrize("text", ["```{figure} a.png\n```", "see {numref}`table`"])
def test_what_has_no_plain_form_is_named(text):
    with pytest.raises(ValueError, match=r"\{figure\}|\{numref\}"):
        plain(text, Citations(BIB), str)


def test_the_site_of_a_repository(monkeypatch):
    monkeypatch.delenv("SFTKD_SITE_URL", raising=False)
    assert colab.site_url(URL) == SITE
    assert colab.site_url("") == colab.site_url("https://git.example.org/a/b") == ""
    monkeypatch.setenv("SFTKD_SITE_URL", "https://book.example.org")
    assert colab.site_url(URL) == "https://book.example.org/"
    link = colab.link("../audit/simulation.ipynb#now", PurePosixPath("book/a/b.ipynb"), SITE)
    assert link == SITE + "book/audit/simulation.html#now"


def test_all_chapters_are_written(tmp_path, monkeypatch):
    monkeypatch.setenv("SFTKD_REPOSITORY_URL", URL)
    colab.write(tmp_path)
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.ipynb")}
    assert written == {path.relative_to(ROOT) for path in CHAPTERS}
