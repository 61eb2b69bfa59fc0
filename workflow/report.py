"""Say where the built book is, how long each chapter took, and which networks were trained."""

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
    paths = sorted((build / "experiments").rglob("*.json"))
    receipts = {path: json.loads(path.read_text()) for path in paths}
    for path, receipt in receipts.items():
        if not receipt.get("found"):
            seconds = receipt["provenance"]["seconds"]
            print(f"  {seconds:6.1f} s  training of {receipt['name']} ({path.parent.name})")
    if found := sum(receipt.get("found", False) for receipt in receipts.values()):
        print(
            f"  {found} networks were there already: the status page says where they were trained"
        )
    print(f"the book: {(build / 'site' / 'index.html').resolve()}   (make serve shows it)")


if __name__ == "__main__":
    main()
