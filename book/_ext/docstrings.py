"""Sphinx extension: docstrings, written for a terminal, as reStructuredText.

A list of names with their meanings in a column of its own,

    name   what it is, perhaps
           over several lines

becomes a definition list; any other indented paragraph stays as it is, in letters
of one width.
"""

import ast
import re
import textwrap

TERM = r"[\w\"`](?:[\w\".`-]*[\w\"`])?"
ROW = re.compile(rf"^(?P<names>{TERM}(?:,? {TERM})*) {{2,}}(?P<text>\S.*)$")


def as_definitions(block: list[str]) -> list[str] | None:
    """A list of names as a definition list; None where the paragraph is none."""
    block = textwrap.dedent("\n".join(block)).split("\n")
    rows: list[tuple[str, list[str]]] = []
    for line in block:
        row = ROW.match(line)
        if row:
            rows.append((row["names"], [row["text"].strip()]))
        elif rows and line.startswith("  "):
            rows[-1][1].append(line.strip())
        else:
            return None
    lines = []
    for names, texts in rows:
        term = names if "`" in names else f"``{names}``"
        lines += [term, *(f"    {text}" for text in texts), ""]
    return lines


def prose(line: str) -> str:
    """Outside of code a bar is a bar, and words in double quotes are typed."""
    parts = re.split(r"(``.*?``)", line)
    for number in range(0, len(parts), 2):
        plain = parts[number].replace("|", r"\|")
        parts[number] = re.sub(r'(?<![\w=])"([\w-]+)"(?!\w)', r'``"\1"``', plain)
    return "".join(parts)


def verbatim(block: list[str]) -> list[str]:
    """An indented paragraph as it is, coloured where it is Python."""
    try:
        ast.parse(textwrap.dedent("\n".join(block)))
    except SyntaxError:
        return [".. code-block:: text", "", *block, ""]
    return ["::", "", *block, ""]


def reworded(lines: list[str]) -> list[str]:
    """A docstring in reStructuredText, paragraph by paragraph."""
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            paragraphs[-1].append(line.rstrip())
        elif paragraphs[-1]:
            paragraphs.append([])
    done = []
    for block in filter(None, paragraphs):
        indented = all(line.startswith("    ") for line in block)
        if block[0].startswith(">>>"):
            done += [*block, ""]
        elif (definitions := as_definitions(block)) is not None:
            done += map(prose, definitions)
        elif indented:
            done += verbatim(block)
        else:
            done += [*map(prose, block), ""]
    return done


def process(app, what, name, thing, options, lines):
    lines[:] = reworded(lines)


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
