"""Whether a chapter knows the parameters that papermill gave it.

Papermill puts a cell of assignments behind the one tagged ``parameters`` and goes on, whatever is
in it: ``-p sead 3`` would run with seed 0.
"""

import ast
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise

from sftkd_core.system import InputError

INJECTED = "# Parameters"  # how papermill's cell begins


def check() -> None:
    """Raise ``InputError`` for a parameter that this notebook was given and does not have.

    Called by ``Setting``. Where papermill runs nothing, nothing happens.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None:
        refuse_unknown(shell.user_ns.get("In", ()))


def refuse_unknown(cells: Sequence[str]) -> None:
    """The same for the sources of the cells that have run, in their order."""
    for before, cell in pairwise(cells):
        known = assigned(before)
        if not cell.startswith(INJECTED) or not known:
            continue
        for name in assigned(cell) - known:
            near = get_close_matches(name, known, 1)
            meant = f"; do you mean {near[0]}?" if near else ""
            raise InputError(f"no parameter {name} in {', '.join(sorted(known))}{meant}")


def assigned(cell: str) -> set[str]:
    """The names that a cell gives values to."""
    try:
        nodes = ast.parse(cell).body
    except SyntaxError:
        return set()
    targets = (target for node in nodes if isinstance(node, ast.Assign) for target in node.targets)
    return {target.id for target in targets if isinstance(target, ast.Name)}
