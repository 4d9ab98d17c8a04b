"""Server-sent events: the same sequence as polling, from any number on, without gaps or duplicates."""

import json
import re
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.http.event_poll import EventPoll, event_poll_of
from api.schemas.jobs import timestamp
from core import clock
from core.db import Database
from core.db.tables import EventRow
from core.domain.limits import MAX_WAIT_SECONDS
from core.services.work.events import Standing, events_after, standing_of
from http_common.problems import invalid_fields

PING_SECONDS = 15.0  # proxies close a connection that is silent for 30 s
RECONNECT_MS = 500

EVENT_ID = r"^[0-9]{1,9}(\.end)?$"
_EVENT_ID = re.compile(r"([0-9]{1,9})(\.end)?")


LastEventId = Annotated[
    str | None, Query(pattern=EVENT_ID, description="For clients that cannot send the header `Last-Event-ID`.")
]


async def event_stream(request: Request, db: Database, subject_id: str, *, last_event_id: str | None) -> Response:
    """All events after `last_event_id`, then new ones as they occur, for at most 60 s; then the client reconnects.

    After the end of the work: `end`, with the id `{seq}.end`. A client that reconnects with this id gets 204, which
    stops it from reconnecting.
    Raises JobNotFound, RunNotFound, OperationNotFound, RequestInvalid.
    """
    seq, saw_end = _parse(request.headers.get("last-event-id") or last_event_id or "0")
    standing = await run_in_threadpool(standing_of, db, subject_id)
    if saw_end and standing.ended and seq >= standing.newest:
        return Response(status_code=204)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    events = _events(event_poll_of(request), db, subject_id, seq, standing)
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _events(poll: EventPoll, db: Database, subject_id: str, seq: int, standing: Standing) -> AsyncIterator[str]:
    """Cancelled when the client disconnects."""
    yield f"retry: {RECONNECT_MS}\n\n"
    deadline = clock.monotonic() + MAX_WAIT_SECONDS
    ping_at = clock.monotonic() + PING_SECONDS
    with poll.subscribed(subject_id, standing) as subscription:
        while True:
            # The standing is read first: an event that occurs in between is then sent before `end`.
            newest, ended = subscription.standing
            rows = await run_in_threadpool(events_after, db, subject_id, seq=seq) if seq < newest else []
            for row in rows:
                yield _message(row)
            if rows:
                seq, ping_at = rows[-1].seq, clock.monotonic() + PING_SECONDS
                continue
            if ended:
                # The events of an erased job are gone, and `newest` is what a client that reconnects is compared with.
                yield f"id: {newest}.end\nevent: end\ndata: {json.dumps({'seq': newest})}\n\n"
                return
            now = clock.monotonic()
            if now >= deadline or poll.stopped:
                return
            if now >= ping_at:
                ping_at = now + PING_SECONDS
                yield ": ping\n\n"
            await subscription.wait(min(deadline, ping_at) - now)


def _message(row: EventRow) -> str:
    data = {"seq": row.seq, "type": row.type, "at": timestamp(row.at), "data": row.data}
    return f"id: {row.seq}\nevent: {row.type}\ndata: {json.dumps(data)}\n\n"


def _parse(event_id: str) -> tuple[int, bool]:
    match = _EVENT_ID.fullmatch(event_id.strip())
    if match is None:
        problem = {"field": "Last-Event-ID", "message": "expected the id of an event of this stream"}
        raise invalid_fields([problem])
    return int(match.group(1)), match.group(2) is not None
