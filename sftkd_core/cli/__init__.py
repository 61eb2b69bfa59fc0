"""What the command line does: a module for each command, a function of its name in it.

Each takes the parsed options, prints what it did, and raises ``InputError`` for a wrong input
before it writes anything.
"""

import argparse

from sftkd_core.book.setting import Setting


def setting_of(options: argparse.Namespace) -> Setting:
    """The setting that the shared options describe."""
    fields = ("profile", "acceleration", "seed", "device")
    chosen = {name: getattr(options, name) for name in (*fields, "data") if hasattr(options, name)}
    return Setting(**{name: value for name, value in chosen.items() if value is not None})
