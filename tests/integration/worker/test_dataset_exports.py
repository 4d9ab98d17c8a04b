"""A dataset in another format over HTTP: queued by its first GET, written by a worker, sent, uploaded again."""

import io
import re
import signal
import threading
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from core.db.tables import DatasetRow, JobRow, OperationRow
from core.services.context import Platform
from core.services.operations.commands import get_operation
from tests.builders.class_folders import folder_files
from tests.builders.voc import voc_files, zip_files
from tests.children import supervised_child
from tests.databases import POSTGRES_IS_SLOW
from tests.servers.api import problem
from tests.waiting import wait_until
from worker.context import Worker
from worker.tasks.operations.operate import operate
from worker.tasks.prepare import prepare_job

pytestmark = [pytest.mark.usefixtures("database_url"), POSTGRES_IS_SLOW]


def _ready(platform: Platform, client: httpx.Client, content: bytes) -> dict[str, Any]:
    headers = {"content-type": "application/zip"}
    job_id = client.post("/upload-dataset", params={"name": "shapes"}, content=content, headers=headers).json()[
        "job_id"
    ]
    prepare_job(Worker(platform, "prepare", "test"), job_id)
    job: dict[str, Any] = client.get(f"/jobs/{job_id}").json()
    assert job["state"] == "ready", job
    return job


def _zip(tmp_path: Path, files: dict[str, bytes]) -> bytes:
    return zip_files(tmp_path / "data.zip", files).read_bytes()


def _operate(platform: Platform, queued: httpx.Response) -> OperationRow:
    operation_id = queued.json()["operation_id"]
    operate(Worker(platform, "operations", "test"), operation_id)
    return get_operation(platform.db, operation_id)


def test_the_first_get_queues_it_the_next_one_sends_it_and_it_is_the_same_dataset_again(
    platform: Platform, client: httpx.Client, tmp_path: Path
) -> None:
    files = voc_files(images=8)
    files["images/p03.jpg"] += b"bytes behind the end"
    files["annotations/p05.xml"] = files["annotations/p05.xml"].replace(b"<difficult>0", b"<difficult>1", 1)
    job = _ready(platform, client, _zip(tmp_path, files))
    path, params = f"/dataset/export/{job['job_id']}", {"format": "voc"}
    assert job["links"]["dataset_exports"] == f"/dataset/exports/{job['job_id']}"
    for answer in (
        client.head(path, params=params),
        client.get(path, params=params, headers={"sec-purpose": "prefetch"}),
    ):
        assert answer.status_code == 202 and "location" not in answer.headers, "these queue nothing"
    queued = client.get(path, params=params)
    assert queued.status_code == 202 and int(queued.headers["retry-after"]) > 0
    done = _operate(platform, queued)
    assert done.state == "succeeded", done.problem
    link = client.get(queued.headers["location"]).json()["links"]["download"]

    sent = client.get(link)
    assert sent.status_code == 200 and sent.headers["darkroom-losses"] == "none"
    assert re.search(r'filename="shapes-\w+-d1-voc\.zip"', sent.headers["content-disposition"])
    assert client.get(path, params=params, headers={"range": "bytes=0-3"}).content == b"PK\x03\x04"
    assert client.get(path, params=params, headers={"if-none-match": sent.headers["etag"]}).status_code == 304
    with zipfile.ZipFile(io.BytesIO(sent.content)) as archive:
        assert archive.read("JPEGImages/p03.jpg") == files["images/p03.jpg"], "the uploaded bytes"
    again = _ready(platform, client, sent.content)
    assert again["fingerprint"] == job["fingerprint"], "with the splits, which were made"
    assert again["content_fingerprint"] == job["content_fingerprint"]

    assert _operate(platform, client.get(path, params={"format": "hf"})).state == "succeeded"
    parquet = _ready(platform, client, client.get(path, params={"format": "hf"}).content)
    assert parquet["format"] == "parquet" and parquet["fingerprint"] == job["fingerprint"]

    lossy = _operate(platform, client.get(path, params={"format": "coco"}))
    assert lossy.result is not None and [loss["code"] for loss in lossy.result["losses"]] == ["difficult"]
    assert client.head(path, params={"format": "coco"}).headers["darkroom-losses"] == "difficult=1"
    listed = client.get(job["links"]["dataset_exports"]).json()["items"]
    assert [(each["format"], each["arrange"]) for each in listed] == [(name, "paths") for name in ("coco", "hf", "voc")]
    assert listed[2]["sha256"] == sent.headers["x-checksum-sha256"] and listed[2]["bytes"] == len(sent.content)
    assert '-d1-coco.zip"' in client.get(listed[0]["links"]["download"]).headers["content-disposition"]
    gone = f"/dataset/exports/{job['job_id']}/{listed[0]['export_id']}"
    assert client.delete(gone).status_code == 204 and problem(client.delete(gone), 410, "gone")
    assert client.head(path, params={"format": "coco"}).status_code == 202


def test_a_format_of_the_other_kind_is_refused_with_those_that_fit(
    platform: Platform, client: httpx.Client, tmp_path: Path
) -> None:
    job = _ready(platform, client, _zip(tmp_path, folder_files(each=4)))
    path = f"/dataset/export/{job['job_id']}"
    refused = problem(client.get(path, params={"format": "coco"}), 422, "dataset-format-unsupported")
    assert refused["formats"] == ["folders", "hf"]
    assert client.get(path, params={"format": "pdf"}).status_code == 400
    assert problem(client.get("/dataset/export/job_1", params={"format": "hf"}), 404, "job-not-found")


@pytest.mark.slow
def test_without_the_uploaded_zip_and_the_index_the_prepared_set_is_exported_and_the_loss_named(
    platform: Platform, client: httpx.Client, tmp_path: Path
) -> None:
    files = voc_files(images=8)
    files["images/p03.jpg"] += b"bytes behind the end"
    job = _ready(platform, client, _zip(tmp_path, files))
    with platform.db.transaction() as session:
        session.execute(update(JobRow).where(JobRow.id == job["job_id"]).values(source_key=None))
        of_set = DatasetRow.fingerprint == job["fingerprint"]
        session.execute(update(DatasetRow).where(of_set).values(index_key=None, index_bytes=None))
    path, params = f"/dataset/export/{job['job_id']}", {"format": "yolo"}
    done = _operate(platform, client.get(path, params=params))
    assert done.state == "succeeded", done.problem
    sent = client.get(path, params=params)
    assert sent.headers["darkroom-losses"] == "bytes-changed=1"
    with zipfile.ZipFile(io.BytesIO(sent.content)) as archive:
        assert files["images/p03.jpg"].startswith(archive.read("images/p03.jpg"))
        assert "`bytes-changed` (1)" in archive.read("README.md").decode()
    assert _ready(platform, client, sent.content)["fingerprint"] != job["fingerprint"]


@pytest.mark.slow
@pytest.mark.usefixtures("new_interpreters")
def test_a_killed_child_is_a_lost_attempt_and_the_next_one_writes_the_same(
    platform: Platform, client: httpx.Client, tmp_path: Path
) -> None:
    job = _ready(platform, client, _zip(tmp_path, voc_files(images=8)))
    path, params = f"/dataset/export/{job['job_id']}", {"format": "coco"}
    operation_id = client.get(path, params=params).json()["operation_id"]
    worker = Worker(platform, "operations", "test")
    task = threading.Thread(target=operate, args=(worker, operation_id))
    task.start()
    child = wait_until(supervised_child, seconds=20, what="a child")
    assert child is not None
    child.send_signal(signal.SIGKILL)
    task.join(30)
    lost = get_operation(platform.db, operation_id)
    assert (lost.state, lost.lost_leases) == ("queued", 1)
    operate(worker, operation_id)
    first = client.get(path, params=params)
    assert first.status_code == 200
    export = client.get(job["links"]["dataset_exports"]).json()["items"][0]
    client.delete(f"/dataset/exports/{job['job_id']}/{export['export_id']}")
    _operate(platform, client.get(path, params=params))
    assert client.get(path, params=params).content == first.content
