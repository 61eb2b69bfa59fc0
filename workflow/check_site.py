"""Open every page of the built book in headless Chromium and look for what must not be there.

    python workflow/check_site.py _build/smoke/site

With every outside host blocked: an error in the console, a directive left as text, a figure that
is blank or did not load, a slider that changes nothing, an internal link that leads nowhere. At
1280 and at 400 pixels, light and dark: code, tables and formulas that are cut off, and what
axe-core finds against those who listen to a page or see little. And pages that weigh too much.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlparse

import look
import setup_cell
import weigh
import yaml
from loopback import serve

ROOT = Path(__file__).resolve().parents[1]


def pages() -> list[str]:
    """The pages of ``_toc.yml``, as paths of the site."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]
    return [f"{file}.html" for file in files]


def dead_links(site: Path, base: str, seen: dict[str, dict]) -> list[str]:
    """Internal links whose file, or whose place on a page of the book, is not there."""
    problems = []
    for page, found in seen.items():
        for link in found["links"]:
            address, fragment = urldefrag(urljoin(base + page, link))
            if not address.startswith(base):
                continue
            path = unquote(urlparse(address).path).lstrip("/") or "index.html"
            if not (site / path).exists():
                problems.append(f"{page}: link to {path}, which is not there")
            elif fragment and path in seen and unquote(fragment) not in seen[path]["ids"]:
                problems.append(f"{page}: link to {path}#{fragment}, which is not on that page")
    return problems


def missing_notebooks(site: Path, seen: Iterable[str]) -> list[str]:
    """Pages of chapters without the notebook beside them that their launch button opens."""
    paths = [path.relative_to(ROOT) for path in setup_cell.chapters()]
    shown = [path for path in paths if str(path.with_suffix(".html")) in seen]
    return [f"{path}: not beside its page" for path in shown if not (site / path).exists()]


def launch_links(seen: dict[str, dict]) -> list[str]:
    """Chapters whose launch button is missing, wrong, or there although no repository is known."""
    url = os.environ.get("SFTKD_REPOSITORY_URL", setup_cell.repository_url())
    problems = []
    for path in setup_cell.chapters():
        notebook = str(path.relative_to(ROOT))
        page = notebook.removesuffix(".ipynb") + ".html"
        links = [link for link in seen.get(page, {}).get("links", []) if "colab." in link]
        if url and page in seen and not any(link.endswith(f"/{notebook}") for link in links):
            problems.append(f"{page}: no button that opens {notebook} in Colab")
        if not url and links:
            problems.append(f"{page}: a launch button to {links[0]}, but no repository is known")
    return problems


def _files(base: str, addresses: Iterable[str]) -> set[str]:
    """Files of the site, by its paths, among addresses that a page loaded."""
    ours = (urldefrag(address)[0].split("?")[0] for address in addresses)
    return {unquote(address.removeprefix(base)) for address in ours if address.startswith(base)}


def check(site: Path, screenshots: Path | None = None) -> list[str]:
    """Every problem of the site, one line each."""
    seen, problems, started = {}, [], time.monotonic()
    with serve(site) as base, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = look.open_browser(profile)
        try:
            for page in pages():
                if not (site / page).exists():
                    problems.append(f"{page} is missing")
                    continue
                seen[page], found = look.look_at(browser, base + page)
                problems += [f"{page}: {problem}" for problem in found]
                if screenshots:
                    look.photograph(browser, screenshots / Path(page).stem)
        finally:
            browser.quit()
    problems += dead_links(site, base, seen) + launch_links(seen) + missing_notebooks(site, seen)
    summary = {page: [found["explorers"], found["formulas"]] for page, found in seen.items()}
    loaded = {page: _files(base, found["loaded"]) for page, found in seen.items()}
    problems += weigh.too_heavy(site, loaded)
    if seen:
        print(weigh.report(site, loaded))
    print(f"{len(seen)} pages; figures with sliders and formulas: {json.dumps(summary)}")
    print(f"looked at in {time.monotonic() - started:.0f} s")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=Path)
    parser.add_argument("--screenshots", type=Path, help="a folder for a picture of each page")
    options = parser.parse_args()
    problems = check(options.site, options.screenshots)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
