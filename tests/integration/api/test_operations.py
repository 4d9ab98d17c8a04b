"""Operations over real HTTP: read, wait, follow, list, cancel, retry."""

import threading
from typing import Any

import httpx

from core.db.tables import OperationRow
from core.domain.errors import OperationFailed
from core.services.context import Platform
from core.services.operations.commands import queue_operation
from core.services.operations.lifecycle import complete_operation
from core.services.work.endings import fail_attempt
from core.services.work.leases import report_progress
from tests.builders import rows
from tests.integration.api.test_events import stream
from tests.servers.api import problem


def read(client: httpx.Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_it_is_read_waited_for_and_followed_to_its_result(client: httpx.Client, platform: Platform) -> None:
    job = rows.ready_job(platform)
    claim = rows.running_operation(platform, job_id=job.id)
    path = f"/operations/{claim.id}"
    running = read(client, path)
    assert (running["kind"], running["state"], running["job_id"]) == ("scripted", "running", job.id)
    assert running["project"].startswith("raccoons-") and running["params"] == {"steps": 3}
    assert set(running["links"]) == {"self", "events", "job", "cancel"}
    report_progress(platform.db, OperationRow, claim, stage="reading", progress={"done": 1, "total": 3})
    timer = threading.Timer(0.3, complete_operation, (platform.db, claim, {"images": 3}))
    timer.start()
    ended = read(client, f"{path}?wait=20")
    timer.join()
    assert (ended["state"], ended["result"], ended["progress"]) == ("succeeded", {"images": 3}, None)
    events = list(stream(client, f"{path}/events", None))
    folded: dict[str, Any] = {}
    for event in events[:-1]:
        folded |= event["data"]["data"]
    assert events[-1]["event"] == "end" and folded.items() <= ended.items()
    assert client.get(f"{path}/events", headers={"last-event-id": events[-1]["id"]}).status_code == 204
    assert client.head(path).status_code == 200 and client.head("/operations").status_code == 200


def test_the_list_is_filtered_and_paged_newest_first(client: httpx.Client, platform: Platform) -> None:
    job = rows.ready_job(platform)
    ids = [
        queue_operation(platform, kind, {}, job_id=owner).id
        for kind, owner in (("scripted", job.id), ("other", None), ("scripted", None))
    ]
    client.post(f"/operations/{ids[2]}/cancel")
    page = read(client, "/operations?limit=2")
    rest = read(client, f"/operations?limit=2&cursor={page['next_cursor']}")
    assert [item["operation_id"] for item in page["items"] + rest["items"]] == ids[::-1]
    slug = rest["items"][0]["project"]
    for query, expected in (
        (f"project={slug}", [ids[0]]),
        (f"job_id={job.id}", [ids[0]]),
        ("kind=scripted", [ids[2], ids[0]]),
        ("kind=scripted&state=queued", [ids[0]]),
    ):
        assert [item["operation_id"] for item in read(client, f"/operations?{query}")["items"]] == expected
    problem(client.get("/operations?project=nobody"), 404, "project-not-found")
    problem(client.get("/operations?state=gone"), 400, "request-invalid")


def test_a_failed_one_is_retried_once_with_its_key(client: httpx.Client, platform: Platform) -> None:
    claim = rows.running_operation(platform)
    fail_attempt(platform.db, OperationRow, claim, OperationFailed("ours"))
    path = f"/operations/{claim.id}"
    assert read(client, path)["problem"]["slug"] == "operation-failed"
    problem(client.post(f"{path}/cancel"), 409, "operation-not-cancellable")
    answers = [client.post(f"{path}/retry", headers={"idempotency-key": "again"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202] and answers[0].json() == answers[1].json()
    problem(client.post(f"{path}/retry"), 409, "operation-not-retryable")
    cancelled = [client.post(f"{path}/cancel") for _ in range(2)]
    assert [answer.json()["state"] for answer in cancelled] == ["cancelled", "cancelled"]


def test_one_that_does_not_exist_or_was_deleted_says_so(client: httpx.Client, platform: Platform) -> None:
    for query in ("", "?wait=1"):
        problem(client.get(f"/operations/nothing{query}"), 404, "operation-not-found")
        problem(client.get(f"/runs/nothing{query}"), 404, "run-not-found")
    problem(client.get("/operations/operation_nothing/events"), 404, "operation-not-found")
    problem(client.post("/operations/operation_nothing/cancel"), 404, "operation-not-found")
    job = rows.ready_job(platform)
    claim = rows.running_operation(platform, job_id=job.id)
    assert problem(client.delete(f"/jobs/{job.id}"), 409, "job-in-use")["operations"] == [claim.id]
    assert client.delete(f"/jobs/{job.id}?cancel=true").status_code == 200
    for path in ("", "/events"):
        problem(client.get(f"/operations/{claim.id}{path}"), 410, "gone")
    for action in ("cancel", "retry"):
        problem(client.post(f"/operations/{claim.id}/{action}"), 410, "gone")
    assert read(client, "/operations")["items"] == []
