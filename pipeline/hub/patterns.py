"""File name patterns of a dataset's card: `data/train-*`, `**/*.parquet`. Each is compiled once."""

import re
from collections.abc import Sequence
from fnmatch import translate

from core.domain.limits import MAX_DEPTH

MAX_PATTERN = 300  # characters


def may_match(pattern: str) -> bool:
    """Whether an accepted file name can be as long and as deep as the pattern."""
    return len(pattern) <= MAX_PATTERN and pattern.count("/") <= MAX_DEPTH


class Pattern:
    """Matches part by part; `**` is any number of folders. Time: parts of the pattern times parts of the name."""

    def __init__(self, pattern: str) -> None:
        self._parts = [None if part == "**" else re.compile(translate(part)).match for part in pattern.split("/")]
        self._deep = None in self._parts

    def matches(self, parts: Sequence[str]) -> bool:
        """`parts`: a file name, split at `/`."""
        if not self._deep and len(parts) != len(self._parts):
            return False
        reached = {0}
        for match in self._parts:
            if match is None:
                reached = set(range(min(reached), len(parts) + 1))
            else:
                reached = {at + 1 for at in reached if at < len(parts) and match(parts[at])}
            if not reached:
                return False
        return len(parts) in reached
