"""Corrections over HTTP: drafts that are checked against the dataset, and the revision that the real children make."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from core.db.tables import JobRow
from tests.builders.voc import image_bytes, voc_files, zip_files
from tests.databases import POSTGRES_IS_SLOW
from tests.servers.api import serving
from tests.servers.workers import Stack, stack
from worker.context import Worker
from worker.tasks.prepare import prepare_job

BOX = {"class": "cube", "x1": 2.5, "y1": 3, "x2": 40, "y2": 30.25}


@pytest.fixture
def line(tmp_path: Path, database_url: str) -> Iterator[Stack]:
    with stack(tmp_path, database_url, "", lease_seconds=30.0) as made:
        yield made


@pytest.fixture
def worker(line: Stack) -> Iterator[Worker]:
    yield Worker(line.platform, "prepare", "test")
    for thread in threading.enumerate():
        if thread.name in ("keep_heartbeat", "keep_polling"):
            thread.join(10)


@pytest.fixture
def http(line: Stack) -> Iterator[httpx.Client]:
    with serving(line.platform) as opened:
        yield opened


@pytest.fixture
def job_id(line: Stack, worker: Worker, tmp_path: Path) -> str:
    job_id = line.upload(zip_files(tmp_path / "first.zip", voc_files(images=16)), project="balls")
    prepare_job(worker, job_id)
    return job_id


def _images(http: httpx.Client, job_id: str) -> dict[str, dict[str, Any]]:
    items = http.get(f"/dataset/images/{job_id}", params={"limit": 100}).json()["items"]
    return {item["path"]: item for item in items}


@POSTGRES_IS_SLOW
def test_drafts_become_the_next_dataset(line: Stack, worker: Worker, http: httpx.Client, job_id: str) -> None:
    path = http.get(f"/jobs/{job_id}").json()["links"]["corrections"]
    before = _images(http, job_id)
    trained = [name for name, item in before.items() if item["split"] == "train"]
    body = {
        "author": "ada",
        "new_classes": True,
        "corrections": [
            {"image": trained[0], "boxes": [BOX, BOX | {"class": "cone", "x1": 3}], "note": "two of them"},
            {"image": trained[1], "boxes": []},
            {"image": trained[2], "remove": True},
            {"image": trained[3], "accept": True},
        ],
    }
    saved = http.post(path, json=body).json()
    assert (saved["saved"], saved["unchanged"], saved["drafts"]) == (4, 0, 4)
    again = http.post(path, json=body).json()
    assert (again["saved"], again["unchanged"], again["drafts"]) == (0, 4, 4), "sent twice, kept once"
    page = http.get(path, params={"limit": 3, "state": "draft"}).json()
    assert len(page["items"]) == 3 and page["next_cursor"]
    (first,) = http.get(path, params={"image": trained[0]}).json()["items"]
    assert first["boxes"][1]["class"] == "cone" and (first["author"], first["note"]) == ("ada", "two of them")
    link = before[trained[1]]["links"]["corrections"]
    assert [item["boxes"] for item in http.get(link).json()["items"]] == [[]]

    key = {"Idempotency-Key": "one"}
    accepted = http.post(f"{path}/apply", headers=key)
    assert accepted.status_code == 202 and accepted.json()["dataset"] == "balls/d2"
    assert http.post(f"{path}/apply", headers=key).json() == accepted.json()
    new_id = accepted.json()["job_id"]
    prepare_job(worker, new_id)
    job = http.get(f"/jobs/{new_id}").json()
    assert (job["state"], job["images"], job["classes"]) == ("ready", 15, ["ball", "cube", "cone"]), job["problem"]
    assert job["source"]["extension"]["changes"]["name"] == "corrections.json"
    assert job["findings"]["extend-image-corrected"]["count"] == 2
    corrected = http.get(f"/jobs/{new_id}/findings", params={"code": "extend-image-corrected"}).json()["items"]
    assert {item["detail"] for item in corrected} <= {"1 box before, 2 now.", "1 box before, 0 now."} | {
        f"{count} boxes before, {now} now." for count in (2, 3) for now in (0, 2)
    }
    after = _images(http, new_id)
    assert {name: item["split"] for name, item in after.items()} == {
        name: item["split"] for name, item in before.items() if name != trained[2]
    }
    boxes = [(box["class"], box["x"], box["y"], box["width"]) for box in after[trained[0]]["boxes"]]
    assert boxes == [("cube", 2.5, 3.0, 37.5), ("cone", 3.0, 3.0, 37.0)] and after[trained[1]]["box_count"] == 0
    assert after[trained[3]]["boxes"] == before[trained[3]]["boxes"]
    applied = http.get(path, params={"state": "applied"}).json()["items"]
    assert {item["applied_to"] for item in applied} == {new_id} and len(applied) == 4
    refused = http.post(f"{path}/apply")
    assert (refused.status_code, refused.json()["slug"]) == (409, "nothing-to-apply")


@POSTGRES_IS_SLOW
def test_corrections_that_do_not_fit_are_named_and_none_is_kept(http: httpx.Client, job_id: str) -> None:
    path = f"/datasets/{job_id}/corrections"
    image = next(iter(_images(http, job_id)))
    wrong = [
        {"image": "nowhere.jpg", "remove": True},
        {"image": image, "label": "ball"},
        {"image": image, "boxes": [BOX, BOX | {"class": "sphere"}]},
        {"image": image, "boxes": [BOX | {"x2": 5000}]},
        {"image": image, "boxes": [BOX | {"x2": 1}]},
    ]
    refused = http.post(path, json={"corrections": [{"image": image, "boxes": [BOX]}, *wrong]})
    assert (refused.status_code, refused.json()["slug"]) == (422, "correction-invalid")
    fields = [error["field"] for error in refused.json()["errors"]]
    assert fields == [
        f"corrections.{n}.{f}" for n, f in enumerate(("image", "label", "boxes.1", "boxes.0", "boxes.0"), 1)
    ]
    assert http.get(path).json()["items"] == []
    for body in ({"image": image}, {"image": image, "remove": True, "accept": True}):
        assert http.post(path, json={"corrections": [body]}).status_code == 400
    assert http.post("/datasets/job_0/corrections", json={"corrections": [wrong[0]]}).status_code == 404


@POSTGRES_IS_SLOW
def test_drafts_can_be_discarded_and_come_back_from_a_revision_that_is_rejected(
    line: Stack, worker: Worker, http: httpx.Client, job_id: str
) -> None:
    path = f"/datasets/{job_id}/corrections"
    images = [name for name, item in _images(http, job_id).items() if item["split"] == "val"]
    body = {"corrections": [{"image": image, "remove": True} for image in images]}
    body["corrections"].append({"image": "p00.jpg", "accept": True})
    drafts = http.post(path, json=body).json()["drafts"]
    one = http.get(path, params={"image": "p00.jpg"}).json()["items"][0]["correction_id"]
    assert http.delete(f"{path}/{one}").status_code == 204
    assert http.delete(f"{path}/{one}").json()["slug"] == "correction-not-found"
    new_id = http.post(f"{path}/apply").json()["job_id"]
    prepare_job(worker, new_id)
    assert http.get(f"/jobs/{new_id}").json()["state"] == "rejected", "no image of val would remain"
    assert len(http.get(path, params={"state": "draft", "limit": 100}).json()["items"]) == drafts - 1
    deleted = http.post(f"{path}/apply").json()["job_id"]
    assert http.get(path, params={"state": "draft"}).json()["items"] == []
    assert http.delete(f"/jobs/{deleted}").status_code in (200, 204)
    assert http.delete(path).json() == {"discarded": drafts - 1}
    http.post(path, json={"corrections": [{"image": images[0], "accept": True}]})
    assert http.post(f"{path}/apply").json()["slug"] == "nothing-to-apply"
    with line.platform.db.transaction() as session:
        session.execute(update(JobRow).where(JobRow.id == job_id).values(source_key=None))
    assert http.post(f"{path}/apply").json()["slug"] == "job-not-extendable"


@POSTGRES_IS_SLOW
def test_of_two_corrections_of_an_image_the_later_one_is_the_draft_again(
    line: Stack, worker: Worker, http: httpx.Client, job_id: str
) -> None:
    path = f"/datasets/{job_id}/corrections"
    images = [name for name, item in _images(http, job_id).items() if item["split"] == "val"]
    http.post(path, json={"corrections": [{"image": image, "remove": True, "note": "first"} for image in images]})
    first = http.post(f"{path}/apply").json()["job_id"]
    http.post(path, json={"corrections": [{"image": images[0], "boxes": [], "note": "second"}]})
    prepare_job(worker, first)
    assert http.get(f"/jobs/{first}").json()["state"] == "rejected", "no image of val would remain"
    left = {item["image"]: (item["state"], item["note"]) for item in http.get(path).json()["items"]}
    assert left == {image: ("draft", "first") for image in images} | {images[0]: ("draft", "second")}
    assert len(http.get(path).json()["items"]) == len(images), "what was replaced is not applied to anything"

    second = http.post(f"{path}/apply").json()["job_id"]
    http.post(path, json={"corrections": [{"image": images[0], "remove": True, "note": "third"}]})
    third = http.post(f"{path}/apply").json()["job_id"]
    for each in (second, third):
        assert http.delete(f"/jobs/{each}").status_code == 200
    left = {item["image"]: (item["state"], item["note"]) for item in http.get(path).json()["items"]}
    assert left == {image: ("draft", "first") for image in images} | {images[0]: ("draft", "third")}


@POSTGRES_IS_SLOW
def test_labels_of_images_are_corrected(line: Stack, worker: Worker, http: httpx.Client, tmp_path: Path) -> None:
    names = ("cat", "dog")
    files = {f"{names[n % 2]}/{n}.jpg": image_bytes(seed=n, boxes=[("x", n + 1, 3, 30, 30)]) for n in range(20)}
    job_id = line.upload(zip_files(tmp_path / "pets.zip", files))
    prepare_job(worker, job_id)
    image = next(path for path, item in _images(http, job_id).items() if item["label"] == "cat")
    path = f"/datasets/{job_id}/corrections"
    refused = http.post(path, json={"corrections": [{"image": image, "boxes": [BOX]}]})
    assert refused.json()["errors"][0]["field"] == "corrections.0.boxes"
    assert http.post(path, json={"corrections": [{"image": image, "label": " dog "}]}).json()["saved"] == 1
    new_id = http.post(f"{path}/apply", json={"name": "pets, corrected"}).json()["job_id"]
    prepare_job(worker, new_id)
    job = http.get(f"/jobs/{new_id}").json()
    assert (job["state"], job["name"], _images(http, new_id)[image]["label"]) == ("ready", "pets, corrected", "dog")
