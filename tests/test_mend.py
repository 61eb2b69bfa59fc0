"""Built pages are mended in what they lack, and in nothing else."""

import base64
import json
import sys

import numpy as np
import pytest
from bs4 import BeautifulSoup
from chapters import ROOT
from PIL import Image

sys.path.insert(0, str(ROOT / "workflow"))

import mend

FRAMES = [b"first", b"second", b"first"]
PAGE = """<html><body><div class="bd-sidebar-primary"><ul></ul><ol><li>one</li></ol></div>
<script src="_static/fontawesome/js/all.min.js"></script><script src="_static/theme.js"></script>
<link href="_static/fontawesome/a.woff2" rel="preload"/>
<script>document.write(`<button aria-label="Search">
<span class="search-button__default-text">Search</span></button>`);</script>
<details><summary aria-label="Toggle hidden content">Show the code</summary><pre>a &lt; b
    c</pre></details>
<div class="cell_output"><table id="T_1"></table><table class="dataframe"></table></div>
<table><thead><tr><th></th><th>dB</th></tr></thead><tbody><tr><th>cc</th><td>1</td></tr></tbody>
</table><div class="sftkd-explore"><img alt="x" src="{first}"/>
<script type="application/json">{frames}</script></div>
<div class="citation-list" role="list"><div class="citation" role="doc-biblioentry">A</div></div>
<figure><a href="../_images/drawn.png"><img alt="y" src="../_images/drawn.png"/></a></figure>
</body></html>"""
DRAWN = np.random.default_rng(0).integers(0, 256, (8, 9, 4), np.uint8)


@pytest.fixture
def page(tmp_path):
    urls = [f"data:image/webp;base64,{base64.b64encode(f).decode()}" for f in FRAMES]
    path = tmp_path / "book" / "masks.html"
    path.parent.mkdir()
    (tmp_path / "_images").mkdir()
    Image.fromarray(DRAWN).save(tmp_path / "_images" / "drawn.png")
    path.write_text(PAGE.replace("{first}", urls[0]).replace("{frames}", json.dumps(urls)))
    return path


@pytest.fixture
def mended(page):
    assert mend.mend(page.parents[1]) == 1
    return BeautifulSoup(page.read_text(), "html.parser")


def test_what_is_written_is_the_name(mended):
    assert not mended.select("summary[aria-label]")
    assert 'aria-label="Search"' not in str(mended)
    assert "search-button__default-text" in str(mended)


def test_heads_of_tables_are_not_empty_and_say_of_what(mended):
    assert [cell.text for cell in mended.select("thead td")] == [""]
    assert [(c.text, c["scope"]) for c in mended.select("th")] == [("dB", "col"), ("cc", "row")]


def test_lists_have_items_and_the_bar_is_a_landmark(mended):
    assert [found.name for found in mended.select("ul, ol")] == ["ol"]
    assert mended.select_one(".bd-sidebar-primary")["role"] == "navigation"


def test_icons_are_fonts_only_and_other_scripts_stay(mended):
    assert [s["src"] for s in mended.select("script[src]")] == ["_static/theme.js"]
    assert not mended.select("link")


def test_pictures_behind_sliders_become_files_once_each(mended, page):
    frames = json.loads(mended.select_one('.sftkd-explore script[type="application/json"]').string)
    payloads = [(page.parent / frame).read_bytes() for frame in frames]
    assert payloads == FRAMES
    assert len(set(frames)) == 2
    assert mended.select_one(".sftkd-explore img")["src"] == frames[0]


def test_tables_of_pandas_have_one_style(mended):
    styles = [table.get("class") for table in mended.select("table")]
    assert styles == [["dataframe"], ["dataframe"], None]


def test_figures_keep_every_pixel_that_shows(mended, page):
    (figure,) = mended.select("figure img")
    assert figure["src"] == figure.parent["href"] == "../_images/drawn.webp"
    shown = np.asarray(Image.open(page.parent / figure["src"]))
    assert (shown[..., 3] == DRAWN[..., 3]).all()
    visible = DRAWN[..., 3] > 0
    assert (shown[visible] == DRAWN[visible]).all()
    assert not list(page.parents[1].rglob("*.png"))


def test_entries_of_the_references_have_no_role_of_their_own(mended):
    assert not mended.select("[role=doc-biblioentry], [role=list]")


def test_code_stays_letter_by_letter_and_twice_is_once(mended, page):
    assert mended.select_one("pre").text == "a < b\n    c"
    before = page.read_text()
    mend.mend(page.parents[1])
    assert page.read_text().split() == before.split()


def test_a_heavy_figure_gets_lighter_and_looks_the_same(tmp_path):
    """Noise in grey, under a transparent margin: what no lossless code can shrink."""
    grey = np.random.default_rng(0).normal(128, 25, (500, 500)).clip(0, 255).astype(np.uint8)
    noisy = np.stack([*3 * [grey], np.full_like(grey, 255)], axis=-1)
    noisy[:20, :, 3] = 0
    folder = tmp_path / "_images"
    folder.mkdir()
    Image.fromarray(noisy).save(folder / "noisy.png")
    Image.fromarray(noisy).save(tmp_path / "lossless.webp", lossless=True)
    page = BeautifulSoup('<img src="_images/noisy.png">', "html.parser")
    mend.lighter(folder / "noisy.png")
    mend.webp(page, tmp_path)
    assert page.img["src"] == "_images/noisy.webp"
    light = folder / "noisy.webp"
    lossless = (tmp_path / "lossless.webp").stat().st_size
    assert lossless > max(mend.HEAVY, 1.5 * light.stat().st_size)
    shown = np.asarray(Image.open(light))
    assert (shown[..., 3] == noisy[..., 3]).all()
    moved = shown[20:, :, :3].astype(float) - noisy[20:, :, :3]
    assert abs(moved).mean() < 4  # of 255
