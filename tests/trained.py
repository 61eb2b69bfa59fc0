"""A home in which some networks of the plan have been trained for a moment."""

from pathlib import Path

import pytest

from sftkd_core.book.setting import Setting


def home_with(factory: pytest.TempPathFactory, *names: str) -> Path:
    """A folder to set ``SFTKD_HOME`` to; ``factory`` is pytest's ``tmp_path_factory``."""
    folder = factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFTKD_HOME", str(folder))
        patch.setenv("SFTKD_SHIPPED", "no")
        for name in names:
            Setting("smoke").run(name, quiet=True)
    return folder
