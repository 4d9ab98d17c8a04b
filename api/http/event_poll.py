"""One query for all event streams and long polls of this process: which of what they follow has new events.

200 streams that each queried for themselves took 69 % of a core while nothing happened.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from api.http.polling import poll_while
from core.db import Database
from core.services.work.events import Standing, standings

POLL_SECONDS = 0.2
FAULTY_POLL_SECONDS = 1.0  # while the database does not answer


class Subscription:
    """The newest standing of one job, run or operation. Only for the event loop that it was made on."""

    def __init__(self, standing: Standing, changed: asyncio.Event) -> None:
        self.standing = standing
        self._changed = changed

    async def wait(self, seconds: float) -> None:
        """Returns when there is another standing than at the end of the last wait, at the latest after `seconds`."""
        await wait_for_change(self._changed, seconds)

    def note(self, standing: Standing) -> None:
        if standing != self.standing:
            self.standing = standing
            self._changed.set()

    def wake(self) -> None:
        self._changed.set()


async def wait_for_change(changed: asyncio.Event, seconds: float) -> None:
    """Returns when `changed` is set, which is undone, at the latest after `seconds`."""
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await changed.wait()
    except TimeoutError:
        return
    changed.clear()


class EventPoll:
    """Polls while anything is subscribed, in one task."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._task: asyncio.Task[None] | None = None
        self.stopped = False
        self._listeners: set[asyncio.Event] = set()

    def stop(self) -> None:
        """The process ends: streams end now, and their clients reconnect to the next one."""
        self.stopped = True
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.wake()
        for listener in self._listeners:
            listener.set()

    @contextmanager
    def listening(self, stopped: asyncio.Event) -> Iterator[None]:
        """`stopped` is set when the process ends, also where nothing is subscribed with it."""
        self._listeners.add(stopped)
        try:
            yield
        finally:
            self._listeners.discard(stopped)

    @contextmanager
    def subscribed(
        self, subject_id: str, standing: Standing, changed: asyncio.Event | None = None
    ) -> Iterator[Subscription]:
        """Follow a job, a run or an operation from `standing`, which the caller has read.

        `changed`: set at each change, for those who follow several.
        """
        subscription = Subscription(standing, changed or asyncio.Event())
        self._subscriptions.setdefault(subject_id, set()).add(subscription)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        try:
            yield subscription
        finally:
            others = self._subscriptions[subject_id]
            others.discard(subscription)
            if not others:
                del self._subscriptions[subject_id]

    async def _poll(self) -> None:
        await poll_while(
            lambda: bool(self._subscriptions),
            self._query,
            of="events",
            seconds=POLL_SECONDS,
            faulty_seconds=FAULTY_POLL_SECONDS,
        )

    async def _query(self) -> None:
        self._note(await run_in_threadpool(standings, self._db, list(self._subscriptions)))

    def _note(self, found: Mapping[str, Standing]) -> None:
        for subject_id, standing in found.items():
            for subscription in self._subscriptions.get(subject_id, ()):
                subscription.note(standing)


def event_poll_of(request: Request) -> EventPoll:
    return cast(EventPoll, request.app.state.event_poll)
