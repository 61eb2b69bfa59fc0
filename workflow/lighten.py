"""Take out of a built site what no page of it loads, and say what it weighs.

    python workflow/lighten.py _build/quick/site

MathJax comes with every component it has; pages load ``tex-chtml.js``, its fonts and, from the menu
of a formula, what reads it aloud in English. The sources behind the download buttons become the
notebooks made for Colab, which are the same chapters without outputs.
"""

import argparse
import shutil
import sys
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

MATHJAX = Path("_static") / "mathjax"
USED = ("tex-chtml.js", "output/chtml/fonts/*", "input/tex/extensions/*", "a11y/*", "ui/*") + tuple(
    f"sre/mathmaps/{name}.json" for name in ("base", "en", "nemeth")
)


def lighten(site: Path) -> None:
    """Remove unused parts of MathJax, and put light notebooks in place of heavy sources."""
    for path in sorted((site / MATHJAX).rglob("*")):
        name = path.relative_to(site / MATHJAX).as_posix()
        if path.is_file() and not any(fnmatch(name, used) for used in USED):
            path.unlink()
    for heavy in (site / "_sources").rglob("*.ipynb"):
        light = site / heavy.relative_to(site / "_sources")
        if light.exists():
            shutil.copyfile(light, heavy)


def weight(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def report(site: Path, pages: Iterable[str]) -> str:
    """What the site weighs, and its heaviest page, figures in it included."""
    heaviest = max((site / page for page in pages), key=lambda page: page.stat().st_size)
    return (
        f"the site has {weight(site) / 1e6:.1f} MB; the heaviest page is {heaviest.name} with "
        f"{heaviest.stat().st_size / 1e6:.1f} MB"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=Path)
    site = parser.parse_args().site
    lighten(site)
    print(report(site, (str(path.relative_to(site)) for path in site.rglob("*.html"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
