"""The process's clock. Lease times do not come from here: they use the database's clock (core/db/clock.py)."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Timezone-aware UTC."""
    return datetime.now(UTC)


def now_ms() -> int:
    """Milliseconds since the epoch, for ids."""
    return time.time_ns() // 1_000_000


def monotonic() -> float:
    """Seconds that never go backwards, for durations."""
    return time.monotonic()
