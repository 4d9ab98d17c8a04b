"""Which rows of a parent's head a training goes on with: those of the classes that both have, by their names."""

from collections.abc import Sequence
from itertools import islice

NAMES_LISTED = 10  # of each group, in the note


def rows_of_both(parent: Sequence[str], classes: Sequence[str]) -> dict[int, int]:
    """Row of the new head -> row of the parent's, for each class that both have. Names are compared exactly."""
    rows = {name: row for row, name in enumerate(parent)}
    return {row: rows[name] for row, name in enumerate(classes) if name in rows}


def head_note(parent: Sequence[str], classes: Sequence[str]) -> str:
    """`kept 2 of 3 classes: raccoon, cat; new: dog; dropped: bird`"""
    of_parent, wanted = set(parent), set(classes)
    kept = [name for name in classes if name in of_parent]
    new = [name for name in classes if name not in of_parent]
    dropped = [name for name in parent if name not in wanted]
    parts = [f"kept {len(kept)} of {len(classes)} classes{_listed(': ', kept)}"]
    return "; ".join(
        [*parts, *(_listed(f"{what}: ", names) for what, names in (("new", new), ("dropped", dropped)) if names)]
    )


def _listed(before: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    further = len(names) - NAMES_LISTED
    return before + ", ".join(islice(names, NAMES_LISTED)) + (f" and {further} more" if further > 0 else "")
