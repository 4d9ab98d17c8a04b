"""What an export could not keep: counted by code, with a sentence for people."""

from collections import Counter
from typing import Any

# Code -> what it means; `{count}` is the number of boxes, images or classes.
LOSSES: dict[str, str] = {
    "difficult": "The format has no flag for difficult objects: {count} of the boxes have it in the dataset.",
    "paths-changed": "{count} of the images lie at another path than in the dataset, so that the content fingerprint "
    "of this export is another one.",
    "classes-renamed": "{count} of the classes have names that the format cannot hold everywhere, and others here, so "
    "that the content fingerprint of this export is another one.",
    "bytes-changed": "The uploaded ZIP is not stored any more: {count} of the images are in the form that trainers "
    "read, as PNG or without bytes behind their end.",
    "splits-contradict-folders": "{count} of the images lie in a folder named like another part of the split than "
    "theirs. Uploaded again, this export needs `split=remake`, or is rejected.",
}


class Losses:
    """`add` in any order; they are listed by code."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, code: str, count: int = 1) -> None:
        if count:
            self._counts[code] += count

    def listed(self) -> list[dict[str, Any]]:
        """{code, count, detail} of each."""
        return [
            {"code": code, "count": count, "detail": LOSSES[code].format(count=count)}
            for code, count in sorted(self._counts.items())
        ]
