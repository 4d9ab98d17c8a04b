"""The bundle of a version over HTTP: queued by its first GET, written by a worker, sent, checked offline."""

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.db.tables import VersionRow
from core.services.context import Platform
from pipeline.bundle.verify import verify_bundle
from pipeline.process.specs import BundleSpec
from tests.builders import published
from tests.builders.bundled import bundle_spec
from tests.builders.exports import claimed_export, publish_claimed
from tests.servers.api import problem
from worker.context import Worker
from worker.tasks.operations.operate import operate


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> BundleSpec:
    """The files of a version."""
    return bundle_spec(tmp_path_factory.mktemp("given") / "version")


def exported_version(platform: Platform, given: BundleSpec) -> VersionRow:
    """A version whose files are stored, and its ONNX."""
    assert given.metadata is not None
    job = published.ready_job(platform, project="colours", metadata=given.metadata.read_bytes())
    files = {path.name: path.read_bytes() for path in given.artifacts.iterdir()}
    weights = files.pop("best.pt")
    version = published.version(platform, job.id, weights, artifacts=files)
    publish_claimed(platform, claimed_export(platform, version), stored=given.export)
    return version


def operated(platform: Platform, client: httpx.Client, queued: httpx.Response) -> dict[str, Any]:
    operate(Worker(platform, "operations", "test"), queued.json()["operation_id"])
    operation: dict[str, Any] = client.get(queued.headers["location"]).json()
    return operation


def test_the_first_get_queues_it_and_the_next_one_sends_it(
    platform: Platform, client: httpx.Client, given: BundleSpec, tmp_path: Path
) -> None:
    version = exported_version(platform, given)
    path = f"/models/{version.job_id}/v1/bundle"
    assert client.get(f"/models/{version.job_id}/v1").json()["links"]["bundle"] == path
    unasked = ({"sec-purpose": "prefetch"}, {"sec-fetch-site": "cross-site"})
    for answer in (client.head(path), *(client.get(path, headers=each) for each in unasked)):
        assert answer.status_code == 202 and "location" not in answer.headers, "these queue nothing"
    started = time.monotonic()
    queued = client.get(path, params={"wait": 0.2})
    assert 0.2 <= time.monotonic() - started < 5
    assert queued.status_code == 202 and int(queued.headers["retry-after"]) > 0
    assert client.get("/models/colours/latest/bundle").json()["operation_id"] == queued.json()["operation_id"]
    assert client.head(path).headers["location"] == queued.headers["location"]
    done = operated(platform, client, queued)
    assert done["state"] == "succeeded", done["problem"]
    assert client.head(done["links"]["bundle"]).status_code == client.get(done["links"]["export"]).status_code == 200

    sent = client.get(path)
    assert sent.status_code == 200 and sent.headers["content-type"] == "application/zip"
    assert sent.headers["content-disposition"].startswith('attachment; filename="colours-v1-bundle.zip"')
    assert client.head(path).headers["content-length"] == str(len(sent.content)) == str(done["result"]["bytes"])
    assert client.get(path, headers={"range": "bytes=0-3"}).content == b"PK\x03\x04"
    assert client.get(path, headers={"if-none-match": sent.headers["etag"]}).status_code == 304
    file = tmp_path / "bundle.zip"
    file.write_bytes(sent.content)
    assert verify_bundle(file, sha256=sent.headers["x-checksum-sha256"]).faults == ()
    with zipfile.ZipFile(io.BytesIO(sent.content)) as archive:
        about = json.loads(archive.read("version.json"))
        assert archive.read("README.md").startswith(b"---\nlicense: agpl-3.0\n")
        assert "dataset_metadata.json" in archive.namelist()
    assert (about["version_id"], about["dataset"]["name"]) == (version.id, "colours/d1")


@pytest.mark.slow
def test_a_lost_file_of_the_version_is_named_and_a_retry_writes_the_bundle(
    platform: Platform, client: httpx.Client, given: BundleSpec
) -> None:
    version = exported_version(platform, given)
    path = f"/models/{version.job_id}/v1/bundle"
    ((key, *_),) = platform.store.list_prefix("exports/")
    platform.store.delete_prefix(key)
    failed = operated(platform, client, client.get(path))
    assert failed["state"] == "failed" and "has lost the ONNX" in failed["problem"]["detail"]
    refused = problem(client.get(path), 409, "bundle-failed")
    assert refused["operation_id"] == failed["operation_id"]
    platform.store.put(key, given.export)
    assert client.post(refused["links"]["retry"]).status_code == 202
    assert operated(platform, client, client.get(path))["state"] == "succeeded"
    assert client.get(path).status_code == 200


def test_a_version_without_an_onnx_says_how_to_make_it(platform: Platform, client: httpx.Client) -> None:
    version = published.version(platform, published.ready_job(platform).id, b"weights")
    refused = problem(client.get(f"/models/{version.job_id}/v1/bundle"), 409, "bundle-without-onnx")
    queued = client.post(refused["links"]["exports"])
    assert queued.status_code == 202
    waiting = client.get(f"/models/{version.job_id}/v1/bundle")
    assert (waiting.status_code, waiting.json()["kind"]) == (202, "export")
    assert waiting.headers["location"] == queued.json()["links"]["self"]
