"""The book on paper is whole: a table of contents, every page, nothing folded."""

import shutil
import sys

import pytest
from chapters import ROOT
from pypdf import PdfReader

sys.path.insert(0, str(ROOT / "workflow"))

import check_site
import look
import pdf

PAGE = """<!doctype html><html><title>{0}</title><link rel="icon" href="data:,"><article>
<h1>{0}<a href="#">#</a></h1><details><summary>more</summary><p>folded {0}</p></details>
<pre>{1} end-of-line-{0}</pre></article></html>"""


def test_the_pdf_has_the_pages_of_the_site():
    pages = [page for _, pages in pdf.parts() for page in pages]
    assert pages == check_site.pages()


@pytest.mark.skipif(not any(map(shutil.which, look.BROWSERS)), reason="Chromium is not installed")
def test_every_page_is_there_whole_and_in_the_contents(tmp_path, monkeypatch):
    monkeypatch.setattr(pdf, "parts", lambda: [("", ["a.html"]), ("Basics", ["b.html", "c.html"])])
    for name in "abc":
        (tmp_path / f"{name}.html").write_text(PAGE.format(name.upper(), "word " * 60))
    target = tmp_path / "book.pdf"
    assert pdf.write(tmp_path, target) == 4
    read = PdfReader(target)
    texts = [page.extract_text() for page in read.pages]
    assert all(word in texts[0] for word in ("Contents", "Basics", "A", "B", "C", "4"))
    for name, text in zip("ABC", texts[1:], strict=True):
        assert f"folded {name}" in text
        assert f"end-of-line-{name}" in text
    contents, front, part, chapters = read.outline
    assert [contents.title, front.title, part.title] == ["Contents", "A", "Basics"]
    assert [(c.title, read.get_destination_page_number(c)) for c in chapters] == [
        ("B", 2),
        ("C", 3),
    ]
