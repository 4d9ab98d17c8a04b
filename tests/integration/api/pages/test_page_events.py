"""One stream for several topics: no gap and no duplicate in any, however often it is interrupted."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

import api.http.home_poll
import api.http.page_stream
from core.db.tables import RunRow
from core.services.context import Platform
from core.services.runs.commands import cancel_run
from core.services.work.endings import cancel_attempt
from core.services.work.events import events_after
from core.services.work.leases import report_progress
from tests.builders import published, rows
from tests.servers.api import problem, serving

Event = dict[str, Any]


def stream(client: httpx.Client, topics: str, last: str = "", *, most: int = 10**9) -> Iterator[Event]:
    """Each event's data with the `id` that continues after it; leaves the connection after `most`."""
    query = {"topics": topics} | ({"last": last} if last else {})
    with client.stream("GET", "/ui/events", params=query) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream"), answer.read()
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if not line and "data" in fields:
                data = json.loads(fields["data"])
                assert fields["event"] == data["type"]
                yield data | {"id": fields["id"]}
                most -= 1
                if not most:
                    return
            fields = fields | {name: value} if line else {}


def report(platform: Platform, claim: Any, table: type, epochs: int) -> None:
    for epoch in range(1, epochs + 1):
        report_progress(platform.db, table, claim, "epoch", progress={"epoch": epoch, "epochs": epochs})


def test_two_runs_are_followed_over_many_reconnects(
    client: httpx.Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.http.page_stream, "MAX_WAIT_SECONDS", 0.3)
    claims = [rows.running_run(platform) for _ in range(2)]
    topics = ",".join(claim.id for claim in claims)

    def train(claim: Any) -> None:
        report(platform, claim, RunRow, 25)
        cancel_run(platform.db, claim.id)
        cancel_attempt(platform.db, RunRow, claim)

    workers = [threading.Thread(target=train, args=(claim,)) for claim in claims]
    for worker in workers:
        worker.start()
    seen: list[Event] = []
    last, ended, connections = "", set[str](), 0
    while len(ended) < 2:
        connections += 1
        # Broken off in the middle now and then, and not always by the id of the newest event of both.
        for event in stream(client, topics, last, most=7):
            seen.append(event)
            last = event["id"]
            if event["type"] == "end":
                ended.add(event["topic"])
    for worker in workers:
        worker.join()
    assert connections > 4
    for claim in claims:
        stored = [row.seq for row in events_after(platform.db, claim.id, seq=0)]
        own = [event for event in seen if event["topic"] == claim.id]
        assert [event["seq"] for event in own[:-1]] == stored == list(range(1, len(stored) + 1))
        assert (own[-1]["type"], own[-1]["seq"]) == ("end", stored[-1])
    assert list(stream(client, topics, last)) == []  # ended topics are quiet


def test_a_stream_goes_on_with_other_topics_and_an_ended_one_that_is_deleted(
    client: httpx.Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.http.page_stream, "MAX_WAIT_SECONDS", 0.3)
    job, other = published.ready_job(platform), rows.received_job(platform)
    last = [*stream(client, job.id)][-1]["id"]
    both = list(stream(client, f"{other.id},{job.id}", last))
    assert {event["topic"] for event in both} == {other.id}
    client.delete(f"/jobs/{job.id}")
    after = list(stream(client, f"{other.id},{job.id}", both[-1]["id"]))
    assert [(event["topic"], event["type"]) for event in after] == [(job.id, "state"), (job.id, "end")]


def test_home_says_what_changed_and_continues_where_it_was(
    client: httpx.Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.http.home_poll, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(api.http.home_poll, "LATELY_SECONDS", 0.0)
    (begin,) = stream(client, "home", most=1)
    assert (begin["topic"], begin["type"]) == ("home", "begin")
    job = rows.received_job(platform, project="raccoons")
    first = next(event for event in stream(client, "home", begin["id"]) if job.id in event["data"]["jobs"])
    assert "raccoons" in first["data"]["projects"]
    run = rows.running_run(platform)
    changed = next(event for event in stream(client, "home", first["id"]) if run.id in event["data"]["runs"])
    monkeypatch.setattr(api.http.page_stream, "MAX_WAIT_SECONDS", 0.2)
    settled = [changed, *stream(client, "home", changed["id"])][-1]  # it was queued and claimed, in two steps
    assert [*stream(client, "home", settled["id"])] == []
    report(platform, run, RunRow, 1)
    assert [event["data"]["runs"] for event in stream(client, "home", settled["id"])] == [[run.id]]
    for elsewhere in (f"home~{'0' * 8}-3", f"{changed['id']}999"):  # another process, or one that has forgotten
        assert next(stream(client, "home", elsewhere))["data"] == {"all": True}


def test_topics_that_cannot_be_followed_are_problems(client: httpx.Client, platform: Platform) -> None:
    job = rows.received_job(platform)
    for topics, status, slug in (
        ("run_nope", 404, "run-not-found"),
        (f"{job.id},job_nope", 404, "job-not-found"),
        ("operation_nope", 404, "operation-not-found"),
        ("", 400, "request-invalid"),
        (",".join(f"job_{number}" for number in range(21)), 400, "request-invalid"),
    ):
        problem(client.get("/ui/events", params={"topics": topics}), status, slug)
    for last in ("x", "home~", "1.2", "a" * 900):
        problem(client.get("/ui/events", params={"topics": job.id, "last": last}), 400, "request-invalid")


def test_open_streams_do_not_keep_the_service_from_stopping(platform: Platform) -> None:
    job = rows.received_job(platform)
    began = 0.0
    with serving(platform) as client, ExitStack() as streams:
        for topics in (job.id, "home", f"home,{job.id}"):
            answer = streams.enter_context(client.stream("GET", "/ui/events", params={"topics": topics}))
            assert next(line for line in answer.iter_lines() if line.startswith("id:"))
        began = time.monotonic()
    assert time.monotonic() - began < 1.0
