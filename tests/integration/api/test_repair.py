"""Formats, repairs and source ZIPs over HTTP."""

import hashlib
import time
from pathlib import Path

import httpx
import pytest

from core.services.context import Platform
from pipeline.params.formats import CATALOGUE
from tests.builders.voc import image_bytes, voc_zip, zip_files
from tests.servers.api import problem
from worker.context import Worker
from worker.tasks.prepare import prepare_job


def _upload(client: httpx.Client, platform: Platform, archive: Path) -> str:
    content = archive.read_bytes()
    answer = client.post("/upload-dataset", content=content, headers={"content-type": "application/zip"})
    job_id = str(answer.json()["job_id"])
    prepare_job(Worker(platform, "prepare", "test"), job_id)
    return job_id


def test_the_formats_are_documented(client: httpx.Client) -> None:
    items = client.get("/formats").json()["items"]
    assert [item["name"] for item in items] == list(CATALOGUE)
    assert all(item["title"] and item["description"] and "\n" in item["tree"] for item in items)
    assert {item["kind"] for item in items if item["trainable"]} >= {"detection"}


def test_a_rejected_upload_is_repaired_and_both_zips_can_be_downloaded(
    client: httpx.Client, platform: Platform, tmp_path: Path
) -> None:
    archive = voc_zip(tmp_path / "data.zip", broken="box_inverted")
    job_id = _upload(client, platform, archive)
    rejected = client.get(f"/jobs/{job_id}").json()
    assert rejected["state"] == "rejected"
    assert client.get(rejected["links"]["source"]).content == archive.read_bytes()

    answer = client.post(rejected["links"]["repair"])
    assert answer.status_code == 202
    new = answer.json()["job_id"]
    problem(client.get(f"/dataset/source/{new}"), 410, "gone")
    prepare_job(Worker(platform, "prepare", "test"), new)
    repaired = client.get(f"/jobs/{new}").json()
    assert (repaired["state"], repaired["links"]["repair_of"]) == ("ready", f"/jobs/{job_id}")
    log = client.get(repaired["links"]["repair_log"]).json()["items"]
    assert [entry["code"] for entry in log] == ["repair-box-swapped"]
    zipped = client.get(repaired["links"]["source"])
    assert hashlib.sha256(zipped.content).hexdigest() == repaired["source"]["sha256"]
    assert client.post(f"/jobs/{job_id}/repair").json()["job_id"] == new


def test_the_same_key_replays_the_answer_to_a_repair(client: httpx.Client, platform: Platform, tmp_path: Path) -> None:
    job_id = _upload(client, platform, voc_zip(tmp_path / "data.zip", broken="box_inverted"))
    first, again = (client.post(f"/jobs/{job_id}/repair", headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert first.json() == again.json() and (first.status_code, again.status_code) == (202, 202)
    assert "idempotency-replayed" not in first.headers and again.headers["idempotency-replayed"] == "true"


def test_a_request_can_wait_for_a_new_and_for_an_existing_repair(
    client: httpx.Client, platform: Platform, tmp_path: Path
) -> None:
    job_id = _upload(client, platform, voc_zip(tmp_path / "data.zip", broken="box_inverted"))
    for _ in range(2):
        began = time.monotonic()
        answer = client.post(f"/jobs/{job_id}/repair?wait=0.4")
        assert (answer.status_code, answer.json()["state"]) == (202, "received") and time.monotonic() - began >= 0.4
    prepare_job(Worker(platform, "prepare", "test"), answer.json()["job_id"])
    assert client.post(f"/jobs/{job_id}/repair?wait=60").json()["state"] == "ready"


@pytest.mark.parametrize("name", ["../a.jpg", "a.jpg"])
def test_no_repair_is_offered_where_none_is_possible(
    client: httpx.Client, platform: Platform, tmp_path: Path, name: str
) -> None:
    job_id = _upload(client, platform, zip_files(tmp_path / "data.zip", {name: image_bytes()}))
    rejected = client.get(f"/jobs/{job_id}").json()
    assert rejected["state"] == "rejected" and "source" in rejected["links"] and "repair" not in rejected["links"]


def test_an_upload_cannot_claim_to_be_a_repair(client: httpx.Client) -> None:
    answer = client.post("/upload-dataset?repair_of=job_1", content=b"PK", headers={"content-type": "application/zip"})
    assert problem(answer, 400, "request-invalid")["errors"][0]["field"] == "repair_of"


def test_a_waiting_job_cannot_be_repaired(client: httpx.Client, tmp_path: Path) -> None:
    content = voc_zip(tmp_path / "data.zip").read_bytes()
    answer = client.post("/upload-dataset", content=content, headers={"content-type": "application/zip"})
    problem(client.post(f"/jobs/{answer.json()['job_id']}/repair"), 409, "job-not-repairable")
    problem(client.post("/jobs/job_none/repair"), 404, "job-not-found")
