"""The headers of every answer."""

from collections.abc import Iterable

SAFE_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    # No script, style or frame; the pages for people set a policy of their own.
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}

SAFE_PAIRS = [(name.encode(), value.encode()) for name, value in SAFE_HEADERS.items()]


def with_defaults(
    headers: Iterable[tuple[bytes, bytes]], defaults: Iterable[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """With those of the defaults whose names, in lower case, are not among the headers."""
    found = [*headers]
    names = {name for name, _ in found}
    return [*found, *(each for each in defaults if each[0] not in names)]
