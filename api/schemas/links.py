"""Relative links in answers."""

import re
from typing import Any
from urllib.parse import quote, quote_plus

# Most parts of a link are ids. A list has hundreds of links, and `quote` takes ten times as long as this match.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_.~/-]*")
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_.~-]*")


def link(path: str, **query: Any) -> str:
    """A relative link with a query. Values of None are left out."""
    quoted = path if _PLAIN_PATH.fullmatch(path) else quote(path)
    if not query:
        return quoted
    present = "&".join(f"{name}={_value(str(value))}" for name, value in query.items() if value is not None)
    return f"{quoted}?{present}" if present else quoted


def _value(text: str) -> str:
    return text if _PLAIN_VALUE.fullmatch(text) else quote_plus(text)
