"""Citations as plain Markdown: author and year with a link, and the list of what is cited."""

from functools import lru_cache
from pathlib import Path

from pybtex.database import Entry, parse_file
from pybtex.plugin import find_plugin
from pybtex.richtext import Text


class Citations:
    """The entries of a BibTeX file, and those that have been cited so far.

    Raises KeyError for a key that the file does not have.
    """

    def __init__(self, path: Path):
        self.entries = _entries(path)
        self.cited: list[str] = []

    def told(self, role: str, keys: str) -> str:
        """``{cite:t}`` as Author (year), ``{cite:p}`` as (Author, year), several keys in a row."""
        found = [self._linked(key.strip(), role == "cite:t") for key in keys.split(",")]
        return ", ".join(found) if role == "cite:t" else f"({'; '.join(found)})"

    def _linked(self, key: str, in_text: bool) -> str:
        entry = self.entries[key]
        if key not in self.cited:
            self.cited.append(key)
        year = entry.fields["year"]
        words = f"{authors(entry)} ({year})" if in_text else f"{authors(entry)}, {year}"
        return f"[{words}]({address(entry)})" if address(entry) else words

    def listed(self) -> str:
        """What has been cited, one line each, in the order of the authors."""
        style = find_plugin("pybtex.style.formatting", "plain")()
        backend = find_plugin("pybtex.backends", "markdown")()
        chosen = [self.entries[key] for key in self.cited]
        texts = [entry.text.render(backend) for entry in style.format_entries(chosen)]
        return "\n".join(f"- {' '.join(text.split())}" for text in texts)


@lru_cache(maxsize=1)
def _entries(path: Path) -> dict[str, Entry]:
    return parse_file(str(path)).entries


def authors(entry: Entry) -> str:
    """Family names: one, two, or the first and et al."""
    persons = entry.persons["author"]
    names = [
        str(Text(" ").join([*p.rich_prelast_names, *p.rich_last_names])).replace("\xa0", " ")
        for p in persons
    ]
    if len(names) > 2:
        return f"{names[0]} et al."
    return " and ".join(names)


def address(entry: Entry) -> str:
    """Where it can be read: its DOI, its preprint, its page; empty where the entry has none."""
    fields = entry.fields
    if "doi" in fields:
        return f"https://doi.org/{fields['doi']}"
    if fields.get("archiveprefix", "").lower() == "arxiv":
        return f"https://arxiv.org/abs/{fields['eprint']}"
    return fields.get("url", "")
