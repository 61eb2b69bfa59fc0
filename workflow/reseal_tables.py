"""File shipped evaluations under today's seals where the code of metrics only moved.

    python workflow/reseal_tables.py --since COMMIT

A table's name is a hash of weights, which data, and the seal of the code that evaluates. Where
that code was rewritten and computes what it did, its tables get the names that today's code looks
for. ``tests/test_readme.py`` computes a tenth of them again.
"""

import argparse
import os

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--since", metavar="COMMIT", required=True)
    since = parser.parse_args().since
    os.environ["SFTKD_SHIPPED"] = "yes"
    with tree_at(since) as tree:
        before = told(tree, NAMES, None)
    now = told(ROOT, NAMES, None)
    moved = 0
    for experiment, pair in now.items():
        for old, new in zip(before.get(experiment, []), pair, strict=False):
            if old != new and (evaluations.SHIPPED / old).exists():
                os.replace(evaluations.SHIPPED / old, evaluations.SHIPPED / new)
                moved += 1
    print(f"{moved} tables have today's seal")


if __name__ == "__main__":
    main()
