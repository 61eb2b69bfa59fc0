"""The check of the site finds what it looks for."""

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

import check_site  # noqa: E402
import setup_cell  # noqa: E402

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, check_site.BROWSERS)), reason="Chromium is not installed"
)
FLAT = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw=="


@pytest.fixture
def site(tmp_path, monkeypatch):
    def build(**bodies):
        monkeypatch.setattr(check_site, "pages", lambda: [f"{name}.html" for name in bodies])
        for name, body in bodies.items():
            text = f"<!doctype html><link rel=icon href='data:,'><article>{body}</article>"
            (tmp_path / f"{name}.html").write_text(text)
        return check_site.check(tmp_path)

    return build


def test_a_sound_site_has_no_problems(site):
    wide = f'<pre style="overflow-x:auto">{"wide " * 500}</pre>'
    assert site(a='<a href="b.html#there">b</a>', b=f'<p id="there">5 dB for $ 3</p>{wide}') == []


BAD = [
    ("<p>```{figure} x</p>", "raw text"),
    ("<p>{cite:t}`nobody`</p>", "raw text"),
    ("<p>a weight of $w = 0.01$</p>", "raw text"),
    ("<p>this is **bold** text</p>", "raw text"),
    (f'<img alt="white everywhere" src="{FLAT}">', "white everywhere (blank)"),
    ('<img alt="gone" src="gone.png">', "gone (not loaded)"),
    (f'<img src="{FLAT}">', "without alt text"),
    ('<a href="gone.html">x</a>', "gone.html, which is not there"),
    ('<a href="p8.html#gone">x</a>', "#gone"),
    ("<script>throw new Error('broken script')</script>", "broken script"),
    ('<script src="https://cdn.example.org/x.js"></script>', "cdn.example.org"),
    ('<div style="width:2000px">wide</div>', "too wide"),
    (f'<pre style="overflow:hidden">{"wide " * 500}</pre>', "without a scroll bar"),
    (
        '<mjx-container display="true" style="display:block;overflow:auto">'
        '<div style="width:2000px">x</div></mjx-container>',
        "a formula is wider than its column",
    ),
    (
        '<div class="sftkd-explore"><img alt="x" src="data:,"><input type="range" max="3" '
        'value="0" aria-label="dead slider"></div>',
        "dead slider",
    ),
]  # fmt: skip


def test_each_problem_is_found_on_its_page(site):
    problems = site(**{f"p{number}": body for number, (body, _) in enumerate(BAD)})
    for number, (_, problem) in enumerate(BAD):
        here = [found for found in problems if found.startswith(f"p{number}.html")]
        assert any(problem in found for found in here), (problem, here)


def test_a_missing_page_is_found(site, monkeypatch, tmp_path):
    monkeypatch.setattr(check_site, "pages", lambda: ["nowhere.html"])
    assert check_site.check(tmp_path) == ["nowhere.html is missing"]


def test_launch_buttons_are_there_exactly_where_a_repository_is(monkeypatch):
    page, link = "book/foundations/masks.html", "https://colab.example.org/github/a/b/blob/c/"
    right = {page: {"links": [f"{link}book/foundations/masks.ipynb"]}}
    wrong = {page: {"links": [f"{link}masks.ipynb"]}}
    monkeypatch.setenv("SFTKD_REPOSITORY_URL", "https://example.org/a/b")
    assert check_site.launch_links(right) == []
    assert "no button" in check_site.launch_links(wrong)[0]
    monkeypatch.setenv("SFTKD_REPOSITORY_URL", "")
    assert "no repository" in check_site.launch_links(right)[0]
    assert check_site.launch_links({page: {"links": []}}) == []


def test_the_pages_are_those_of_the_table_of_contents():
    assert "book/intro.html" in check_site.pages()
    pages = check_site.pages()
    assert len(pages) == len(set(pages)) > len(setup_cell.chapters())
