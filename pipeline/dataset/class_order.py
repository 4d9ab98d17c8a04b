"""The order of class names that nothing states."""

import re
from collections.abc import Iterable


def natural_order(name: str) -> tuple[list[str | int], str]:
    """A sort key that puts `9` before `10`: runs of the digits 0 to 9 compare as numbers, the rest by code point."""
    parts = re.split("([0-9]+)", name)  # text and digits alternate, so the same types are compared
    return [int(part) if at % 2 else part for at, part in enumerate(parts)], name


def in_class_order(kind: str, names: Iterable[str]) -> list[str]:
    """Names whose order nothing states: by code point in detection, in natural order in classification."""
    return sorted(names, key=natural_order) if kind == "classification" else sorted(names)
