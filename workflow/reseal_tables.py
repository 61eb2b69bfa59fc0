"""File shipped evaluations under today's seals where the code of metrics only moved.

    python workflow/reseal_tables.py --since COMMIT

A table's name is a hash of weights, which data, and the seal of the code that evaluates. Where
that code was rewritten and computes what it did, its tables get the names that today's code looks
for. ``tests/test_readme.py`` computes some of them again.
"""

import argparse
import os
from pathlib import Path

import evaluations
from reseal import ROOT, told, tree_at

# the names of all tables under the code of a tree: of each experiment's zero-filled images, and own
NAMES = """
import json, sys
sys.path.insert(0, "workflow")
import evaluations
from sftkd_core.experiments import store

def name(setting, which, sampling):
    return store.table_name(*setting.deciding(which, sampling))

json.dump({
    experiment.name: [name(setting, w, experiment.sampling) for w in ("zero-filled", experiment)]
    for setting, experiment in evaluations.shipped()
}, sys.stdout)
"""


def move(before: dict[str, list[str]], now: dict[str, list[str]], folder: Path) -> int:
    """Rename tables from their names before to those of now; how many.

    before, now  experiment -> names of its tables, in the same order; experiments of one test set
                 share the table of its zero-filled images
    """
    moved = 0
    for experiment, names in now.items():
        for old, new in zip(before.get(experiment, []), names, strict=False):
            if old != new and (folder / old).exists():
                os.replace(folder / old, folder / new)
                moved += 1
    return moved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--since", metavar="COMMIT", required=True)
    since = parser.parse_args().since
    os.environ["SFTKD_SHIPPED"] = "yes"
    with tree_at(since) as tree:
        before = told(tree, NAMES, None)
    moved = move(before, told(ROOT, NAMES, None), evaluations.SHIPPED)
    print(f"{moved} tables have today's seal")


if __name__ == "__main__":
    main()
