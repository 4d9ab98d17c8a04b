"""A model that was trained elsewhere, uploaded over HTTP and published by a worker, on both databases."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.domain.keys import upload_key
from core.services.jobs.commands import new_job_id, receive_job
from core.services.projects.lookup import join_project
from tests.builders.class_folders import folder_files
from tests.builders.foreign_models import CLASSES, zip_of
from tests.builders.voc import zip_files
from tests.servers.api import serving
from tests.servers.workers import OPTIONS, Stack, stack
from worker.context import Worker
from worker.tasks.operations.operate import operate
from worker.tasks.prepare import prepare_job


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    from tests.builders.foreign_models import vit_files

    return zip_of(vit_files())


@pytest.fixture
def line(tmp_path: Path, database_url: str) -> Iterator[Stack]:
    with stack(tmp_path, database_url, "") as made:
        with made.platform.db.transaction() as session:
            join_project(session, "shapes")
        yield made


@pytest.fixture
def api(line: Stack) -> Iterator[httpx.Client]:
    with serving(line.platform) as client:
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


def _ended(api: httpx.Client, line: Stack, operation_id: str) -> dict[str, Any]:
    operate(Worker(line.platform, "operations", "test"), operation_id)
    operation: dict[str, Any] = api.get(f"/operations/{operation_id}").json()
    return operation


def test_an_uploaded_model_becomes_a_version_of_its_project(api: httpx.Client, line: Stack, vit: bytes) -> None:
    queued = _upload(api, vit)
    assert (queued["kind"], queued["project"], queued["state"]) == ("import-version", "shapes", "queued")
    done = _ended(api, line, queued["operation_id"])
    assert done["state"] == "succeeded", done["problem"]
    assert done["result"] | {"version_id": ""} == {
        "name": "shapes/v1",
        "version": "v1",
        "version_id": "",
        "evaluated": False,
        "notes": [],
    }
    version = api.get("/models/shapes/v1").json()
    assert (version["origin"], version["evaluated"], version["metrics"]) == ("imported", False, {})
    assert [version[name] for name in ("job_id", "run_id", "fingerprint", "mlflow")] == [None] * 4
    assert version["params"]["source"]["name"] == "theirs.zip"
    assert api.get(version["links"]["self"]).json() == version
    for artifact in version["artifacts"]:
        assert api.get(artifact["links"]["self"]).status_code == 200
    downloaded = api.get("/download/model/shapes")
    assert downloaded.headers["content-disposition"].startswith('attachment; filename="shapes-v1-model.zip"')
    assert list(line.platform.store.list_prefix("operations/")) == [], "what was uploaded is not kept"


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
