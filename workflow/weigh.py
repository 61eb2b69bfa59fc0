"""What a visit to a page costs: bytes as a host sends them, its text compressed.

``check_site.py`` hands over which files each page loaded. The first visit pays for all of them;
whoever has been on the front page pays for the rest.
"""

import gzip
from functools import cache
from pathlib import Path

import lighten

TEXT = (".html", ".css", ".js", ".json", ".svg")
FIRST, AFTER, SITE = 1_500_000, 600_000, 40_000_000  # bytes


@cache
def sent(path: Path) -> int:
    """Bytes of a file on its way: hosts of pages compress text, pictures and fonts are already."""
    if path.suffix in TEXT:
        return len(gzip.compress(path.read_bytes(), 6))
    return path.stat().st_size


def visits(site: Path, loaded: dict[str, set[str]]) -> dict[str, tuple[int, int]]:
    """Bytes of a first visit to each page, and of one after the front page.

    loaded  for each page, the files of the site that it loaded; the first page is the front page
    """
    known = next(iter(loaded.values()), set())
    sums = {}
    for page, files in loaded.items():
        all_of_it = {page} | {name for name in files if (site / name).is_file()}
        fresh = {page} | (all_of_it - known)
        sums[page] = (
            sum(sent(site / name) for name in all_of_it),
            sum(sent(site / name) for name in fresh),
        )
    return sums


def too_heavy(site: Path, loaded: dict[str, set[str]]) -> list[str]:
    """Pages, and a site, above their limits."""
    problems = []
    for page, (first, after) in visits(site, loaded).items():
        if first > FIRST:
            problems.append(f"{page}: a first visit loads {first / 1e6:.2f} of {FIRST / 1e6} MB")
        if after > AFTER:
            problems.append(f"{page}: a later visit loads {after / 1e6:.2f} of {AFTER / 1e6} MB")
    whole = lighten.weight(site)
    if whole > SITE:
        problems.append(f"the site has {whole / 1e6:.1f} of {SITE / 1e6:.0f} MB")
    return problems


def report(site: Path, loaded: dict[str, set[str]], how_many: int = 3) -> str:
    """The site's weight, and its heaviest pages."""
    heaviest = sorted(visits(site, loaded).items(), key=lambda item: -item[1][0])[:how_many]
    lines = [f"the site has {lighten.weight(site) / 1e6:.1f} MB; its heaviest pages:"]
    for page, (first, after) in heaviest:
        lines.append(f"  {page}: {first / 1e6:.2f} MB on a first visit, {after / 1e6:.2f} MB after")
    return "\n".join(lines)
