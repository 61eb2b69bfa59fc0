"""Ask every outside link of the book whether it still leads somewhere; needs the network.

    python workflow/links.py

Links come from chapters, pages and documents, and from the DOIs of the references. A link to a host
that ``links.yaml`` does not name is an error before anything is asked.
"""

import re
import sys
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

import nbformat
import yaml

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"https?://[^\s)\]>\"'`\\}|]+")
DOI = re.compile(r"^\s*doi\s*=\s*\{([^}]+)\}", re.M)
CLOSED = (403, 405, 429)  # there, but not for programs


def texts() -> dict[str, str]:
    """The prose of the book and its documents, by path."""
    found = {}
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "book").rglob("*")]):
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in (".md", ".bib"):
            found[name] = path.read_text(encoding="utf-8")
        elif path.suffix == ".ipynb":
            cells = nbformat.read(path, as_version=4).cells
            found[name] = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    return found


def links(texts: dict[str, str]) -> dict[str, set[str]]:
    """Outside links, each with where it stands; this machine's own addresses are none."""
    places = defaultdict(set)
    for name, text in texts.items():
        found = [link.rstrip(".,;:") for link in LINK.findall(text)]
        found += [f"https://doi.org/{doi}" for doi in DOI.findall(text)]
        for link in found:
            if urlparse(link).hostname not in ("localhost", "127.0.0.1"):
                places[link].add(name)
    return dict(places)


def unknown_hosts(places: dict[str, set[str]], hosts: list[str]) -> list[str]:
    """Links to hosts that nobody has put on the list."""
    return [
        f"{link} in {', '.join(sorted(names))}: add {urlparse(link).hostname} to links.yaml"
        for link, names in places.items()
        if urlparse(link).hostname not in hosts
    ]


def ask(link: str) -> str:
    """What is wrong with a link; "" where it leads somewhere."""
    request = urllib.request.Request(link, headers={"User-Agent": "Mozilla/5.0"})
    try:
        urllib.request.urlopen(request, timeout=30).close()
    except urllib.error.HTTPError as error:
        return "" if error.code in CLOSED else f"answers {error.code}"
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
    return ""


def dead(places: dict[str, set[str]], ask: Callable[[str], str] = ask) -> list[str]:
    """Links that lead nowhere, and where they stand."""
    answers = {link: ask(link) for link in places}
    return [
        f"{link} in {', '.join(sorted(places[link]))}: {said}"
        for link, said in answers.items()
        if said
    ]


def main() -> int:
    places = links(texts())
    hosts = yaml.safe_load((ROOT / "workflow" / "links.yaml").read_text())
    problems = unknown_hosts(places, hosts) or dead(places)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    print(f"{len(places)} links, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
