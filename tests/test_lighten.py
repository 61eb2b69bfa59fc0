"""A built site loses what no page loads, and nothing else."""

import sys

import pytest
from chapters import ROOT

sys.path.insert(0, str(ROOT / "workflow"))

import lighten

KEPT = (
    "tex-chtml.js",
    "output/chtml/fonts/woff-v2/MathJax_Main-Regular.woff",
    "input/tex/extensions/mhchem.js",
    "a11y/sre.js",
    "ui/menu.js",
    "sre/mathmaps/en.json",
)
DROPPED = (
    "tex-svg-full.js",
    "tex-chtml-full.js",
    "output/svg/fonts/tex.js",
    "sre/mathmaps/fr.json",
)


@pytest.fixture
def site(tmp_path):
    for name in (*KEPT, *DROPPED):
        put(tmp_path / "_static" / "mathjax" / name)
    put(tmp_path / "book" / "masks.ipynb", b"light")
    put(tmp_path / "book" / "masks.html", bytes(2_000_000))
    put(tmp_path / "_sources" / "book" / "masks.ipynb", bytes(1_000_000))
    put(tmp_path / "_sources" / "book" / "intro.md", b"as it was")
    return tmp_path


def put(path, payload=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(payload)


def test_of_mathjax_only_what_pages_load_stays(site):
    lighten.lighten(site)
    mathjax = site / "_static" / "mathjax"
    left = {path.relative_to(mathjax).as_posix() for path in mathjax.rglob("*") if path.is_file()}
    assert left == set(KEPT)


def test_sources_to_download_are_the_light_notebooks(site):
    lighten.lighten(site)
    assert (site / "_sources" / "book" / "masks.ipynb").read_bytes() == b"light"
    assert (site / "_sources" / "book" / "intro.md").read_bytes() == b"as it was"


def test_weights_are_told(site):
    lighten.lighten(site)
    told = lighten.report(site, ["book/masks.html"])
    assert told == "the site has 2.0 MB; the heaviest page is masks.html with 2.0 MB"
