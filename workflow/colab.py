"""Write the chapters as Colab wants them: plain Markdown, folded solutions, one edition's library.

    python workflow/colab.py _build/quick/site

Each chapter's source becomes ``book/<part>/<name>.ipynb`` below the folder, without outputs. Where
the book lives comes from ``_config.yml`` or SFTKD_REPOSITORY_URL, the address of its pages from
SFTKD_SITE_URL or else from the repository. While none is known, links between chapters are text.
"""

import argparse
import os
import sys
from pathlib import Path, PurePosixPath
from urllib.parse import urljoin, urlparse

import nbformat
import setup_cell
import yaml
from citations import Citations
from plain_markdown import plain

ROOT = setup_cell.ROOT
FOLDED = "#@title Solution (open the code with a double click)"
DETAILS = (
    "<details>\n<summary><b>Solution</b>: what comes out (open it)</summary>\n\n{}\n\n</details>"
)


def convert(
    notebook: nbformat.NotebookNode,
    path: PurePosixPath,
    url: str = "",
    commit: str = "",
    site: str = "",
) -> nbformat.NotebookNode:
    """A chapter for Colab; its code is what it was, but for the setup cell.

    notebook  the source of a chapter, without outputs
    path      its place in the book, ``book/foundations/masks.ipynb``
    url       the repository; commit: the edition that its setup cell installs; site: its pages
    """
    citations = Citations(ROOT / "book" / "references.bib")
    solving, cells = False, []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cells.append(_code(cell, solving, url, commit))
            continue
        text, marks = plain(cell.source, citations, lambda to: link(to, path, site))
        if text.strip():
            text = DETAILS.format(text.strip()) if solving else text
            cells.append(nbformat.v4.new_markdown_cell(text))
        solving = "solution-start" in marks or (solving and "solution-end" not in marks)
    if citations.cited:
        cells.append(nbformat.v4.new_markdown_cell(f"## References\n\n{citations.listed()}"))
    for number, cell in enumerate(cells):
        cell.id = f"{path.stem}-{number:02d}"
    converted = nbformat.v4.new_notebook(cells=cells, metadata=dict(notebook.metadata))
    converted.metadata["colab"] = {"provenance": [], "toc_visible": True}
    return converted


def _code(cell, solving: bool, url: str, commit: str) -> nbformat.NotebookNode:
    tags = cell.metadata.get("tags", [])
    source = setup_cell.setup_source(url, commit) if "setup" in tags else cell.source
    metadata = {"tags": tags} if tags else {}
    if solving:
        source = f"{FOLDED}\n{source}"
        metadata |= {"cellView": "form", "jupyter": {"source_hidden": True}}
    return nbformat.v4.new_code_cell(source, metadata=metadata)


def link(to: str, path: PurePosixPath, site: str) -> str | None:
    """Where a link of a chapter leads from Colab: a page of the site; None where none is known."""
    if urlparse(to).scheme:
        return to
    if not site:
        return None
    page = urljoin(path.as_posix(), to)  # book/foundations/masks.ipynb, or with a #fragment
    for source in (".ipynb", ".md"):
        page = page.replace(source, ".html")
    return site + page


def site_url(repository: str) -> str:
    """The address of the pages, ending in a slash: SFTKD_SITE_URL, or that of GitHub's pages."""
    known = os.environ.get("SFTKD_SITE_URL", "")
    where = urlparse(repository)
    if not known and where.hostname == "github.com":
        owner, name = where.path.strip("/").removesuffix(".git").split("/")
        known = f"https://{owner.lower()}.github.io/{name}"
    return known.rstrip("/") + "/" if known else ""


def write(target: Path) -> None:
    """Convert every chapter into ``target``."""
    known = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    url = os.environ.get("SFTKD_REPOSITORY_URL", known)
    site, commit = site_url(url), setup_cell.edition()
    for chapter in setup_cell.chapters():
        path = chapter.relative_to(ROOT)
        source = nbformat.read(chapter, as_version=4)
        converted = convert(source, PurePosixPath(path.as_posix()), url, commit, site)
        nbformat.validate(converted)
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(converted, target / path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path)
    write(parser.parse_args().target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
