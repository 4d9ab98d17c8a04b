"""results.csv: one row of numbers per epoch, the same for every trainer."""

import csv
from pathlib import Path

RESULTS = "results.csv"


def read_results(path: Path) -> list[dict[str, float]]:
    """The rows, empty without a file. ultralytics pads the names with blanks, which are removed."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name.strip(): float(value) for name, value in row.items()} for row in csv.DictReader(file)]
