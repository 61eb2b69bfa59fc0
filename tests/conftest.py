"""Every test has a store of its own, the threads of one worker, and the shapes it says."""

import os

import jaxtyping
import pytest
import torch

torch.set_num_threads(1)  # pytest runs one worker a core

# before any of them is imported: annotations are checked at every call, see shapes.py
PHYSICS = (
    "masks", "consistency", "metrics", "sft", "models", "distillation",
)  # fmt: skip
jaxtyping.install_import_hook([f"sftkd_core.{room}" for room in PHYSICS], "shapes.checked")

from sftkd_core.experiments import fingerprint  # noqa: E402


@pytest.fixture(autouse=True)
def home(tmp_path_factory):
    """An empty store; shipped results are out of sight unless a test wants them."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFTKD_HOME", str(folder))
        patch.setenv("SFTKD_SHIPPED", "no")
        patch.delenv("SFTKD_STALE", raising=False)
        yield folder


@pytest.fixture(autouse=True)
def seals(request):
    """What a test patches in the library is in the seals that it computes, and in no other's."""
    yield
    if "monkeypatch" in request.fixturenames:
        fingerprint.forget()


@pytest.fixture
def environment(home):
    """What a process started by a test needs to find the same store."""
    return {**os.environ, "SFTKD_HOME": str(home), "OMP_NUM_THREADS": "1"}
