"""Byte ranges of RFC 9110. One range is honoured; several, or one that cannot be parsed, mean the whole file."""

import re
from collections.abc import Mapping

from core.domain.errors import RangeInvalid

_ONE = re.compile(r"bytes\s*=\s*(\d{0,20})\s*-\s*(\d{0,20})\s*", re.ASCII | re.IGNORECASE)


def range_of(headers: Mapping[str, str], *, size: int, etag: str) -> tuple[int, int] | None:
    """First and last byte, inclusive; None for the whole. Raises RangeInvalid for a range outside the file."""
    match = _ONE.fullmatch(headers.get("range", ""))
    if match is None or match.groups() == ("", "") or headers.get("if-range", etag) != etag:
        return None
    first, last = match.groups()
    if not first:  # `bytes=-N`: the last N bytes
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
    """Whether the client has this version already (If-None-Match). Compared weakly, as the RFC requires."""
    given = [tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(",")]
    return etag in given or "*" in given
