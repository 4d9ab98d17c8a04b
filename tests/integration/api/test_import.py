"""Imports over HTTP: requests, answers, and what is refused before a worker starts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.services.context import Platform, open_platform
from core.settings import Settings
from tests.builders import rows
from tests.builders.hub_sets import action_set
from tests.servers.api import problem, serving
from tests.servers.hub import Hub, hub
from worker.context import Worker
from worker.tasks.prepare import prepare_job

SET = "Bingsu/Human_Action_Recognition"


@pytest.fixture
def the_hub() -> Iterator[Hub]:
    with hub() as opened:
        yield opened


@pytest.fixture
def platform(sqlite_url: str, tmp_path: Path, the_hub: Hub) -> Iterator[Platform]:
    settings = Settings(home=tmp_path / "home", database_url=sqlite_url, hub_endpoint=the_hub.endpoint)
    opened = open_platform(settings)
    yield opened
    opened.db.close()


def test_an_import_is_a_job_that_reports_its_origin(client: httpx.Client, platform: Platform, the_hub: Hub) -> None:
    commit = the_hub.add(SET, action_set(per_class=4))
    body = {"huggingface": SET, "seed": 7, "val_fraction": 0.25, "test_fraction": 0.25}
    answer = client.post("/import-dataset", json=body, headers={"idempotency-key": "k1"})
    assert (answer.status_code, answer.json()["state"]) == (202, "received")
    again = client.post("/import-dataset", json=body, headers={"idempotency-key": "k1"})
    assert again.headers["idempotency-replayed"] == "true" and again.json() == answer.json()
    other = client.post("/import-dataset", json=body | {"seed": 8}, headers={"idempotency-key": "k1"})
    problem(other, 422, "idempotency-key-reused")

    address = answer.json()["links"]["self"]
    waiting = client.get(address).json()
    assert (waiting["name"], waiting["options"]["seed"]) == ("Human_Action_Recognition", 7)
    assert (waiting["source"]["bytes"], waiting["source"]["huggingface"]["commit"]) == (0, None)
    assert "source" not in waiting["links"] and "huggingface" not in waiting["options"]
    problem(client.get(f"/dataset/source/{waiting['job_id']}"), 410, "gone")

    prepare_job(Worker(platform, "prepare", "test"), waiting["job_id"])
    done = client.get(address).json()
    assert (done["state"], done["kind"], done["images"]) == ("ready", "classification", 12), done["problem"]
    assert done["source"]["huggingface"] | {"subset": None} == {
        "repository": SET,
        "revision": None,
        "commit": commit,
        "subset": None,
        "splits": ["train"],
        "images": 12,
        "left_out": 0,
    }
    assert len(client.get(done["links"]["source"]).content) == done["source"]["bytes"]
    assert client.get(done["links"]["metadata"]).json()["source"]["huggingface"]["commit"] == commit


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"huggingface": SET, "url": "https://data.example/a.zip"}, "body"),
        ({"url": "https://data.example/a.zip", "splits": ["train"]}, "body"),
        ({"s3": "s3://sets/a", "sha256": "0" * 64}, "body"),
        ({"url": "https://user:secret@data.example/a.zip"}, "url"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": "https://data.example/a.zip", "sha256": "x"}, "sha256"),
        ({"s3": "https://data.example/a"}, "s3"),
        ({"s3": "s3://sets/a\nb"}, "s3"),
        ({"folder": "balls"}, "folder"),
        ({"folder": "/srv/../etc"}, "folder"),
        ({"huggingface": "../../etc"}, "huggingface"),
        ({"huggingface": "org/name/more"}, "huggingface"),
        ({"huggingface": "https://huggingface.co/org/name"}, "huggingface"),
        ({"huggingface": SET, "revision": "-x y"}, "revision"),
        ({"huggingface": SET, "splits": []}, "splits"),
        ({"huggingface": SET, "splits": ["train", "other"]}, "splits"),
        ({"huggingface": SET, "subset": "a/b"}, "subset"),
        ({"huggingface": SET, "val_fraction": 1.5}, "val_fraction"),
        ({"huggingface": SET, "commit": "0" * 40}, "commit"),
        ({"huggingface": SET, "trust_remote_code": True}, "trust_remote_code"),
    ],
)
def test_an_invalid_field_of_an_import_is_named(client: httpx.Client, body: dict[str, Any], field: str) -> None:
    answer = problem(client.post("/import-dataset", json=body), 400, "request-invalid")
    assert [error["field"].partition(".")[0] for error in answer["errors"]] == [field]
    assert client.get("/jobs").json()["items"] == []


def test_an_import_is_refused_at_once_where_the_hub_is_off(platform: Platform) -> None:
    with serving(platform, hub=False) as client:
        problem(client.post("/import-dataset", json={"huggingface": SET}), 409, "hub-off")
        assert client.get("/jobs").json()["items"] == []


@pytest.mark.parametrize(
    ("body", "setting", "allowed"),
    [
        ({"url": "https://data.example/a/balls.zip?X-Signature=c0ffee"}, "IMPORT_HOSTS", "*"),
        ({"s3": "s3://sets/balls"}, "IMPORT_BUCKETS", "s3://other, s3://sets"),
        ({"folder": "/srv/sets/balls"}, "IMPORT_FOLDERS", "/srv/sets/"),
    ],
)
def test_a_place_is_imported_from_only_where_a_setting_allows_it(
    platform: Platform, body: dict[str, str], setting: str, allowed: str
) -> None:
    with serving(platform) as client:
        refused = problem(client.post("/import-dataset", json=body), 409, "import-not-allowed")
        assert refused["setting"] == f"DARKROOM_{setting}" and refused["setting"] in refused["detail"]
        assert client.get("/jobs").json()["items"] == []
    with serving(platform, **{setting.lower(): allowed}) as client:
        answer = client.post("/import-dataset", json=body | {"project": "balls"})
        assert answer.status_code == 202, answer.text
        address = answer.json()["links"]["self"]
        for job in (client.get(address).json(), client.get("/jobs").json()["items"][0]):
            (kind, location), *_ = body.items()
            known = {"kind": kind, "location": location.partition("?")[0]}
            assert {name: value for name, value in job["source"]["imported_from"].items() if value} == known
            assert (job["name"], job["source"]["name"], job["dataset"]) == ("balls", "balls.zip", "balls/d1")
            assert "c0ffee" not in str(job)


@pytest.mark.parametrize("place", ["s3://sets", "s3://sets/objects/uploads", "s3://sets/objects", "s3://setsx/objects"])
def test_the_services_own_objects_are_never_imported(platform: Platform, place: str) -> None:
    own = {"store_url": "s3://sets/objects", "import_buckets": "s3://sets,s3://setsx"}
    with serving(platform, **own) as client:
        answer = client.post("/import-dataset", json={"s3": place})
        assert answer.status_code == (202 if "setsx" in place else 409), answer.text


def test_an_import_can_wait_for_the_end(client: httpx.Client) -> None:
    answer = client.post("/import-dataset?wait=0.2", json={"huggingface": SET, "name": "actions"})
    assert (answer.status_code, answer.json()["state"]) == (202, "received")
    assert client.get(answer.json()["links"]["self"]).json()["name"] == "actions"


def test_a_stored_zip_is_prepared_again_with_other_options(client: httpx.Client, platform: Platform) -> None:
    job = rows.received_job(platform, project="raccoons")
    body = {"dataset": "raccoons/d1", "on_error": "skip"}
    answer = client.post("/import-dataset", json=body, headers={"idempotency-key": "k9"})
    assert (answer.status_code, answer.json()["dataset"]) == (202, "raccoons/d2"), answer.text
    again = client.post("/import-dataset", json=body, headers={"idempotency-key": "k9"})
    assert again.json() == answer.json()
    made = client.get(answer.json()["links"]["self"]).json()
    assert made["name"] == job.name and made["options"]["on_error"] == "skip" and made["options"]["seed"] == 0
    assert made["source"]["imported_from"]["kind"] == "dataset"
    assert made["source"]["imported_from"]["location"] == job.id and made["source"]["name"] == "data.zip"
    problem(client.post("/import-dataset", json={"dataset": answer.json()["job_id"]}), 409, "source-not-reusable")
    problem(client.post("/import-dataset", json={"dataset": "raccoons/d9"}), 404, "job-not-found")
    both = {"val_fraction": 0.5, "test_fraction": 0.5}
    problem(client.post("/import-dataset", json={"dataset": job.id, **both}), 400, "request-invalid")


def test_a_sample_makes_a_dataset_of_boxes(client: httpx.Client) -> None:
    answer = client.post("/import-dataset", json={"sample": "shapes", "project": "sample-shapes"})
    assert (answer.status_code, answer.json()["dataset"]) == (202, "sample-shapes/d1"), answer.text
    assert client.get(answer.json()["links"]["self"]).json()["source"]["imported_from"]["kind"] == "sample"
    problem(client.post("/import-dataset", json={"sample": "cats"}), 400, "request-invalid")
    client.post("/projects", json={"project": "photos", "kind": "classification"})
    refused = client.post("/import-dataset", json={"sample": "shapes", "project": "photos"})
    problem(refused, 409, "project-kind-mismatch")
