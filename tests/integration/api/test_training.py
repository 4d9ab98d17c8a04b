"""Trainings over HTTP: params, cancel, stop, retry and logs."""

from pathlib import Path

import httpx
import pytest

from api.http.run_logs import TAIL_BYTES
from core.db.tables import RunRow
from core.domain.errors import OutOfMemory, StoreRefused
from core.domain.keys import log_key
from core.services.context import Platform
from core.services.maintenance.recovery import oldest_waiting
from core.services.maintenance.retention import named_keys, note_job_purged
from core.services.runs.commands import get_run, list_runs
from core.services.runs.logs import find_log, keeping_log, note_log_tail
from core.services.work.endings import cancel_attempt, fail_attempt, give_back_attempt, refuse_attempt
from core.services.work.events import events_after
from core.services.work.leases import claim_row, poll_claim, record_checkpoint
from tests.builders import published, rows
from tests.servers.api import problem


def test_a_training_needs_only_a_ready_job(client: httpx.Client, platform: Platform) -> None:
    waiting = rows.received_job(platform)
    not_ready = problem(client.post(f"/train-async/{waiting.id}"), 409, "job-not-ready")
    assert (not_ready["state"], not_ready["links"]) == ("received", {"job": f"/jobs/{waiting.id}"})
    job = published.ready_job(platform)
    answer = client.post(f"/train-async/{job.id}")
    assert answer.status_code == 202 and answer.json()["state"] == "queued"
    run = client.get(answer.json()["links"]["self"]).json()
    assert (run["trainer"], run["job_id"], run["fingerprint"]) == ("yolo", job.id, job.fingerprint)
    assert run["params"]["model"] == "yolov8n" and run["params"]["epochs"] > 1, "defaults are filled in"
    assert oldest_waiting(platform.db, "train") == run["run_id"]


def test_the_runs_of_a_deleted_job_are_gone(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform)
    run = rows.queued_run(platform, job.id)
    assert client.get(f"/runs/{run.id}").is_success
    client.delete(f"/jobs/{job.id}?cancel=true")
    for path in ("", "/log", "/events"):
        problem(client.get(f"/runs/{run.id}{path}"), 410, "gone")
    kept = rows.queued_run(platform)
    assert [item["run_id"] for item in client.get("/runs").json()["items"]] == [kept.id]
    assert client.get(f"/runs?job_id={job.id}").json()["items"] == []


@pytest.mark.parametrize(
    ("body", "slug", "fields"),
    [
        ({"params": {"epochs": 0, "batch": "many"}}, "params-invalid", {"params.epochs", "params.batch"}),
        ({"params": {"epoch": 3}}, "params-invalid", {"params.epoch"}),
        ({"params": {"model": "/etc/passwd"}}, "params-invalid", {"params.model"}),
        ({"trainer": "crystal-ball"}, "params-invalid", {"trainer"}),
        ({"parms": {}}, "request-invalid", {"parms"}),
        ([1], "request-invalid", {"body"}),
    ],
)
def test_bad_params_are_named(
    client: httpx.Client, platform: Platform, body: object, slug: str, fields: set[str]
) -> None:
    job = published.ready_job(platform)
    answer = problem(client.post(f"/train-async/{job.id}", json=body), 400, slug)
    assert {each["field"] for each in answer["errors"]} == fields
    assert list_runs(platform.db, cursor=None, limit=1).items == []


@pytest.mark.parametrize(
    ("body", "slug", "message"),
    [
        ({"trianer": "yolo"}, "request-invalid", "trianer: There is no field of this name; did you mean 'trainer'?"),
        (
            {"params": {"epohcs": 3}},
            "params-invalid",
            "params.epohcs: There is no field of this name; did you mean 'epochs'?",
        ),
        ({"params": {"epochs": 0}}, "params-invalid", "params.epochs: Input should be greater than or equal to 1."),
        (
            {"params": {"model": "raccoons"}},
            "params-invalid",
            "params.model: unknown architecture 'raccoons'; for example yolov8n, yolo11s, yolo26m, a file NAME.pt, or "
            "a version of ours: v3, @production, PROJECT/v3, PROJECT@production.",
        ),
        (
            {"params": {"epochs": 0, "batch": "many", "imgsz": 33}},
            "params-invalid",
            "params.epochs: Input should be greater than or equal to 1. 2 more are in `errors`.",
        ),
    ],
)
def test_the_detail_gives_the_first_invalid_field_with_its_reason(
    client: httpx.Client, platform: Platform, body: object, slug: str, message: str
) -> None:
    job = published.ready_job(platform)
    assert problem(client.post(f"/train-async/{job.id}", json=body), 400, slug)["detail"] == f"Not valid: {message}"


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/x-www-form-urlencoded"}])
def test_a_body_that_is_not_sent_as_json_is_refused_with_the_content_type_to_send(
    client: httpx.Client, platform: Platform, headers: dict[str, str]
) -> None:
    job = published.ready_job(platform)
    answer = client.post(f"/train-async/{job.id}", content=b'{"trainer": "yolo"}', headers=headers)
    body = problem(answer, 400, "request-invalid")
    assert body["errors"] == [{"field": "body", "message": "Send JSON with `Content-Type: application/json`."}]


def test_malformed_json_and_an_endless_body_are_refused(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform)
    headers = {"content-type": "application/json"}
    problem(client.post(f"/train-async/{job.id}", content=b"{", headers=headers), 400, "request-invalid")
    endless = (b" " * 65536 for _ in range(64))
    problem(client.post(f"/train-async/{job.id}", content=endless, headers=headers), 413, "limit-exceeded")


def test_a_kind_of_dataset_without_a_trainer_is_refused(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform, kind="captions")
    problem(client.post(f"/train-async/{job.id}"), 409, "trainer-kind-mismatch")
    problem(client.post(f"/train-async/{job.id}", json={"trainer": "yolo"}), 409, "trainer-kind-mismatch")


def test_the_trainer_of_imported_files_is_not_listed_and_trains_nothing(
    client: httpx.Client, platform: Platform
) -> None:
    job = published.ready_job(platform)
    answer = problem(client.post(f"/train-async/{job.id}", json={"trainer": "onnx"}), 422, "trainer-cannot-train")
    assert "These train: clip, vit, yolo." in answer["detail"]
    assert "onnx" not in [item["name"] for item in client.get("/trainers").json()["items"]]
    assert list_runs(platform.db, cursor=None, limit=1).items == []


def test_the_same_key_queues_one_run_whatever_the_order_of_the_fields(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform)
    path, headers = f"/train-async/{job.id}", {"Idempotency-Key": "k", "content-type": "application/json"}
    first = client.post(path, content=b'{"params": {"epochs": 3, "seed": 1}}', headers=headers)
    again = client.post(path, content=b'{"params":{"seed":1,"epochs":3},"trainer":null}', headers=headers)
    assert first.json() == again.json() and again.headers["idempotency-replayed"] == "true"
    assert len(list_runs(platform.db, cursor=None, limit=10).items) == 1
    problem(client.post(path, content=b'{"params":{"epochs":4}}', headers=headers), 422, "idempotency-key-reused")
    problem(client.post(path, headers={"Idempotency-Key": "two words"}), 400, "request-invalid")


@pytest.mark.parametrize("action", ["cancel", "stop", "retry"])
def test_the_same_key_replays_the_answer_to_an_action_on_a_run(
    client: httpx.Client, platform: Platform, action: str
) -> None:
    claim = rows.running_run(platform)
    if action == "retry":
        fail_attempt(platform.db, RunRow, claim, OutOfMemory("too much"))
    path, headers = f"/runs/{claim.id}/{action}", {"Idempotency-Key": "k"}
    first = client.post(path, headers=headers)
    events = len(events_after(platform.db, claim.id, seq=0))
    again = client.post(path, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202) and first.json() == again.json()
    assert "idempotency-replayed" not in first.headers and again.headers["idempotency-replayed"] == "true"
    assert len(events_after(platform.db, claim.id, seq=0)) == events, "it was not done again"


def test_a_queued_run_is_cancelled_at_once_and_a_running_one_is_cancelling(
    client: httpx.Client, platform: Platform
) -> None:
    job = published.ready_job(platform)
    queued = rows.queued_run(platform, job.id)
    assert client.post(f"/runs/{queued.id}/cancel").json()["state"] == "cancelled"
    claim = rows.running_run(platform, job.id)
    assert client.post(f"/runs/{claim.id}/cancel").json()["state"] == "cancelling"
    assert poll_claim(platform.db, RunRow, claim).cancel
    cancel_attempt(platform.db, RunRow, claim)
    assert client.post(f"/runs/{claim.id}/cancel").json()["state"] == "cancelled", "again: the same answer"
    version = published.version(platform, job.id, b"one")
    problem(client.post(f"/runs/{version.run_id}/cancel"), 409, "run-not-cancellable")
    problem(client.post("/runs/run_nope/cancel"), 404, "run-not-found")


def test_stop_is_passed_on_to_a_running_run(client: httpx.Client, platform: Platform) -> None:
    claim = rows.running_run(platform)
    assert client.post(f"/runs/{claim.id}/stop").status_code == 202
    assert poll_claim(platform.db, RunRow, claim).stop and client.get(f"/runs/{claim.id}").json()["stop_requested"]
    problem(client.post(f"/runs/{rows.queued_run(platform).id}/stop"), 409, "run-not-cancellable")


def test_a_failed_run_keeps_its_problem_and_can_be_retried(client: httpx.Client, platform: Platform) -> None:
    claim = rows.running_run(platform)
    problem(client.post(f"/runs/{claim.id}/retry"), 409, "run-not-retryable")
    fail_attempt(platform.db, RunRow, claim, OutOfMemory("batch 64 does not fit.", batch=64))
    failed = client.get(f"/runs/{claim.id}").json()
    assert (failed["problem"]["slug"], failed["problem"]["batch"]) == ("out-of-memory", 64)
    assert client.post(failed["links"]["retry"]).json()["state"] == "queued"
    assert get_run(platform.db, claim.id).problem is None


def test_a_log_can_be_read_whole_by_its_tail_and_by_ranges(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform)
    run_id = published.version(platform, job.id, b"one").run_id
    assert client.get(f"/runs/{run_id}/log").content == published.LOG
    assert client.get(f"/runs/{run_id}/log?tail=2").text == "line 99\nline 100\n"
    assert client.get(f"/runs/{run_id}/log", headers={"range": "bytes=-9"}).text == "line 100\n"
    problem(client.get(f"/runs/{rows.queued_run(platform).id}/log"), 404, "not-found")


def test_the_tail_of_a_log_has_whole_lines_and_a_progress_bar_is_one(
    client: httpx.Client, platform: Platform, tmp_path: Path
) -> None:
    claim = rows.running_run(platform)
    key, path, bar = log_key(claim.id, claim.attempt), tmp_path / "log", b"1%\r50%\r100%\n"
    path.write_bytes(b"x" * 40 + b"\n" + b"y" * (TAIL_BYTES - 20) + b"\n" + bar)
    platform.store.put(key, path)
    fail_attempt(platform.db, RunRow, claim, OutOfMemory("too much"), on_commit=keeping_log(claim, key))
    assert client.get(f"/runs/{claim.id}/log?tail=1").content == bar
    assert client.get(f"/runs/{claim.id}/log?tail=9").content == b"y" * (TAIL_BYTES - 20) + b"\n" + bar


def test_a_stored_checkpoint_resets_the_count_of_refusals(platform: Platform) -> None:
    claim = rows.running_run(platform)
    assert refuse_attempt(platform.db, RunRow, claim, StoreRefused("no")).refusals == 1
    claimed = claim_row(platform.db, RunRow, claim.id, "w", lease_seconds=60)
    assert claimed is not None
    record_checkpoint(platform.db, RunRow, claimed[0], key="k", epoch=1, sha256="4" * 64)
    assert get_run(platform.db, claim.id).refusals == 0


def test_the_end_of_a_log_can_be_read_during_a_run_and_each_attempt_has_its_own(
    client: httpx.Client, platform: Platform
) -> None:
    claim = rows.running_run(platform)
    path = f"/runs/{claim.id}/log"
    problem(client.get(path), 404, "not-found")
    note_log_tail(platform.db, claim, b"epoch 1\n", total_bytes=8)
    note_log_tail(platform.db, claim, b"ch 1\nepoch 2\nepoch 3\n", total_bytes=24)
    end = client.get(path)
    assert (end.text, end.headers["x-log-part"]) == ("epoch 2\nepoch 3\n", "end"), "from its first whole line on"
    assert client.get(f"{path}?tail=1").text == "epoch 3\n"
    assert "log" in client.get(f"/runs/{claim.id}").json()["links"]

    give_back_attempt(platform.db, RunRow, claim)  # like a lost worker, which leaves no log
    again = claim_row(platform.db, RunRow, claim.id, "w", lease_seconds=60)
    assert again is not None
    note_log_tail(platform.db, again[0], b"epoch 3, again\n", total_bytes=15)
    key = published.put(platform, log_key(claim.id, 2), b"the whole\n")[0]
    fail_attempt(platform.db, RunRow, again[0], OutOfMemory(), on_commit=keeping_log(again[0], key))
    note_log_tail(platform.db, again[0], b"late\n", total_bytes=20)  # from a thread that was still waiting

    assert [client.get(f"{path}{query}").text for query in ("", "?attempt=2", "?attempt=1")] == [
        "the whole\n",
        "the whole\n",
        "epoch 2\nepoch 3\n",
    ]
    assert client.get(path).headers["x-log-part"] == "whole"
    problem(client.get(f"{path}?attempt=3"), 404, "not-found")
    assert named_keys(platform.db, [key, log_key(claim.id, 1)]) == {key}


def test_the_logs_of_a_purged_job_are_gone(client: httpx.Client, platform: Platform) -> None:
    claim = rows.running_run(platform)
    note_log_tail(platform.db, claim, b"epoch 1\n", total_bytes=8)
    fail_attempt(platform.db, RunRow, claim, OutOfMemory())
    job_id = get_run(platform.db, claim.id).job_id
    client.delete(f"/jobs/{job_id}")
    note_job_purged(platform.db, job_id)
    assert find_log(platform.db, claim.id) is None


def test_runs_are_filtered_by_job_and_state(client: httpx.Client, platform: Platform) -> None:
    run = rows.queued_run(platform)
    rows.running_run(platform)
    assert [item["run_id"] for item in client.get(f"/runs?job_id={run.job_id}").json()["items"]] == [run.id]
    assert [item["run_id"] for item in client.get("/runs?state=queued").json()["items"]] == [run.id]


def test_the_catalogue_describes_each_param(client: httpx.Client) -> None:
    yolo = next(item for item in client.get("/trainers").json()["items"] if item["name"] == "yolo")
    epochs = yolo["params"]["properties"]["epochs"]
    assert epochs["minimum"] == 1 and epochs["description"] and epochs["default"] >= 1
