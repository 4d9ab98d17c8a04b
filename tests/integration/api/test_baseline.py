"""A zero-shot baseline over HTTP, with its own templates and prompts."""

import httpx
import pytest

from core.services.context import Platform
from core.services.maintenance.recovery import oldest_waiting
from core.services.runs.commands import list_runs
from tests.builders import published, rows
from tests.servers.api import problem


def test_a_baseline_is_a_run_of_clip_that_trains_nothing(client: httpx.Client, platform: Platform) -> None:
    waiting = rows.received_job(platform)
    assert problem(client.post(f"/baseline/{waiting.id}"), 409, "job-not-ready")["state"] == "received"
    job = published.ready_job(platform, kind="classification")
    answer = client.post(client.get(f"/jobs/{job.id}").json()["links"]["baseline"])
    assert answer.status_code == 202 and answer.json()["state"] == "queued"
    run = client.get(answer.json()["links"]["self"]).json()
    assert (run["trainer"], run["job_id"]) == ("clip", job.id)
    assert (run["params"]["mode"], run["params"]["model"]) == ("zero-shot", "openai/clip-vit-base-patch32")
    assert oldest_waiting(platform.db, "train") == run["run_id"]


def test_model_templates_and_prompts_can_be_chosen(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform, kind="classification")
    body = {"model": "ours", "templates": ["a person {}"], "prompts": {"raccoon": ["a raccoon at night"]}}
    answer = client.post(f"/baseline/{job.id}?wait=0.2", json=body)
    assert answer.status_code == 202
    params = client.get(answer.json()["links"]["self"]).json()["params"]
    assert {name: params[name] for name in body} == body


@pytest.mark.parametrize(
    ("body", "slug", "field"),
    [
        ({"prompts": {"racoon": ["a raccoon"]}}, "params-invalid", "prompts.racoon"),
        ({"templates": ["a raccoon"]}, "request-invalid", "templates.0"),
        ({"mode": "fine-tune"}, "request-invalid", "mode"),
        ({"model": "../../etc"}, "request-invalid", "model"),
    ],
)
def test_an_invalid_template_prompt_or_model_is_named(
    client: httpx.Client, platform: Platform, body: object, slug: str, field: str
) -> None:
    job = published.ready_job(platform, kind="classification")
    answer = problem(client.post(f"/baseline/{job.id}", json=body), 400, slug)
    assert answer["errors"][0]["field"] == field
    assert list_runs(platform.db, cursor=None, limit=1).items == []


def test_a_training_with_prompts_for_an_unknown_class_is_refused(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform, kind="classification")
    body = {"trainer": "clip", "params": {"prompts": {"racoon": ["a raccoon"], "raccoon": ["a raccoon"]}}}
    answer = problem(client.post(f"/train-async/{job.id}", json=body), 400, "params-invalid")
    assert [each["field"] for each in answer["errors"]] == ["params.prompts.racoon"]


def test_a_detection_dataset_has_no_baseline(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform)
    assert problem(client.post(f"/baseline/{job.id}"), 409, "trainer-kind-mismatch")["kind"] == "detection"
    assert "baseline" not in client.get(f"/jobs/{job.id}").json()["links"]


def test_the_same_key_queues_one_run(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform, kind="classification")
    path, headers = f"/baseline/{job.id}", {"Idempotency-Key": "k"}
    first, again = client.post(path, headers=headers), client.post(path, headers=headers, json={"prompts": {}})
    assert first.json() == again.json() and again.headers["idempotency-replayed"] == "true"
    assert len(list_runs(platform.db, cursor=None, limit=10).items) == 1
    other = client.post(path, headers=headers, json={"templates": ["{}"]})
    problem(other, 422, "idempotency-key-reused")
