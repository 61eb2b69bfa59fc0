"""What a page says of phantoms and real scans is what the benchmark's record has."""

import ast
import re

from chapters import ROOT, source

PAGE = source(ROOT / "book/foundations/phantoms.ipynb")
RECORD = ast.get_docstring(ast.parse((ROOT / "benchmarks/transfer.py").read_text(encoding="utf-8")))


def test_the_page_on_phantoms_quotes_the_record_of_the_benchmark():
    (section,) = [c.source for c in PAGE.cells if c.source.startswith("## What it was worth")]
    quoted = re.findall(r"(?<![\d.])\d\.\d\d(?!\d)", section)
    assert len(quoted) >= 26
    assert not [number for number in quoted if number not in RECORD]
