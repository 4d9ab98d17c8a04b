"""One stream of server-sent events for all that a page follows: jobs, runs, operations, and the lists of the home page.

The id of an event has the positions in all topics, so that a reconnect has neither a gap nor a duplicate in any.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.http.event_poll import EventPoll, Subscription, event_poll_of, wait_for_change
from api.http.home_poll import HomeChange, HomePoll
from api.http.sse import PING_SECONDS, RECONNECT_MS
from api.schemas.jobs import timestamp
from core import clock
from core.db import Database
from core.db.tables import EventRow
from core.domain.limits import MAX_WAIT_SECONDS
from core.services.work.events import Standing, events_after, standing_of
from http_common.problems import invalid_fields

HOME = "home"
MAX_TOPICS = 20
MAX_POSITION = 1000  # characters, of which a topic takes at most 20

_POSITION = re.compile(r"(?P<key>[0-9a-z]{8})~(?P<seq>[0-9]{1,9})(?P<end>e?)|home~(?P<home>[0-9a-f]{8}-[0-9]{1,9})")


class _Place(NamedTuple):
    """The number of the newest event that was sent, and whether the end was, too."""

    seq: int
    end: bool


class _Positions:
    """What was sent of each topic."""

    def __init__(self, topics: Iterable[str], text: str) -> None:
        """`text`: an id of this stream, or one with other topics. Raises RequestInvalid."""
        found = [_POSITION.fullmatch(part) for part in text.split(".")] if text else []
        if len(text) > MAX_POSITION or None in found:
            raise invalid_fields([{"field": "last", "message": "expected the id of an event of this stream"}])
        known = [match.groupdict() for match in found if match]
        places = {each["key"]: _Place(int(each["seq"]), bool(each["end"])) for each in known if each["key"]}
        self.home: str | None = next((each["home"] for each in known if each["home"]), None)
        self.of = {topic: places.get(_key(topic), _Place(0, False)) for topic in topics}

    @property
    def text(self) -> str:
        parts = [f"{_key(topic)}~{seq}{'e' if end else ''}" for topic, (seq, end) in self.of.items() if seq or end]
        return ".".join([*parts, *([f"home~{self.home}"] if self.home else [])])


def position_in(request: Request, db: Database, topics: Iterable[str]) -> str:
    """The `last` of a page that is about to read what `topics` are about: its stream begins with what comes then.

    Raises JobNotFound, RunNotFound, OperationNotFound.
    """
    names = list(topics)
    positions = _Positions([name for name in names if name != HOME], "")
    for topic in positions.of:
        standing = standing_of(db, topic)
        positions.of[topic] = _Place(standing.newest, standing.ended)
    home: HomePoll = request.app.state.home_poll
    positions.home = home.running_position if HOME in names else None
    return positions.text


async def page_stream(request: Request, db: Database, topics: str, *, last: str | None) -> Response:
    """`topics`: ids and `home`, separated by commas. Ends after 60 s, and the page reconnects.

    The events of a topic are those of its own stream, with `topic` in their data. After the end of its work it has
    `end`, then nothing until it is retried or deleted. `home` has `changed`, with the names of what changed, or `all`.
    Without `last` a topic begins with its first event, `home` with what changed just now, then `begin`.
    Raises JobNotFound, RunNotFound, OperationNotFound, RequestInvalid.
    """
    names = list(dict.fromkeys(name for name in topics.split(",") if name))
    if not 0 < len(names) <= MAX_TOPICS:
        raise invalid_fields([{"field": "topics", "message": f"expected 1 to {MAX_TOPICS} ids, separated by commas"}])
    ids = [name for name in names if name != HOME]
    positions = _Positions(ids, request.headers.get("last-event-id") or last or "")
    standings = await run_in_threadpool(lambda: {name: standing_of(db, name) for name in ids})
    home: HomePoll | None = request.app.state.home_poll if HOME in names else None
    events = _events(event_poll_of(request), home, db, standings, positions)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _events(
    poll: EventPoll, home: HomePoll | None, db: Database, standings: Mapping[str, Standing], positions: _Positions
) -> AsyncIterator[str]:
    """Cancelled when the client disconnects."""
    yield f"retry: {RECONNECT_MS}\n\n"
    deadline = clock.monotonic() + MAX_WAIT_SECONDS
    ping_at, changed = clock.monotonic() + PING_SECONDS, asyncio.Event()
    with ExitStack() as stack:
        followed = {
            topic: stack.enter_context(poll.subscribed(topic, standing, changed))
            for topic, standing in standings.items()
        }
        if home is not None:
            stack.enter_context(home.subscribed(changed))
            stack.enter_context(poll.listening(changed))
            for message in _begin(home, positions):
                yield message
        while not poll.stopped:
            sent = False
            for topic, subscription in followed.items():
                for message in await _of_topic(db, topic, subscription, positions):
                    sent = True
                    yield message
            if home is not None:
                for change in home.after(positions.home):
                    sent, positions.home = True, change.position
                    yield _message(positions, _changed(change))
            now = clock.monotonic()
            if sent:
                ping_at = now + PING_SECONDS
                continue
            if now >= deadline:
                return
            if now >= ping_at:
                ping_at = now + PING_SECONDS
                yield ": ping\n\n"
            await wait_for_change(changed, min(deadline, ping_at) - now)


def _begin(home: HomePoll, positions: _Positions) -> Iterator[str]:
    """Where the page has no position in `home`: what changed just now, and a message with the position."""
    if positions.home is not None:
        return
    newest = home.position
    for change in home.after(None):
        positions.home = change.position
        yield _message(positions, _changed(change))
    positions.home = newest
    yield _message(positions, {"topic": HOME, "type": "begin", "data": {}})


def _changed(change: HomeChange) -> dict[str, Any]:
    data = {"all": True} if change.names is None else dict(change.names)
    return {"topic": HOME, "type": "changed", "data": data}


async def _of_topic(db: Database, topic: str, subscription: Subscription, positions: _Positions) -> list[str]:
    """The messages of its next events; after the last one of work that has ended, its end."""
    # The standing is read first: an event that occurs in between is then sent before `end`.
    (newest, ended), (seq, end) = subscription.standing, positions.of[topic]
    rows = await run_in_threadpool(events_after, db, topic, seq=seq) if seq < newest else []
    messages = []
    for row in rows:
        positions.of[topic] = _Place(row.seq, False)
        messages.append(_message(positions, _event(topic, row)))
    if not rows and ended and not (end and seq >= newest):
        # The events of an erased job are gone.
        positions.of[topic] = _Place(newest, True)
        messages.append(_message(positions, {"topic": topic, "seq": newest, "type": "end", "data": {}}))
    return messages


def _event(topic: str, row: EventRow) -> dict[str, Any]:
    return {"topic": topic, "seq": row.seq, "type": row.type, "at": timestamp(row.at), "data": row.data}


def _message(positions: _Positions, data: Mapping[str, Any]) -> str:
    return f"id: {positions.text}\nevent: {data['type']}\ndata: {json.dumps(data)}\n\n"


def _key(topic: str) -> str:
    """Of random characters of its id."""
    return topic[-8:]
