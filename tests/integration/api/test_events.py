"""Event streams over real HTTP, replayed and live, without gaps or duplicates."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

import api.http.event_poll
import api.http.sse
from core.db.tables import RunRow
from core.db.transitions import public_fields
from core.services.context import Platform
from core.services.runs.commands import cancel_run, get_run
from core.services.work.endings import cancel_attempt
from core.services.work.events import events_after
from core.services.work.leases import report_progress
from tests.builders import published, rows
from tests.servers.api import problem


def test_an_ended_run_is_replayed_from_any_event_and_then_ends(client: httpx.Client, platform: Platform) -> None:
    run_id = published.version(platform, published.ready_job(platform).id, b"one").run_id
    seqs = [row.seq for row in events_after(platform.db, run_id, seq=0)]
    for last in (None, "1", "2"):
        events = list(stream(client, f"/runs/{run_id}/events", last))
        assert [event["id"] for event in events[:-1]] == [str(seq) for seq in seqs if seq > int(last or 0)]
        assert (events[-1]["event"], events[-1]["id"]) == ("end", f"{seqs[-1]}.end")
    assert client.get(f"/runs/{run_id}/events", headers={"last-event-id": f"{seqs[-1]}.end"}).status_code == 204
    assert client.get(f"/runs/{run_id}/events?last_event_id={seqs[-1]}.end").status_code == 204
    problem(client.get(f"/runs/{run_id}/events", headers={"last-event-id": "x"}), 400, "request-invalid")
    problem(client.get("/runs/run_nope/events"), 404, "run-not-found")


def test_a_client_that_reconnects_again_and_again_gets_each_event_once(
    client: httpx.Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.http.sse, "MAX_WAIT_SECONDS", 0.15)
    claim = rows.running_run(platform)
    worker = threading.Thread(target=train_quickly, args=(platform, claim))
    worker.start()
    seen: list[dict[str, Any]] = []
    last = None
    while not seen or seen[-1]["event"] != "end":
        for event in stream(client, f"/runs/{claim.id}/events", last):
            seen.append(event)
            last = event["id"]
    worker.join()
    stored = events_after(platform.db, claim.id, seq=0)
    assert (
        [event["data"]["seq"] for event in seen[:-1]] == [row.seq for row in stored] == list(range(1, len(stored) + 1))
    )
    merged: dict[str, Any] = {}
    for event in seen[:-1]:
        merged |= event["data"]["data"]
    polled = public_fields(get_run(platform.db, claim.id))
    assert {name: value for name, value in polled.items() if name in merged} == merged


def test_a_silent_stream_is_kept_open_by_comments(
    client: httpx.Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.http.sse, "MAX_WAIT_SECONDS", 1.0)
    monkeypatch.setattr(api.http.sse, "PING_SECONDS", 0.2)
    run = rows.queued_run(platform)
    text = client.get(f"/runs/{run.id}/events").text
    assert text.count(": ping") >= 1 and "retry:" in text and "event: end" not in text


def test_idle_streams_share_one_query(client: httpx.Client, platform: Platform) -> None:
    jobs = [rows.received_job(platform) for _ in range(10)]
    with ExitStack() as streams:
        for job in jobs:
            answer = streams.enter_context(client.stream("GET", f"/jobs/{job.id}/events"))
            lines = answer.iter_lines()
            while not next(lines).startswith("event: state"):
                pass
        with statements_of(platform) as statements:
            time.sleep(4 * api.http.event_poll.POLL_SECONDS)
    assert 1 <= len(statements) <= 5, statements


@contextmanager
def statements_of(platform: Platform) -> Iterator[list[str]]:
    """The SQL statements executed within the block."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            statements.append(statement)

    sa.event.listen(platform.db.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sa.event.remove(platform.db.engine, "before_cursor_execute", note)


def test_the_deletion_of_a_job_is_an_event_of_its_stream(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform)
    events = list(stream(client, f"/jobs/{job.id}/events", None))
    client.delete(f"/jobs/{job.id}")
    after = list(stream(client, f"/jobs/{job.id}/events", events[-1]["id"]))
    assert [event["event"] for event in after] == ["state", "end"] and after[0]["data"]["data"]["state"] == "deleted"


def train_quickly(platform: Platform, claim: Any) -> None:
    for epoch in range(1, 41):
        progress = {"epoch": epoch, "epochs": 40, "metrics": {"mAP50": epoch / 40}, "seconds_left": 40.0 - epoch}
        report_progress(platform.db, RunRow, claim, "epoch", progress=progress)
    cancel_run(platform.db, claim.id)
    cancel_attempt(platform.db, RunRow, claim)


def stream(client: httpx.Client, path: str, last_event_id: str | None) -> Iterator[dict[str, Any]]:
    headers = {"last-event-id": last_event_id} if last_event_id else {}
    with client.stream("GET", path, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        event: dict[str, Any] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if not line and "event" in event:
                yield event | {"data": json.loads(event["data"])}
            event = event | {name: value} if line else {}
