"""A hook of the wheel's build: the index of results goes in, the results themselves do not.

``sftkd_core/shipped/index.json`` has the SHA-256 of each file of ``results/`` and, from
SFTKD_RESULTS_URL, the address where this edition is published: see experiments/published.py.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KINDS = ("result.json", "weights.safetensors", ".csv", "log.jsonl")


def index_of(results: Path) -> dict:
    """Checksums of the files of a folder of results, by their path in it, and their address."""
    paths = [path for path in sorted(results.rglob("*")) if path.name.endswith(KINDS)]
    files = {
        path.relative_to(results).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }
    return {"address": os.environ.get("SFTKD_RESULTS_URL", ""), "files": files}


class WheelIndex(BuildHookInterface):
    """Adds the index to a wheel; an editable install finds ``results/`` beside the package."""

    def initialize(self, version: str, build_data: dict) -> None:
        if version == "editable":
            return
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "index.json"
        path.write_text(json.dumps(index_of(Path(self.root) / "results"), indent=0))
        build_data["force_include"][str(path)] = "sftkd_core/shipped/index.json"

    def finalize(self, version: str, build_data: dict, artifact_path: str) -> None:
        if version != "editable":
            self.folder.cleanup()
