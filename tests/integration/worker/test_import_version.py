"""A model that was trained elsewhere, uploaded over HTTP and published by a worker, on both databases."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from core.db.tables import ArtifactRow
from core.domain.keys import upload_key
from core.services.jobs.commands import new_job_id, receive_job
from core.services.projects.lookup import join_project
from tests.builders.class_folders import folder_files
from tests.builders.foreign_models import CLASSES, zip_of
from tests.builders.hostile_models import RunsCode, torch_zip
from tests.builders.onnx_models import described, onnx_classifier
from tests.builders.voc import voc_zip, zip_files
from tests.databases import POSTGRES_IS_SLOW
from tests.servers.api import problem, serving
from tests.servers.workers import OPTIONS, Stack, child_of, stack
from worker.context import Worker
from worker.tasks.operations.operate import operate
from worker.tasks.prepare import prepare_job


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    from tests.builders.foreign_models import vit_files

    return zip_of(vit_files())


@pytest.fixture(scope="module")
def onnx_file() -> bytes:
    """Which is read without torch, in seconds."""
    return described(onnx_classifier(), "classification", "logits").SerializeToString()


@contextmanager
def _with_project(folder: Path, database_url: str) -> Iterator[Stack]:
    with stack(folder, database_url, "") as made:
        with made.platform.db.transaction() as session:
            join_project(session, "shapes")
        yield made


@pytest.fixture
def line(tmp_path: Path, sqlite_url: str) -> Iterator[Stack]:
    with _with_project(tmp_path, sqlite_url) as made:
        yield made


@pytest.fixture
def each_line(tmp_path: Path, database_url: str) -> Iterator[Stack]:
    """Once over each database."""
    with _with_project(tmp_path, database_url) as made:
        yield made


@pytest.fixture
def api(line: Stack) -> Iterator[httpx.Client]:
    with serving(line.platform) as client:
        yield client


@pytest.fixture
def each_api(each_line: Stack) -> Iterator[httpx.Client]:
    with serving(each_line.platform) as client:
        yield client


def _upload(api: httpx.Client, content: bytes, **query: str) -> dict[str, Any]:
    answer = api.post(
        "/projects/shapes/versions",
        content=content,
        params=query,
        headers={"content-type": "application/octet-stream", "x-file-name": "theirs.zip"},
    )
    assert answer.status_code == 202, answer.text
    queued: dict[str, Any] = answer.json()
    return queued


def _dataset(line: Stack, archive: Path) -> str:
    """The id of a job that waits, the next dataset of the project."""
    job_id = new_job_id()
    stored = line.platform.store.put(upload_key(job_id), archive)
    source = {"source_name": archive.name, "source_bytes": stored.bytes, "source_sha256": stored.sha256}
    return receive_job(line.platform, job_id, name="shapes", options=OPTIONS, project="shapes", **source).id


def _ended(api: httpx.Client, line: Stack, operation_id: str, **settings: bool) -> dict[str, Any]:
    platform = replace(line.platform, settings=line.settings.model_copy(update=settings))
    operate(Worker(platform, "operations", "test"), operation_id)
    operation: dict[str, Any] = api.get(f"/operations/{operation_id}").json()
    return operation


@POSTGRES_IS_SLOW
def test_an_uploaded_model_becomes_a_version_of_its_project(
    each_api: httpx.Client, each_line: Stack, onnx_file: bytes
) -> None:
    queued = _upload(each_api, onnx_file)
    assert (queued["kind"], queued["project"], queued["state"]) == ("import-version", "shapes", "queued")
    done = _ended(each_api, each_line, queued["operation_id"], export_on_publish=True)
    assert done["state"] == "succeeded", done["problem"]
    assert done["result"] | {"version_id": ""} == {
        "name": "shapes/v1",
        "version": "v1",
        "version_id": "",
        "evaluated": False,
        "notes": [],
    }
    version = each_api.get("/models/shapes/v1").json()
    assert (version["origin"], version["evaluated"], version["metrics"]) == ("imported", False, {})
    assert [version[name] for name in ("job_id", "run_id", "fingerprint", "mlflow")] == [None] * 4
    assert version["params"]["source"]["name"] == "theirs.zip"
    assert version["links"]["self"] == done["links"]["version"]
    assert each_api.get(version["links"]["self"]).json() == version
    for artifact in version["artifacts"]:
        assert each_api.get(artifact["links"]["self"]).status_code == 200
    [export] = each_api.get(version["links"]["exports"]).json()["waiting"]
    assert (export["job_id"], export["project"], export["params"]["on_publish"]) == (None, "shapes", True)
    downloaded = each_api.get("/download/model/shapes")
    assert downloaded.headers["content-disposition"].startswith('attachment; filename="shapes-v1-model.onnx"')
    assert list(each_line.platform.store.list_prefix("operations/")) == [], "what was uploaded is not kept"
    assert version["trainer"] == "onnx"


@pytest.mark.slow
def test_a_version_is_evaluated_on_a_dataset_of_the_project(
    api: httpx.Client, line: Stack, vit: bytes, tmp_path: Path
) -> None:
    job_id = _dataset(line, zip_files(tmp_path / "set.zip", folder_files(classes=CLASSES)))
    prepare_job(Worker(line.platform, "prepare", "test"), job_id)
    done = _ended(api, line, _upload(api, vit, dataset="d1")["operation_id"])
    assert done["state"] == "succeeded", done["problem"]
    assert done["params"]["dataset"] == {"job_id": job_id, "fingerprint": line.job(job_id).fingerprint}
    version = api.get("/models/shapes/v1").json()
    assert version["evaluated"]
    assert version["metrics"]["val"]["images"] and version["metrics"]["test"]["images"]
    assert "report.html" in {artifact["name"] for artifact in version["artifacts"]}


@pytest.mark.slow  # `make test` refuses each hostile model in the contract test of the command
def test_a_hostile_model_is_refused_in_its_child_and_the_service_goes_on(
    api: httpx.Client, line: Stack, onnx_file: bytes, tmp_path: Path
) -> None:
    mark = tmp_path / "executed"
    hostile = _upload(api, torch_zip(pickle.dumps({"model": RunsCode(mark)}, 2)))
    refused = _ended(api, line, hostile["operation_id"])
    assert (refused["state"], refused["problem"]["slug"]) == ("failed", "model-refused")
    assert "posix.system" in refused["problem"]["reasons"][0]["detail"]
    assert not mark.exists()
    assert api.get("/models/shapes").json()["items"] == []
    assert _ended(api, line, _upload(api, onnx_file)["operation_id"])["result"]["name"] == "shapes/v1"


def test_what_cannot_be_imported_is_refused_before_anything_is_stored(
    api: httpx.Client, line: Stack, tmp_path: Path
) -> None:
    path, headers = "/projects/shapes/versions", {"content-type": "application/octet-stream"}
    waiting = _dataset(line, voc_zip(tmp_path / "boxes.zip"))
    problem(api.post("/projects/nowhere/versions", content=b"x", headers=headers), 404, "project-not-found")
    implicit = line.job(line.upload(tmp_path / "boxes.zip")).project_id
    problem(api.post(f"/projects/{implicit}/versions", content=b"x", headers=headers), 409, "project-is-implicit")
    problem(api.post(path, content=b"x", headers=headers, params={"dataset": "d7"}), 404, "job-not-found")
    problem(api.post(path, content=b"x", headers=headers, params={"dataset": waiting}), 409, "job-not-ready")
    problem(api.post(path, content=b"", headers=headers), 400, "upload-invalid")
    problem(api.post(path, files={"file": b"x"}, data={"trainer": "yolo"}), 400, "request-invalid")
    assert list(line.platform.store.list_prefix("operations/")) == []


@pytest.mark.slow
def test_no_training_goes_on_from_an_imported_onnx_file(
    api: httpx.Client, line: Stack, onnx_file: bytes, tmp_path: Path
) -> None:
    _ended(api, line, _upload(api, onnx_file)["operation_id"])
    job_id = _dataset(line, zip_files(tmp_path / "set.zip", folder_files(classes=CLASSES)))
    prepare_job(Worker(line.platform, "prepare", "test"), job_id)
    refused = api.post(f"/train-async/{job_id}", json={"params": {"model": "v1"}})
    assert problem(refused, 409, "model-trainer-mismatch")["model_trainer"] == "onnx"


def test_an_upload_with_the_same_key_is_imported_once(api: httpx.Client) -> None:
    def send(content: bytes) -> httpx.Response:
        return api.post("/projects/shapes/versions", files={"file": content}, headers={"idempotency-key": "one"})

    first, again = send(b"a model"), send(b"a model")
    assert first.json() == again.json() and again.headers["idempotency-replayed"] == "true"
    problem(send(b"another"), 422, "idempotency-key-reused")
    api.patch("/projects/shapes", json={"project": "forms"}).raise_for_status()
    assert send(b"a model").json() == first.json(), "renamed before the answer arrived"
    assert len(api.get("/operations").json()["items"]) == 1
    api.delete("/projects/forms?cancel=true").raise_for_status()
    assert send(b"a model").json() == first.json()


@pytest.mark.slow
def test_an_import_whose_child_and_worker_are_killed_is_published_once(
    each_api: httpx.Client, each_line: Stack, vit: bytes
) -> None:
    operation_id = _upload(each_api, vit)["operation_id"]
    each_line.start("housekeeping")
    first = each_line.start("operations")
    each_line.until(partial(child_of, first)).kill()
    each_line.until(lambda: each_line.operation(operation_id).attempt == 2 and child_of(first))
    first.kill()
    each_line.start("operations")
    row = each_line.ended_operation(operation_id)
    assert (row.state, row.attempt, row.lost_leases) == ("succeeded", 3, 2), each_line.logs()
    versions = each_api.get("/models/shapes").json()["items"]
    assert [version["version"] for version in versions] == ["v1"]
    with each_line.platform.db.reading() as session:
        keys = list(session.execute(select(ArtifactRow.key)).scalars())
    assert all(key.startswith(f"versions/{operation_id}/3/") for key in keys)
    each_line.until(lambda: not list((each_line.settings.temp / "attempts").glob("*")))
