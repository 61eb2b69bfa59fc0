"""The check of the site finds what it looks for."""

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

import check_site  # noqa: E402
import look  # noqa: E402
import setup_cell  # noqa: E402

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, look.BROWSERS)), reason="Chromium is not installed"
)
PAGE = """<!doctype html><html lang="en"><title>{title}</title><link rel="icon" href="data:,">
<style>html[data-theme=dark] {{ background: #000; color: #fff }}
pre, table {{ overflow-x: auto; display: block }} a {{ color: inherit }}
::-webkit-scrollbar {{ height: 11px }}</style>
<main><h1>{title}</h1><article>{body}</article></main></html>"""
FLAT = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw=="


@pytest.fixture
def site(tmp_path, monkeypatch):
    def build(**bodies):
        monkeypatch.setattr(check_site, "pages", lambda: [f"{name}.html" for name in bodies])
        for name, body in bodies.items():
            (tmp_path / f"{name}.html").write_text(PAGE.format(title=name, body=body))
        return check_site.check(tmp_path)

    return build


def test_a_sound_site_has_no_problems(site):
    wide = f'<pre tabindex="0">{"wide " * 500}</pre>'
    table = f"<table tabindex=0><tr><th scope=col>a</th></tr><tr><td>{'w' * 900}</td></tr></table>"
    sound = f'<p id="there">5 dB for $ 3</p>{wide}{table}'
    assert site(a='<a href="b.html#there">b</a>', b=sound) == []


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
        "pixels wider than its column",
    ),
    (f'<div class="cell_input"><pre>{"w" * 900}</pre></div>', "code is"),
    (f'<table style="overflow:clip"><tr><td>{"w" * 900}</td></tr></table>', "a table is"),
    ('<p><button aria-label="Toggle">Show the code</button></p>', "label-content-name-mismatch"),
    ("<table><tr><th></th><th>dB</th></tr><tr><td>1</td><td>2</td></tr></table>", "empty-table"),
    ('<p style="color:#ccc;background:#fff">pale</p>', "color-contrast"),
    ('<p style="color:#222">pale at night</p>', "pixels, dark"),
    ("<script>document.title = '9'.repeat(0)</script>", "document-title"),
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


def test_frames_of_sliders_are_files_that_exist(site):
    frames = '["data:,", "gone.webp"]'
    figure = f'<script type="application/json">{frames}</script>'
    (problem,) = site(a=f'<div class="sftkd-explore">{figure}</div>')
    assert problem == "a.html: link to gone.webp, which is not there"


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


def test_notebooks_for_the_buttons_lie_beside_the_pages(tmp_path):
    pages = check_site.pages()
    assert len(check_site.missing_notebooks(tmp_path, pages)) == len(setup_cell.chapters())
    masks = tmp_path / "book" / "foundations" / "masks.ipynb"
    masks.parent.mkdir(parents=True)
    masks.touch()
    assert not [line for line in check_site.missing_notebooks(tmp_path, pages) if "masks" in line]


def test_the_pages_are_those_of_the_table_of_contents():
    assert "book/intro.html" in check_site.pages()
    pages = check_site.pages()
    assert len(pages) == len(set(pages)) > len(setup_cell.chapters())
