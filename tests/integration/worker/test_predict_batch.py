"""Batches of predictions over HTTP, with real children: from the request to the files that come back as a dataset."""

import csv
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import onnx
import pytest
from sqlalchemy import update

from core.db.tables import JobRow
from core.services.context import Platform
from core.services.models.versions import set_alias
from core.services.uploads.sessions import get_upload
from http_common import remote_address
from tests.builders.onnx_models import CLASSES, described, onnx_classifier, onnx_detector, scene
from tests.builders.served import publish
from tests.builders.voc import Files, zip_files
from tests.servers.api import problem, serving
from tests.servers.workers import child_of, stack
from tests.waiting import wait_until
from worker.context import Worker
from worker.tasks.operations.operate import operate
from worker.tasks.prepare import prepare_job
from worker.tasks.retention import delete_orphans, forget_ended_operations, purge_derived

POISON = b"\xff\xd8\xff\xe0 no image"
PAIRS = [(left, right) for left in CLASSES for right in CLASSES]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    made = {
        "squares": described(onnx_detector(), "detection", "anchors"),
        "halves": described(onnx_classifier(), "classification", "logits"),
    }
    for name, model in made.items():
        onnx.save(model, folder / f"{name}.onnx")
    return {name: folder / f"{name}.onnx" for name in made}


@pytest.fixture
def client(platform: Platform, models: dict[str, Path]) -> Iterator[httpx.Client]:
    publish(platform, "squares", models["squares"])
    publish(platform, "halves", models["halves"], kind="classification")
    set_alias(platform.db, "squares", "production", version="v1")
    with serving(platform) as opened:
        yield opened


def zipped(folder: Path, files: Files) -> bytes:
    return zip_files(folder / "images.zip", files).read_bytes()


def scenes() -> Files:
    return {f"day 1/{index}, {left}.png": scene(left, right) for index, (left, right) in enumerate(PAIRS)}


def post(client: httpx.Client, content: bytes, **query: Any) -> dict[str, Any]:
    answer = client.post("/predict/batch", params=query, content=content, headers={"content-type": "application/zip"})
    assert answer.status_code == 202, answer.text
    queued: dict[str, Any] = answer.json()
    return queued


def worked(client: httpx.Client, platform: Platform, queued: dict[str, Any]) -> dict[str, Any]:
    """The batch, after a worker has taken its operation."""
    operate(Worker(platform, "operations", "test"), queued["operation_id"])
    batch: dict[str, Any] = client.get(queued["links"]["batch"]).json()
    return batch


def results(client: httpx.Client, batch: dict[str, Any], form: str) -> httpx.Response:
    answer = client.get(batch["links"]["results"], params={"format": form})
    assert answer.status_code == 200, answer.text
    return answer


def lines_of(client: httpx.Client, batch: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in results(client, batch, "jsonl").text.split("\n") if line]


def test_a_zip_of_images_becomes_files_of_predictions(client: httpx.Client, platform: Platform, tmp_path: Path) -> None:
    files = scenes() | {"broken.jpg": POISON}
    queued = post(client, zipped(tmp_path, files), model="squares@production", confidence="0.4", iou="0.1")
    assert (queued["kind"], queued["project"]) == ("predict-batch", "squares")
    waiting = client.get(queued["links"]["batch"]).json()
    assert (waiting["state"], waiting["model"], waiting["summary"]) == ("queued", "squares/v1", None)
    problem(client.get(f"{queued['links']['batch']}/results"), 409, "batch-not-ready")

    batch = worked(client, platform, queued)
    assert batch["state"] == "succeeded", batch
    assert batch["summary"]["classes"] == {name: 6 for name in CLASSES}
    assert batch["summary"]["failures"][0]["image"] == "broken.jpg" and batch["summary"]["failed"] == 1
    assert [each["name"] for each in batch["artifacts"]] == sorted(each["name"] for each in batch["artifacts"])
    for artifact in batch["artifacts"]:
        head = client.head(artifact["links"]["self"])
        assert (head.headers["content-length"], head.headers["etag"]) == (
            str(artifact["bytes"]),
            f'"{artifact["sha256"]}"',
        )
    part = client.get(batch["links"]["results"], headers={"range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, results(client, batch, "jsonl").content[:10])
    lines = lines_of(client, batch)
    assert [line["image"] for line in lines] == ["broken.jpg", *sorted(scenes())]
    rows = list(csv.DictReader(io.StringIO(results(client, batch, "csv").text)))
    assert len(rows) == 19 and {row["label"] for row in rows} == {"", *CLASSES}
    coco = results(client, batch, "coco").json()
    assert [len(coco[name]) for name in ("images", "annotations", "categories")] == [9, 18, 3]
    assert len(results(client, batch, "coco-results").json()) == 18


@pytest.mark.slow
def test_a_labelled_zip_is_uploaded_as_a_dataset_whose_images_are_predicted(
    client: httpx.Client, platform: Platform, tmp_path: Path
) -> None:
    batch = worked(client, platform, post(client, zipped(tmp_path, scenes()), model="squares", iou="0.1"))
    labelled = results(client, batch, "zip").content
    sent = client.post("/upload-dataset", content=labelled, headers={"content-type": "application/zip"}).json()
    prepare_job(Worker(platform, "prepare", "test"), sent["job_id"])
    job = client.get(f"/jobs/{sent['job_id']}").json()
    assert (job["state"], job["kind"], job["images"]) == ("ready", "detection", 9), job

    again = client.post(
        "/predict/batch", json={"model": "squares", "job_id": sent["job_id"], "iou": 0.1, "labelled": False}
    )
    on_dataset = worked(client, platform, again.json())
    assert on_dataset["summary"]["classes"] == {name: 6 for name in CLASSES}, on_dataset
    problem(client.get(on_dataset["links"]["results"], params={"format": "zip"}), 404, "artifact-not-found")
    upload = client.post("/predict/batch", json={"model": "halves/v1", "upload": sent["job_id"]}).json()
    classified = worked(client, platform, upload)
    assert classified["summary"]["images"] == 9 and sum(classified["summary"]["classes"].values()) == 9
    problem(client.get(classified["links"]["results"], params={"format": "coco"}), 404, "artifact-not-found")
    with zipfile.ZipFile(io.BytesIO(results(client, classified, "zip").content)) as folders:
        assert {name.split("/")[0] for name in folders.namelist()} == set(CLASSES)

    listed = client.get("/predict/batch").json()["items"]
    assert [each["operation_id"] for each in listed] == [
        *(each["operation_id"] for each in (classified, on_dataset, batch)),
    ]
    of_job = client.get("/predict/batch", params={"project": "squares", "job_id": sent["job_id"]}).json()["items"]
    assert [each["operation_id"] for each in of_job] == [on_dataset["operation_id"]]
    assert client.delete(f"/jobs/{sent['job_id']}").status_code == 200
    problem(client.get(on_dataset["links"]["self"]), 410, "gone")
    assert client.get(batch["links"]["self"]).status_code == 200


def test_a_deleted_batch_is_cancelled_and_leaves_no_object(
    client: httpx.Client, platform: Platform, tmp_path: Path
) -> None:
    body = zipped(tmp_path, scenes())
    batch = worked(client, platform, post(client, body, model="squares", labelled="false"))
    waiting = post(client, body, model="squares")
    for each in (batch, waiting):
        assert client.delete(f"/predict/batch/{each['operation_id']}").status_code == 204
        problem(client.get(f"/predict/batch/{each['operation_id']}"), 410, "gone")
        problem(client.delete(f"/predict/batch/{each['operation_id']}"), 410, "gone")
    assert client.get(waiting["links"]["self"]).json()["state"] == "cancelled"
    assert client.get("/predict/batch").json()["items"] == []
    purge_derived(platform)
    forget_ended_operations(platform)
    assert [
        key for prefix in ("batch_predictions/", "operations/") for key, _ in platform.store.list_prefix(prefix)
    ] == []
    assert delete_orphans(platform) == []
    problem(client.get("/predict/batch/operation_none"), 404, "batch-not-found")


def test_the_same_request_with_a_key_is_done_once_and_wrong_ones_are_refused(
    client: httpx.Client, platform: Platform, tmp_path: Path
) -> None:
    body, kind = zipped(tmp_path, {"a.png": scene("red", "blue")}), {"content-type": "application/zip"}
    keyed = kind | {"idempotency-key": "one"}
    first, second = (
        client.post("/predict/batch", params={"model": "squares"}, content=body, headers=keyed) for _ in range(2)
    )
    assert (first.json()["operation_id"], second.headers["idempotency-replayed"]) == (
        second.json()["operation_id"],
        "true",
    )
    problem(
        client.post("/predict/batch", params={"model": "halves"}, content=body, headers=keyed),
        422,
        "idempotency-key-reused",
    )
    for sent, status, slug in (
        ({"model": "squares"}, 400, "request-invalid"),
        ({"model": "squares", "upload": "upload_none", "urls": ["http://x/"]}, 400, "request-invalid"),
        ({"model": "squares", "upload": "upload_none", "split": "test"}, 400, "request-invalid"),
        ({"model": "squares", "upload": "upload_none", "top": 0}, 400, "request-invalid"),
        ({"model": "squares", "upload": "upload_none", "sure": 1}, 400, "request-invalid"),
        ({"model": "halves", "job_id": "job_none"}, 404, "job-not-found"),
        ({"model": "squares", "upload": "upload_none"}, 404, "upload-not-found"),
        ({"model": "otters", "upload": "upload_none"}, 404, "project-not-found"),
        ({"model": "squares/v9", "upload": "upload_none"}, 404, "version-not-found"),
        ({"model": "squares", "urls": ["https://example.org/a.jpg"]}, 422, "image-url-refused"),
    ):
        problem(client.post("/predict/batch", json=sent), status, slug)
    problem(
        client.post("/predict/batch", content=b"{", headers={"content-type": "application/json"}),
        400,
        "request-invalid",
    )
    problem(client.post("/predict/batch", content=body, headers=kind), 400, "request-invalid")
    problem(client.post("/predict/batch?model=halves&tile=64", content=body, headers=kind), 400, "request-invalid")
    assert len(client.get("/operations").json()["items"]) == 3, "two exports and one batch"
    form = client.post("/predict/batch", data={"model": "halves", "top": "2"}, files={"file": ("a.zip", body)})
    batch = worked(client, platform, form.json())
    assert [len(line["labels"]) for line in lines_of(client, batch)] == [2]


def test_a_resumable_upload_of_images_without_labels_is_predicted_once_it_is_complete(
    client: httpx.Client, platform: Platform, tmp_path: Path
) -> None:
    body = zipped(tmp_path, scenes())
    tus = {"tus-resumable": "1.0.0", "content-type": "application/offset+octet-stream"}
    sent = client.post("/uploads", content=body[:-9], headers=tus | {"upload-length": str(len(body))}).json()
    named = {"model": "halves", "upload": sent["upload_id"], "labelled": False}
    problem(client.post("/predict/batch", json=named), 409, "upload-offset-differs")
    offset = {"upload-offset": str(len(body) - 9)}
    assert client.patch(f"/uploads/{sent['upload_id']}", content=body[-9:], headers=tus | offset).status_code == 204
    wait_until(lambda: get_upload(platform.db, sent["upload_id"]).state == "done", seconds=30, what="a job")
    batch = worked(client, platform, client.post("/predict/batch", json=named).json())
    assert (batch["state"], batch["source"]["kind"], batch["summary"]["images"]) == ("succeeded", "upload", 9)
    with platform.db.transaction() as session:
        session.execute(update(JobRow).where(JobRow.id == batch["source"]["job_id"]).values(source_key=None))
    problem(client.post("/predict/batch", json=named), 410, "gone")


def test_a_hostile_zip_ends_its_batch_with_the_reason(client: httpx.Client, platform: Platform, tmp_path: Path) -> None:
    batch = worked(client, platform, post(client, zipped(tmp_path, {"../a.png": POISON}), model="squares"))
    assert (batch["state"], batch["problem"]["slug"]) == ("failed", "archive-refused")
    assert client.post(batch["links"]["retry"]).status_code == 202


class _Images(BaseHTTPRequestHandler):
    content = b""

    def do_GET(self) -> None:
        found = self.path.startswith("/a.png")
        self.send_response(200 if found else 404)
        self.send_header("content-type", "image/png")
        self.end_headers()
        self.wfile.write(self.content if found else b"")

    def log_message(self, *_: Any) -> None:
        pass


def test_images_by_url_are_fetched_by_the_rules_of_predict(
    platform: Platform, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    _Images.content = scene("green", "red")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Images)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    urls = [
        f"http://localhost:{port}/a.png?signature=1",
        f"http://localhost:{port}/b.png",
        "http://other.example/c.png",
    ]
    allowing = platform.settings.model_copy(update={"image_hosts": f"localhost:{port}"})
    monkeypatch.setattr(remote_address, "is_public", lambda _address: True)
    with serving(platform, image_hosts=allowing.image_hosts) as allowed:
        queued = allowed.post("/predict/batch", json={"model": "squares", "urls": urls}).json()
    assert "signature" not in json.dumps(queued) and queued["params"]["source"]["count"] == 3
    fetching = Platform(allowing, platform.db, platform.store, platform.queue)
    lines = lines_of(client, worked(client, fetching, queued))
    server.shutdown()
    server.server_close()
    assert [line["url"] for line in lines] == urls
    assert [line["error"] for line in lines][:2] == [None, "The URL answers 404. Check it, or send the image itself."]
    assert "not fetched from other.example" in lines[2]["error"]
    assert {box["label"] for box in lines[0]["boxes"]} == {"green", "red"}


@pytest.mark.slow
def test_a_batch_is_published_once_though_its_child_and_its_worker_are_killed(
    tmp_path: Path, database_url: str, valkey_url: str, models: dict[str, Path]
) -> None:
    with stack(tmp_path, database_url, valkey_url, serving_threads=1) as line:
        publish(line.platform, "squares", models["squares"])
        content = scene("red", "green")
        body = zipped(tmp_path, {f"{number}.png": content for number in range(3000)})
        with serving(line.platform) as client:
            queued = post(client, body, model="squares")
            line.start("housekeeping")
            first = line.start("operations")
            line.until(lambda: line.operation(queued["operation_id"]).stage == "predicting" and child_of(first))
            line.until(partial(child_of, first)).kill()
            line.until(lambda: line.operation(queued["operation_id"]).attempt == 2 and child_of(first))
            first.kill()
            line.start("operations")
            row = line.ended_operation(queued["operation_id"])
            assert (row.state, row.attempt, row.lost_leases) == ("succeeded", 3, 2), line.logs()
            batch = client.get(queued["links"]["batch"]).json()
            assert [each["image"] for each in lines_of(client, batch)] == sorted(f"{n}.png" for n in range(3000))
            keys = [key for key, _ in line.platform.store.list_prefix("batch_predictions/")]
            assert len(keys) == 5 and all("/3/" in key for key in keys)
            line.until(lambda: not list((line.settings.temp / "attempts").glob("*")))
