"""Say where the built book is, and how long each of its chapters took."""

import json
import sys
from pathlib import Path

import setup_cell


def main() -> None:
    build = Path(sys.argv[1])
    for chapter in setup_cell.chapters():
        path = build / "executed" / chapter.relative_to(setup_cell.ROOT).with_suffix(".json")
        record = json.loads(path.read_text())
        print(f"  {record['seconds']:6.1f} s  {chapter.relative_to(setup_cell.ROOT)}")
    for path in sorted((build / "experiments").rglob("*.json")):
        receipt = json.loads(path.read_text())
        seconds = receipt["provenance"]["seconds"]
        print(f"  {seconds:6.1f} s  training of {receipt['name']} ({path.parent.name})")
    print(f"the book: {(build / 'site' / 'index.html').resolve()}   (make serve shows it)")


if __name__ == "__main__":
    main()
