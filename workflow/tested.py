"""Whether ``make test`` has passed with these very files: then it has nothing to do.

    python workflow/tested.py                 status 0, and a line that says when, if it has
    python workflow/tested.py --key           print what the files, packages and settings are now
    python workflow/tested.py --passed KEY    the tests have passed that began with KEY

Without git nothing is remembered. ``make test AGAIN=yes`` runs all tests whatever is known.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from datetime import datetime
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KNOWN = Path("_build") / "smoke" / "tested.json"


def key(root: Path = ROOT) -> str | None:
    """A hash of all that the tests depend on; None where git does not say which files there are.

    Of the commit too, which decides which of the slow tests are run.
    """
    found = hashlib.sha256()
    try:
        for command in (["rev-parse", "HEAD"], ["ls-files", "-coz", "--exclude-standard"]):
            run = subprocess.run(["git", *command], cwd=root, capture_output=True, check=True)
            found.update(run.stdout)
    except (OSError, subprocess.CalledProcessError):
        return None
    for name in sorted(run.stdout.decode().split("\0")):
        path = root / name
        if path.is_file():
            found.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    packages = sorted(f"{d.metadata['Name']} {d.version}" for d in distributions())
    settings = sorted(item for item in os.environ.items() if item[0].startswith("SFTKD_"))
    about = [packages, sys.version, settings, (root / "../shared").exists()]
    found.update(json.dumps(about).encode())
    return found.hexdigest()


def passed(begun: str, root: Path = ROOT) -> bool:
    """Remember that the tests have passed, unless something changed since they began."""
    if begun != key(root):
        return False
    told = {"key": begun, "at": datetime.now().strftime("%d %B %Y, %H:%M")}
    (root / KNOWN).parent.mkdir(parents=True, exist_ok=True)
    (root / KNOWN).write_text(json.dumps(told))
    return True


def when(root: Path = ROOT) -> str:
    """When they passed with these files; empty if they have not."""
    try:
        told = json.loads((root / KNOWN).read_text())
        return told["at"] if told["key"] and told["key"] == key(root) else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--key", action="store_true")
    parser.add_argument("--passed", metavar="KEY")
    options = parser.parse_args()
    if options.key:
        print(key() or "")
        return 0
    if options.passed is not None:
        passed(options.passed)
        return 0
    at = when()
    if at:
        print(f"all tests have passed with these very files ({at}); make test AGAIN=yes runs them")
    return 0 if at else 1


if __name__ == "__main__":
    sys.exit(main())
