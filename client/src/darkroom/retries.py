"""When a request is sent again, and after how long."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import httpx

BUSY = frozenset({429, 503})  # nothing was done
TRANSIENT = BUSY | {502, 504}  # a proxy's words: it may have been done
CONFLICT = 409
MAX_RETRY_AFTER_SECONDS = 60.0
# Raised before the first byte was sent.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True)
class Retries:
    """`attempts` in all, the first included. Waits double from `first_seconds` and are shortened by up to a half."""

    attempts: int = 4
    first_seconds: float = 0.4

    def pause(self, attempt: int, retry_after: float | None) -> float:
        """Seconds after the failed attempt, the first of which is 1."""
        if retry_after is not None:
            return min(retry_after, MAX_RETRY_AFTER_SECONDS)
        return self.first_seconds * float(2 ** (attempt - 1)) * random.uniform(0.5, 1.0)


def is_transient(response: httpx.Response, *, repeatable: bool) -> bool:
    """`repeatable`: the request may be done twice, or has a key with which it is done once."""
    if response.status_code == CONFLICT:  # with the header: the first request with this key still runs
        return repeatable and "retry-after" in response.headers
    return response.status_code in (TRANSIENT if repeatable else BUSY)


def is_repeatable(method: str, headers: Mapping[str, str]) -> bool:
    return method in ("GET", "HEAD", "PUT") or "Idempotency-Key" in headers


def retry_after_seconds(response: httpx.Response, *, now: datetime | None = None) -> float | None:
    """Of the header, in either of its forms; None where there is none."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - (now or datetime.now(timezone.utc))).total_seconds())
