"""Mend the pages of a built site: what the theme leaves wrong for screen readers, or heavy.

    python workflow/mend.py _build/quick/site

Each function takes a page apart in one respect and says in its first line which. The figures with
sliders bring their pictures along as text, so that a notebook works alone; on a page they become
files, and a browser loads those that are looked at.
"""

import argparse
import base64
import hashlib
import json
import os
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

from bs4 import BeautifulSoup
from PIL import Image

HEAVY = 120_000  # bytes of a figure, of 600,000 that a page may have
DATA = re.compile(r"data:image/(\w+);base64,(.*)", re.S)


def names(page: BeautifulSoup) -> None:
    """What is written on a button is its name, too: no other label hides it."""
    for folded in page.select("summary[aria-label]"):
        del folded["aria-label"]
    for script in page.find_all("script", string=re.compile("search-button__default-text")):
        script.string = script.string.replace(' aria-label="Search"', "")  # written by the script


def landmarks(page: BeautifulSoup) -> None:
    """The bar with the book's title and contents is a place that one can jump to."""
    for entry in page.select("div.citation[role], div.citation-list[role]"):
        del entry["role"]  # roles that no reader of pages knows on a div
    for bar in page.select("div.bd-sidebar-primary:not([role])"):
        bar["role"], bar["aria-label"] = "navigation", "The book"


def heads(page: BeautifulSoup) -> None:
    """An empty corner of a table is the head of nothing; a full one says of what."""
    for cell in page.select("th"):
        if not cell.get_text(strip=True) and not cell.find("img"):
            cell.name = "td"
        elif not cell.get("scope"):
            row = cell.find_parent("thead") is not None
            cell["scope"] = "col" if row else "row"


def tables(page: BeautifulSoup) -> None:
    """What pandas has styled looks as what it has not, in both themes."""
    for table in page.select(".cell_output table:not(.dataframe)"):
        table["class"] = [*table.get("class", []), "dataframe"]


def lists(page: BeautifulSoup) -> None:
    """A list without items is none."""
    for empty in page.select("ul, ol"):
        if not empty.find("li"):
            empty.decompose()


def icons(page: BeautifulSoup) -> None:
    """Icons come from fonts that are loaded when used: not also as a script of 1.5 MB."""
    for script in page.select('script[src*="fontawesome"]'):
        script.decompose()
    for link in page.select('link[rel="preload"][href*="fontawesome"]'):
        link.decompose()


def pictures(page: BeautifulSoup, folder: Path, root: str) -> None:
    """Pictures behind sliders become files of ``folder``, each once.

    root  from the page to the folder that ``folder`` lies in: ``../../``
    """
    for figure in page.select(".sftkd-explore"):
        script = figure.find("script", type="application/json")
        frames = [_file(frame, folder, root) for frame in json.loads(script.string)]
        script.string = json.dumps(frames)
        figure.find("img")["src"] = frames[0]


def _file(frame: str, folder: Path, root: str) -> str:
    data = DATA.fullmatch(frame)
    if data is None:  # mended before
        return frame
    payload = base64.b64decode(data[2])
    path = folder / f"{hashlib.sha256(payload).hexdigest()[:20]}.{data[1]}"
    folder.mkdir(exist_ok=True)
    path.write_bytes(payload)
    return f"{root}{folder.name}/{path.name}"


def webp(page: BeautifulSoup, folder: Path) -> None:
    """Figures that have been made lighter are the ones shown.

    folder  of the page, from which its figures are named
    """
    for figure in page.select('img[src$=".png"], a[href$=".png"]'):  # shown, and enlarged
        name = "src" if figure.name == "img" else "href"
        light = (folder / figure[name]).with_suffix(".webp")
        if "_images" in light.parts and light.exists():
            figure[name] = figure[name].removesuffix(".png") + ".webp"


def lighter(drawn: Path) -> None:
    """A figure becomes WebP without loss: the same pixels in half the bytes.

    Rows of noisy pictures hardly shrink that way: above ``HEAVY`` bytes they lose what nobody sees.
    """
    light = drawn.with_suffix(".webp")
    picture = Image.open(drawn)
    picture.save(light, lossless=True)
    if light.stat().st_size > HEAVY:
        picture.save(light, quality=92)
    drawn.unlink()


def mend_page(path: Path, site: Path) -> None:
    """Mend one page of a site whose figures are light already."""
    page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    for part in (names, landmarks, heads, tables, lists, icons):
        part(page)
    root = os.path.relpath(site, path.parent) + "/"
    pictures(page, site / "_images", root.removeprefix("./"))
    webp(page, path.parent)
    path.write_text(str(page), encoding="utf-8")


def mend(site: Path) -> int:
    """Mend all pages of a site, a process a core; returns how many there are."""
    pages = [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]
    with ProcessPoolExecutor() as pool:
        list(pool.map(lighter, sorted(site.glob("_images/*.png"))))
        list(pool.map(mend_page, pages, repeat(site)))
    return len(pages)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=Path)
    print(f"{mend(parser.parse_args().site)} pages mended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
