"""One query a second for all streams of the pages that follow lists: what changed, numbered.

The numbers are of this process, and of one time in which anybody listened: a position from elsewhere, or one that is
too old, gets `everything`, at which a page reads its lists again. So there is no gap, whichever process answers.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool

from api.http.polling import poll_while
from core import clock
from core.db import Database
from core.services.work.recent import Change, by_kind, changed_since

POLL_SECONDS = 1.0
FAULTY_POLL_SECONDS = 3.0  # while the database does not answer
OVERLAP_SECONDS = 15.0  # a transaction that commits late, and the clocks of other machines, may differ by so much
LATELY_SECONDS = 5.0  # a stream without a position begins here: its page was made before
KEEP_SECONDS = 30.0  # the poll goes on for clients that are about to reconnect
_MOST_KEPT = 1000


class HomeChange(NamedTuple):
    """`names`: by `projects`, `jobs`, `runs`, `operations`; None for everything. `position`: to go on after it."""

    position: str
    names: Mapping[str, list[str]] | None


class _Entry(NamedTuple):
    number: int
    at: float
    names: Mapping[str, list[str]]


class HomePoll:
    """Only for one event loop."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._listeners: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None
        self._forget()

    @contextmanager
    def subscribed(self, changed: asyncio.Event) -> Iterator[None]:
        """`changed` is set at each change."""
        if self._task is None or self._task.done():
            self._forget()
            self._task = asyncio.create_task(self._poll())
        self._listeners.add(changed)
        try:
            yield
        finally:
            self._listeners.discard(changed)
            self._alone_since = clock.monotonic()

    def after(self, position: str | None) -> list[HomeChange]:
        """The changes after `position`, None for those of just now."""
        if position is None:
            since = clock.monotonic() - LATELY_SECONDS
            return [self._change(entry) for entry in self._entries if entry.at >= since]
        generation, _, number = position.partition("-")
        oldest = self._entries[0].number if self._entries else self._newest + 1
        if generation != self._generation or not oldest - 1 <= int(number) <= self._newest:
            return [HomeChange(self.position, None)]
        return [self._change(entry) for entry in self._entries if entry.number > int(number)]

    @property
    def position(self) -> str:
        """Of the newest change."""
        return f"{self._generation}-{self._newest}"

    @property
    def running_position(self) -> str | None:
        """None while nobody listens, which ends the numbers."""
        return None if self._task is None or self._task.done() else self.position

    def _change(self, entry: _Entry) -> HomeChange:
        return HomeChange(f"{self._generation}-{entry.number}", entry.names)

    def _forget(self) -> None:
        self._generation = secrets.token_hex(4)
        self._newest, self._alone_since = 0, clock.monotonic()
        self._last = clock.now()  # of the last query that was answered
        self._entries: deque[_Entry] = deque(maxlen=_MOST_KEPT)
        self._seen: dict[tuple[str, str], str] = {}

    async def _poll(self) -> None:
        await poll_while(
            self._is_wanted, self._query, of="home", seconds=POLL_SECONDS, faulty_seconds=FAULTY_POLL_SECONDS
        )

    def _is_wanted(self) -> bool:
        return bool(self._listeners) or clock.monotonic() - self._alone_since < KEEP_SECONDS

    async def _query(self) -> None:
        now, since = clock.now(), self._last - timedelta(seconds=OVERLAP_SECONDS)
        self._note(await run_in_threadpool(changed_since, self._db, since))
        self._last = now

    def _note(self, found: list[Change]) -> None:
        new = [change for change in found if self._seen.get((change.kind, change.name)) != change.stamp]
        # What is no longer found is too old to be found again.
        self._seen = {(change.kind, change.name): change.stamp for change in found}
        if not new:
            return
        self._newest += 1
        self._entries.append(_Entry(self._newest, clock.monotonic(), by_kind(new)))
        for changed in self._listeners:
            changed.set()
