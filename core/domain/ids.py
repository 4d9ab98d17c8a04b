"""Ids: a prefix and a ULID in lower case (48 bits of milliseconds, 80 random bits). They sort by time."""

import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32


def new_id(prefix: str, now_ms: int) -> str:
    """`new_id("job", ms)` -> `job_01jd3v...`, 26 characters after the prefix."""
    value = (now_ms << 80) | secrets.randbits(80)
    digits = [_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5)]
    return f"{prefix}_{''.join(digits)}"
