"""The whole book as one PDF: every page as Chromium prints it, behind a table of contents.

python workflow/pdf.py _build/quick/site book.pdf
"""

import argparse
import base64
import html
import io
import sys
import tempfile
from pathlib import Path

import look
import setup_cell
import yaml
from loopback import serve
from pypdf import PdfReader, PdfWriter

ROOT = setup_cell.ROOT
PRINT = {  # inches; wide content is made narrower, never cut
    "paperWidth": 8.27, "paperHeight": 11.69, "marginTop": 0.6, "marginBottom": 0.7,
    "marginLeft": 0.6, "marginRight": 0.6, "scale": 0.8, "printBackground": True,
    "displayHeaderFooter": False,
}  # fmt: skip


def parts() -> list[tuple[str, list[str]]]:
    """The parts of the book with their pages, as paths of the site; the front page is a part."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    front = ("", [f"{toc['root']}.html"])
    return [front] + [
        (part["caption"], [f"{chapter['file']}.html" for chapter in part["chapters"]])
        for part in toc["parts"]
    ]


def printed(browser, address: str) -> tuple[str, PdfReader]:
    """A page's title, and the page on paper: with folded parts open."""
    browser.get(address)
    look.wait_for_all(browser)
    browser.execute_script(look.SCRIPTS["unfold"])
    title = browser.execute_script("return document.querySelector('article h1').firstChild.data")
    paper = browser.execute_cdp_cmd("Page.printToPDF", PRINT)["data"]
    return title.strip(), PdfReader(io.BytesIO(base64.b64decode(paper)))


def contents(browser, rows: list[tuple[str, str, int]]) -> PdfReader:
    """The table of contents: parts, titles and the pages on which they begin."""
    lines, last = [], None
    for part, title, number in rows:
        if part != last:
            lines.append(f"<tr><th colspan=2>{html.escape(part)}</th></tr>")
            last = part
        lines.append(f"<tr><td>{html.escape(title)}</td><td>{number}</td></tr>")
    style = "body{font:15px serif} table{width:100%} th{text-align:left;padding-top:1em}"
    style += "td:last-child{text-align:right}"
    page = f"<style>{style}</style><h1>Contents</h1><table>{''.join(lines)}</table>"
    browser.get("data:text/html;base64," + base64.b64encode(page.encode()).decode())
    paper = browser.execute_cdp_cmd("Page.printToPDF", PRINT)["data"]
    return PdfReader(io.BytesIO(base64.b64decode(paper)))


def write(site: Path, target: Path) -> int:
    """Print ``site`` into ``target``, with bookmarks; returns the number of pages."""
    with serve(site) as base, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = look.open_browser(profile)
        try:
            book = [
                (part, *printed(browser, base + page)) for part, pages in parts() for page in pages
            ]
            lengths = [len(paper.pages) for _, _, paper in book]
            before = len(contents(browser, [(p, t, 0) for p, t, _ in book]).pages)
            starts = [before + 1 + sum(lengths[:number]) for number in range(len(book))]
            rows = [(part, title, at) for (part, title, _), at in zip(book, starts, strict=True)]
            papers = [contents(browser, rows), *(paper for _, _, paper in book)]
        finally:
            browser.quit()
    writer, shelves = PdfWriter(), {}
    for paper in papers:
        writer.append(paper, import_outline=False)
    writer.add_outline_item("Contents", 0)
    for part, title, at in rows:
        if part and part not in shelves:
            shelves[part] = writer.add_outline_item(part, at - 1)
        writer.add_outline_item(title, at - 1, parent=shelves.get(part))
    writer.add_metadata({"/Title": yaml.safe_load((ROOT / "_config.yml").read_text())["title"]})
    writer.compress_identical_objects()
    writer.write(target)
    return len(writer.pages)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    print(f"{options.target}: {write(options.site, options.target)} pages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
