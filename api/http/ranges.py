"""Byte ranges of RFC 9110: one range is honoured; several, or one we cannot read, mean the whole."""

import re
from collections.abc import Mapping

from core.domain.errors import RangeInvalid

_ONE = re.compile(r"bytes\s*=\s*(\d{0,20})\s*-\s*(\d{0,20})\s*", re.ASCII | re.IGNORECASE)


def range_of(headers: Mapping[str, str], *, size: int, etag: str) -> tuple[int, int] | None:
    """First and last byte, inclusive; None: the whole. Raises RangeInvalid for one that lies outside."""
    match = _ONE.fullmatch(headers.get("range", ""))
    if match is None or match.groups() == ("", "") or headers.get("if-range", etag) != etag:
        return None
    first, last = match.groups()
    if not first:  # the last so many bytes
        start, end = max(size - int(last), 0), size - 1
        outside = int(last) == 0 or size == 0
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < int(first):
            return None
        outside = start >= size
    if outside:
        raise RangeInvalid(f"The file has {size} bytes.", bytes=size)
    return start, end


def is_known(headers: Mapping[str, str], etag: str) -> bool:
    """Does the client have it already (If-None-Match)? Weak comparison, as the RFC asks for here."""
    given = [tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(",")]
    return etag in given or "*" in given
