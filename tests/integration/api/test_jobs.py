"""Jobs over HTTP: polling, findings, retry and deletion."""

from typing import Any

import httpx

from core.db.tables import JobRow
from core.domain.errors import PreparationFailed
from core.services.context import Platform
from core.services.runs.commands import get_run
from core.services.work.endings import fail_attempt
from core.services.work.events import events_after
from core.services.work.leases import report_progress
from tests.builders import published, rows
from tests.servers.api import problem


def test_every_polled_state_is_the_merge_of_the_events_so_far(client: httpx.Client, platform: Platform) -> None:
    claim = rows.claimed_job(platform)
    path = f"/jobs/{claim.id}"
    polled = [client.get(path).json()]
    report_progress(platform.db, JobRow, claim, stage="checking", progress={"done": 1, "total": 2})
    polled.append(client.get(path).json())
    rows.complete(platform, claim, findings=2)
    polled.append(client.get(path).json())
    events = events_after(platform.db, claim.id, seq=0)
    for job in polled:
        merged: dict[str, Any] = {}
        for event in events[: job["seq"]]:
            merged |= event.data
        assert {name: job[name] for name in merged} == merged
        assert all(value is None for name, value in job.items() if name in NULLABLE and name not in merged)
    assert polled[-1]["findings"] == {"box-outside": {"severity": "warning", "count": 2}}


def test_findings_are_paged_without_gaps_and_can_be_filtered(client: httpx.Client, platform: Platform) -> None:
    claim = rows.claimed_job(platform)
    rows.complete(platform, claim, findings=7)
    path = f"/jobs/{claim.id}/findings"
    seen, cursor = 0, None
    while True:
        page = client.get(path, params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        seen, cursor = seen + len(page["items"]), page["next_cursor"]
        if cursor is None:
            break
    assert seen == 7 and set(page["items"][0]) == {
        "code",
        "title",
        "severity",
        "path",
        "line",
        "detail",
        "remedy",
        "image",
        "links",
    }
    assert client.get(path, params={"severity": "error"}).json()["items"] == []
    problem(client.get(path, params={"cursor": "nonsense!"}), 400, "cursor-invalid")


def test_a_job_lists_its_runs_and_versions(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform)
    published.version(platform, job.id, b"one")
    rows.queued_run(platform, job.id)
    answer = client.get(f"/jobs/{job.id}").json()
    assert [(run["state"], run["version"]) for run in answer["runs"]] == [("succeeded", 1), ("queued", None)]
    assert [version["version"] for version in answer["versions"]] == ["v1"] and answer["last_version"] == 1
    not_here = {"train", "repair", "source", "images"}  # POSTs, and what this job has nothing stored for
    for name, path in answer["links"].items():
        if name not in not_here:
            assert client.get(path).status_code == 200, path
    problem(client.get(answer["links"]["images"]), 409, "image-index-missing")


def test_only_a_failed_job_can_be_retried_and_a_key_retries_it_once(client: httpx.Client, platform: Platform) -> None:
    claim = rows.claimed_job(platform)
    path = f"/jobs/{claim.id}/retry"
    assert problem(client.post(path), 409, "job-not-retryable")["state"] == "preparing"
    fail_attempt(platform.db, JobRow, claim, PreparationFailed("The disk broke."))
    assert client.get(f"/jobs/{claim.id}").json()["problem"]["slug"] == "preparation-failed"
    headers = {"Idempotency-Key": "again"}
    first = client.post(path, headers=headers)
    assert (first.status_code, first.json()["state"]) == (202, "received")
    again = client.post(path, headers=headers)
    assert again.json() == first.json() and again.headers["idempotency-replayed"] == "true"
    problem(client.post(path), 409, "job-not-retryable")


def test_a_deleted_job_is_gone_and_a_job_in_use_cannot_be_deleted(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform)
    published.version(platform, job.id, b"one")
    run = rows.queued_run(platform, job.id)
    client.put(f"/models/{job.id}/aliases/production", json={"version": "v1"})
    in_use = problem(client.delete(f"/jobs/{job.id}?cancel=true"), 409, "job-in-use")
    assert in_use["detail"].endswith("points at a version of this job: move it to another one or remove it first.")

    other = published.ready_job(platform)
    run = rows.queued_run(platform, other.id)
    assert problem(client.delete(f"/jobs/{other.id}"), 409, "job-in-use")["runs"] == [run.id]
    deleted = client.delete(f"/jobs/{other.id}?cancel=true").json()
    assert (deleted["state"], deleted["links"]) == ("deleted", {})
    assert get_run(platform.db, run.id).state == "cancelled"
    problem(client.get(f"/runs/{run.id}"), 410, "gone")
    for path in ("/jobs/{}", "/jobs/{}/findings", "/jobs/{}/events", "/dataset/metadata/{}", "/models/{}"):
        problem(client.get(path.format(other.id)), 410, "gone")
    problem(client.post(f"/train-async/{other.id}"), 410, "gone")
    listed = [item["job_id"] for item in client.get("/jobs").json()["items"]]
    assert job.id in listed and other.id not in listed
    listed = client.get("/jobs?state=deleted").json()["items"]
    assert [(item["job_id"], item["links"]) for item in listed] == [(other.id, {})]


def test_lists_are_paged_newest_first(client: httpx.Client, platform: Platform) -> None:
    ids = [rows.received_job(platform, name=f"job {number}").id for number in range(5)]
    first = client.get("/jobs?limit=2").json()
    rows.received_job(platform)  # a new row does not shift the pages that follow
    second = client.get("/jobs", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [item["job_id"] for item in first["items"] + second["items"]] == sorted(ids, reverse=True)[:4]
    problem(client.get("/jobs?state=tired"), 400, "request-invalid")
    problem(client.get("/jobs/job_nope"), 404, "job-not-found")


NULLABLE = ("stage", "progress", "problem", "kind", "images", "fingerprint", "finished_at", "deleted_at")
