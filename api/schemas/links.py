"""Relative links in answers."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode


def link(path: str, **query: Any) -> str:
    """A relative link with a query. Values of None are left out."""
    present: Mapping[str, Any] = {name: value for name, value in query.items() if value is not None}
    return quote(path) + (f"?{urlencode(present)}" if present else "")
