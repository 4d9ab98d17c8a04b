"""The form of a training over HTTP, without script."""

import re
from typing import Any

import httpx
import pytest

from api.images.leaks import LeakCheck
from core.domain.errors import TrainsOnTestSet
from core.services.context import Platform
from core.services.runs.commands import list_runs
from tests.builders import published, rows
from tests.integration.api.pages.test_shell import BROWSER, page_of

LEAK: dict[str, Any] = {
    "generation": 2,
    "images": 1,
    "train": 1,
    "val": 0,
    "examples": [{"dataset": "raccoons/d1", "path": "<b>a.jpg", "split": "train", "test_image": "b.jpg", "bits": None}],
}


def fields_of(page: str) -> dict[str, str]:
    """As a browser would send the inputs of the form as they come."""
    inputs = re.findall(r'<input id="[^"]+" name="(params\.[^"]+)" value="([^"]*)"', page)
    chosen = re.findall(r'name="(params\.[^"]+)"[^>]*>(?:<option>[^<]*</option>)*<option selected>([^<]*)<', page)
    return {"trainer": "yolo", **dict(inputs), **dict(chosen)}


def test_the_form_as_it_comes_queues_a_run_with_the_defaults(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform, project="raccoons")
    page = page_of(client, f"/ui/datasets/{job.id}/train")
    assert "64 to 4,096 in steps of 32" in page and "No worker trains now" in page
    sent = fields_of(page) | {"params.epochs": "3"}
    answer = client.post(f"/ui/datasets/{job.id}/train", data=sent, headers=BROWSER)
    run = list_runs(platform.db, cursor=None, limit=1).items[0]
    assert answer.status_code == 303 and answer.headers["location"] == f"/ui/runs/{run.id}"
    assert (run.params["epochs"], run.params["imgsz"], run.params["mosaic"], run.params["cos_lr"]) == (
        3,
        640,
        1.0,
        False,
    )
    again = page_of(client, f"/ui/datasets/{job.id}/train?run={run.id}&model=yolo11n")
    assert 'name="params.epochs" value="3"' in again and 'name="params.model" value="yolo11n"' in again


def test_what_is_refused_returns_to_the_form_beside_its_field(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform, project="raccoons")
    sent = {"trainer": "yolo", "params.epochs": "0", "params.lr0": '"><script>', "params.model": "yolov8n"}
    answer = client.post(f"/ui/datasets/{job.id}/train", data=sent, headers=BROWSER)
    assert answer.status_code == 422 and "2 values are not valid." in answer.text
    assert 'name="params.epochs" value="0"' in answer.text and '"><script>' not in answer.text
    assert re.search(r'id="param-epochs-error"[^>]*>Input should be greater than or equal to 1<', answer.text)
    assert re.search(r"<details[^>]* open>\s*<summary><h2>Learning rate", answer.text), "the group with a fault is open"
    assert not list_runs(platform.db, cursor=None, limit=1).items
    foreign = {"origin": "http://elsewhere.example", **BROWSER}
    assert client.post(f"/ui/datasets/{job.id}/train", data=sent, headers=foreign).status_code == 400


def test_a_leak_is_listed_and_only_the_explicit_choice_trains(
    client: httpx.Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leak_of(_self: LeakCheck, _job: str, _model: str, *, allow: bool) -> dict[str, Any]:
        if not allow:
            raise TrainsOnTestSet("1 image", **LEAK)
        return LEAK

    monkeypatch.setattr(LeakCheck, "leak_of", leak_of)
    job = published.ready_job(platform, project="raccoons")
    sent = {"trainer": "yolo", "params.epochs": "4"}
    refused = client.post(f"/ui/datasets/{job.id}/train", data=sent, headers=BROWSER)
    assert refused.status_code == 409 and "&lt;b&gt;a.jpg" in refused.text and "same content" in refused.text
    assert 'name="allow_leak"' in refused.text and 'name="params.epochs" value="4"' in refused.text
    allowed = client.post(f"/ui/datasets/{job.id}/train", data=sent | {"allow_leak": "true"}, headers=BROWSER)
    assert allowed.status_code == 303
    birds = published.ready_job(platform, project="birds", kind="classification")
    baseline = client.post(f"/ui/datasets/{birds.id}/baseline", headers=BROWSER)
    assert baseline.status_code == 409 and 'name="allow_leak"' in baseline.text and 'value="clip"' in baseline.text
    run_page = page_of(client, allowed.headers["location"])
    assert "It learns from 1 image of the frozen test set" in run_page and "&lt;b&gt;a.jpg" in run_page


def test_a_classifier_has_a_choice_of_trainers_and_a_baseline(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform, project="birds", kind="classification")
    page = page_of(client, f"/ui/datasets/{job.id}/train?trainer=clip")
    assert f'href="/ui/datasets/{job.id}/train?trainer=vit"' in page and "a photo of a {}." in page
    answer = client.post(f"/ui/datasets/{job.id}/baseline", headers=BROWSER)
    run = list_runs(platform.db, cursor=None, limit=1).items[0]
    assert answer.headers["location"] == f"/ui/runs/{run.id}" and run.params["mode"] == "zero-shot"
    assert "Baseline of openai/clip-vit-base-patch32" in page_of(client, f"/ui/runs/{run.id}")
    assert "trains on detection datasets" in page_of(client, f"/ui/datasets/{job.id}/train?trainer=yolo", 409)


def test_a_dataset_that_is_not_ready_says_so(client: httpx.Client, platform: Platform) -> None:
    job = rows.received_job(platform)
    assert "The dataset is not ready" in page_of(client, f"/ui/datasets/{job.id}/train")
    page_of(client, "/ui/datasets/job_nope/train", 404)
