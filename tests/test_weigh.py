"""What a visit costs, counted by hand."""

import gzip
import sys

import pytest
from chapters import ROOT

sys.path.insert(0, str(ROOT / "workflow"))

import weigh

LOADED = {"front.html": {"theme.css", "icons.woff2"}, "far.html": {"theme.css", "picture.png"}}


@pytest.fixture
def site(tmp_path):
    weigh.sent.cache_clear()
    sizes = {"front.html": 3_000, "far.html": 5_000, "theme.css": 70_000, "icons.woff2": 200}
    for name, size in (sizes | {"picture.png": 400_000}).items():
        (tmp_path / name).write_bytes(b"a" * size)
    return tmp_path


def test_text_is_compressed_and_pictures_are_not(site):
    assert weigh.sent(site / "theme.css") == len(gzip.compress(b"a" * 70_000, 6)) < 200
    assert weigh.sent(site / "picture.png") == 400_000


def test_after_the_front_page_only_the_rest_is_loaded(site):
    front, far, theme = (weigh.sent(site / n) for n in ("front.html", "far.html", "theme.css"))
    assert weigh.visits(site, LOADED) == {
        "front.html": (front + theme + 200, front),
        "far.html": (far + theme + 400_000, far + 400_000),
    }


@pytest.mark.parametrize(
    ("size", "said"),
    [(400_000, []), (700_000, ["later visit"]), (1_600_000, ["first visit", "later visit"])],
)
def test_a_page_above_a_limit_is_named(site, size, said):
    (site / "picture.png").write_bytes(b"a" * size)
    weigh.sent.cache_clear()
    problems = weigh.too_heavy(site, LOADED)
    assert len(problems) == len(said)
    for problem, words in zip(problems, said, strict=True):
        assert problem.startswith("far.html: ")
        assert words in problem


def test_a_site_above_its_limit_is_named(site, monkeypatch):
    monkeypatch.setattr(weigh, "SITE", 100_000)
    assert weigh.too_heavy(site, {}) == ["the site has 0.5 of 0 MB"]


def test_the_heaviest_page_is_told_first(site):
    assert "far.html: 0.40 MB on a first visit, 0.40 MB after" in weigh.report(site, LOADED, 1)
    assert "front.html" not in weigh.report(site, LOADED, 1)
