"""What the command line does: a module for each command, a function of its name in it.

Each takes the parsed options, prints what it did, and raises ``InputError`` for a wrong input
before it writes anything.
"""

import argparse
from importlib import import_module

from sftkd_core.book.setting import Setting
from sftkd_core.system import InputError


def setting_of(options: argparse.Namespace) -> Setting:
    """The setting that the shared options describe."""
    fields = ("profile", "acceleration", "seed", "device")
    chosen = {name: getattr(options, name) for name in (*fields, "data") if hasattr(options, name)}
    return Setting(**{name: value for name, value in chosen.items() if value is not None})


def check_packages(what: str, *names: str) -> None:
    """Raise ``InputError`` unless the packages that something needs can be imported."""
    missing = []
    for name in names:
        try:
            import_module(name)
        except ImportError:
            missing.append(name)
    if missing:
        raise InputError(
            f"{what} needs {', '.join(missing)}, not installed here; "
            f"python -m pip install {' '.join(missing)}"
        )
