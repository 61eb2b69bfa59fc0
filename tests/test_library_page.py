"""The page about the library: every public room is on it, docstrings become what it shows."""

import re
import sys
from pathlib import Path

import pytest

import sftkd_core

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

import docstrings  # noqa: E402


def test_every_public_room_is_on_the_page():
    page = (ROOT / "book" / "library.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^\.\. automodule:: sftkd_core\.(\w+)$", page, re.M))
    assert shown == set(sftkd_core.__all__) - {"__version__"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name  what it is,\n      and more", "``name``\n    what it is,\n    and more\n"),
        ("a, b   two\nseed   of both", "``a, b``\n    two\n\n``seed``\n    of both\n"),
        ("A sentence.  Another.", "A sentence.  Another.\n"),
        ("    y = x + 1", "::\n\n    y = x + 1\n"),
        ("    not Python at all", ".. code-block:: text\n\n    not Python at all\n"),
        (">>> 1 + 1\n2", ">>> 1 + 1\n2\n"),
        ('|x| or "word", not ``a|b``', '\\|x\\| or ``"word"``, not ``a|b``\n'),
    ],
    ids=["one", "two", "prose", "code", "words", "example", "marks"],
)
def test_a_paragraph(text, expected):
    assert "\n".join(docstrings.reworded(text.split("\n"))) == expected
