# Written by client/make_sync.py from darkroom._async: change that, then run it.
"""What datasets, runs and operations have in common: they change until they end, and can be followed meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from time import monotonic
from typing import Any, Protocol, TypeVar

import httpx

from darkroom._sync.runtime import sleep
from darkroom._sync.transport import Transport, unexpected
from darkroom.errors import Problem, ServiceUnavailable, ServiceUnreachable, WaitTimeout, WorkFailed
from darkroom.event_lines import EventLines
from darkroom.schemas import Event
from darkroom.schemas.decode import decode

LONG_POLL_SECONDS = 60  # the most that the service waits
SHORT_POLL_SECONDS = 5  # where a proxy does not let a request wait so long
PATIENCE_SECONDS = 300.0  # a service that is away for less than this is waited for
RECONNECT_SECONDS = 1.0
GRACE_SECONDS = 15.0  # for the answer of a long poll, however short the timeout of the client is
EVENT_STREAM = "text/event-stream"


class Work(Protocol):
    @property
    def state(self) -> str: ...

    @property
    def problem(self) -> Problem | None: ...


T = TypeVar("T", bound=Work)


def wait_until_ended(
    transport: Transport, kind: type[T], path: str, *, ended: frozenset[str], timeout: float | None
) -> T:
    """By long polls. Raises WaitTimeout, and ServiceUnreachable after five minutes without the service."""
    deadline = None if timeout is None else monotonic() + timeout
    poll, seen_at = LONG_POLL_SECONDS, monotonic()
    while True:
        left = LONG_POLL_SECONDS if deadline is None else max(0.0, deadline - monotonic())
        seconds = int(min(poll, left))
        try:
            found = transport.read(kind, path, {"wait": seconds}, timeout=seconds + GRACE_SECONDS)
        except (ServiceUnreachable, ServiceUnavailable):
            if monotonic() - seen_at > PATIENCE_SECONDS or (deadline is not None and monotonic() >= deadline):
                raise
            poll = SHORT_POLL_SECONDS
            sleep(RECONNECT_SECONDS)
            continue
        seen_at = monotonic()
        if found.state in ended:
            return found
        if deadline is not None and monotonic() >= deadline:
            raise WaitTimeout(f"{path} is {found.state} after {timeout:.0f} s: it goes on.")
        if left < 1:
            sleep(left)


def follow(transport: Transport, kind: type[T], path: str, *, ended: frozenset[str], seconds: float) -> Iterator[T]:
    """The state every so many seconds; the one in which it ended comes last.

    Raises ServiceUnreachable after five minutes without the service.
    """
    seen_at = monotonic()
    while True:
        try:
            found = transport.read(kind, path)
        except (ServiceUnreachable, ServiceUnavailable):
            if monotonic() - seen_at > PATIENCE_SECONDS:
                raise
        else:
            seen_at = monotonic()
            yield found
            if found.state in ended:
                return
        sleep(seconds)


def events(transport: Transport, path: str, *, after: int) -> Iterator[Event]:
    """Every event once, until the end of the work. Reconnects with the id of the last one.

    Raises ServiceUnreachable after five minutes without the service.
    """
    last_id, seen_at = str(after), monotonic()
    while True:
        lines = EventLines(last_id)
        try:
            with transport.stream(path, headers={"Last-Event-ID": last_id}) as response:
                if response.status_code == httpx.codes.NO_CONTENT:
                    return
                if not response.headers.get("content-type", "").startswith(EVENT_STREAM):
                    raise unexpected(response)
                for line in response.iter_lines():
                    seen_at = monotonic()
                    data = lines.data_after(line)
                    last_id = lines.last_id
                    if data and "type" in (found := json.loads(data)):
                        yield decode(Event, found)
        except httpx.TransportError as error:
            if monotonic() - seen_at > PATIENCE_SECONDS:
                raise transport.unreachable(error) from error
            sleep(RECONNECT_SECONDS)
        except (ServiceUnreachable, ServiceUnavailable):
            if monotonic() - seen_at > PATIENCE_SECONDS:
                raise
            sleep(RECONNECT_SECONDS)


def succeeded(found: T, *, name: str, state: str) -> T:
    """Raises WorkFailed where it ended in another state."""
    if found.state != state:
        raise WorkFailed(found, state=found.state, name=name, problem=found.problem)
    return found


def without_none(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
