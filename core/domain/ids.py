"""Ids: a prefix and a ULID in lower case (48 bits of milliseconds, 80 random bits). They sort by time."""

import secrets
from datetime import UTC, datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32
_AS_PYTHON = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")  # the digits of int(text, 32)


def new_id(prefix: str, now_ms: int) -> str:
    """`new_id("job", ms)` -> `job_01jd3v...`, 26 characters after the prefix."""
    value = (now_ms << 80) | secrets.randbits(80)
    digits = [_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5)]
    return f"{prefix}_{''.join(digits)}"


def time_of(some_id: str) -> datetime:
    """When the id was made, to the millisecond."""
    ms = int(some_id.rpartition("_")[2][:10].translate(_AS_PYTHON), 32)
    return datetime.fromtimestamp(ms / 1000, UTC)
