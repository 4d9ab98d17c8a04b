"""Downloads by version, alias and range, with digests and file names; aliases and their history."""

import base64
import hashlib
import math
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from api.schemas.models import ModelVersion, ModelVersions
from core.db.tables import VersionRow
from core.services.context import Platform, open_platform
from core.settings import Settings
from tests.builders import published
from tests.builders.served import publish
from tests.servers.api import problem, serving

WEIGHTS = bytes(range(256)) * 9000  # 2.3 MB: more than one chunk
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture
def job_id(platform: Platform) -> str:
    """A job with v1, whose weights are `first`, and v2, whose weights are WEIGHTS."""
    job = published.ready_job(platform)
    published.version(platform, job.id, b"first")
    published.version(platform, job.id, WEIGHTS)
    return job.id


def test_the_latest_weights_are_sent_whole_with_digest_and_file_name(client: httpx.Client, job_id: str) -> None:
    answer = client.get(f"/download/model/{job_id}")
    assert answer.content == WEIGHTS
    expected = {
        "etag": f'"{SHA256}"',
        "x-checksum-sha256": SHA256,
        "repr-digest": f"sha-256=:{base64.b64encode(bytes.fromhex(SHA256)).decode()}:",
        "content-length": str(len(WEIGHTS)),
        "content-location": f"/download/model/{job_id}?version=v2",
        "cache-control": "private, no-cache",
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
    }
    assert {name: answer.headers[name] for name in expected} == expected
    assert 'filename="raccoons-v2-best.pt"' in answer.headers["content-disposition"]
    head = client.head(f"/download/model/{job_id}")
    assert head.status_code == 200 and head.content == b"" and head.headers["content-length"] == str(len(WEIGHTS))


def test_a_version_never_changes_and_is_cached_forever(client: httpx.Client, job_id: str) -> None:
    answer = client.get(f"/download/model/{job_id}?version=v1")
    assert answer.content == b"first" and "immutable" in answer.headers["cache-control"]
    assert client.get(f"/models/{job_id}/v1/artifacts/best.pt").content == b"first"
    problem(client.get(f"/download/model/{job_id}?version=v3"), 404, "version-not-found")
    problem(client.get(f"/download/model/{job_id}?version=../1"), 404, "version-not-found")
    problem(client.get(f"/download/model/{job_id}?alias=production"), 404, "alias-not-found")
    problem(client.get(f"/download/model/{job_id}?alias=a&version=v1"), 400, "request-invalid")
    problem(client.get(f"/models/{job_id}/v1/artifacts/nope.png"), 404, "artifact-not-found")
    problem(client.get(f"/models/{job_id}/v1/artifacts/..%2F..%2Fetc"), 404, "route-not-found")


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1000000-1999999", 1_000_000, 2_000_000),
        ("bytes=2303000-", 2_303_000, len(WEIGHTS)),
        ("bytes=0-99999999", 0, len(WEIGHTS)),
        ("bytes=-10", len(WEIGHTS) - 10, len(WEIGHTS)),
        ("bytes=-99999999", 0, len(WEIGHTS)),
    ],
)
def test_a_range_returns_the_requested_bytes(
    client: httpx.Client, job_id: str, wanted: str, start: int, end: int
) -> None:
    answer = client.get(f"/download/model/{job_id}", headers={"range": wanted})
    assert answer.status_code == 206 and answer.content == WEIGHTS[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(WEIGHTS)}"


@pytest.mark.parametrize("wanted", [f"bytes={len(WEIGHTS)}-", "bytes=-0"])
def test_a_range_outside_the_file_is_refused_with_its_size(client: httpx.Client, job_id: str, wanted: str) -> None:
    answer = client.get(f"/download/model/{job_id}", headers={"range": wanted})
    problem(answer, 416, "range-invalid")
    assert answer.headers["content-range"] == f"bytes */{len(WEIGHTS)}"


@pytest.mark.parametrize("wanted", ["bytes=5-2", "bytes=0-1,5-6", "lines=1-2", "bytes=-", "bytes=a-b"])
def test_an_unsupported_range_returns_the_whole_file(client: httpx.Client, job_id: str, wanted: str) -> None:
    assert client.get(f"/download/model/{job_id}", headers={"range": wanted}).status_code == 200


def test_a_range_of_another_version_is_ignored(client: httpx.Client, job_id: str) -> None:
    path = f"/download/model/{job_id}"
    headers = {"range": "bytes=5-", "if-range": '"of-the-version-before"'}
    assert client.get(path, headers=headers).content == WEIGHTS
    assert client.get(path, headers=headers | {"if-range": f'"{SHA256}"'}).status_code == 206
    answer = client.get(path, headers={"if-none-match": f'"x", W/"{SHA256}"'})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", f'"{SHA256}"')


def test_metadata_and_dataset_are_sent_as_they_were_written(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform)
    answer = client.get(f"/dataset/metadata/{job.id}")
    assert answer.content == published.METADATA and answer.headers["content-type"] == "application/json"
    assert answer.headers["etag"] == f'"{hashlib.sha256(published.METADATA).hexdigest()}"'
    again = client.get(f"/dataset/metadata/{job.id}", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    part = client.get(f"/dataset/download/{job.id}", headers={"range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, published.TAR[4:8])


def test_a_job_can_be_deleted_once_its_alias_is_removed(client: httpx.Client, job_id: str) -> None:
    path = f"/models/{job_id}/aliases/production"
    client.put(path, json={"version": "v2"})
    problem(client.delete(f"/jobs/{job_id}"), 409, "job-in-use")
    assert client.delete(path).status_code == 204
    problem(client.get(path), 404, "alias-not-found")
    problem(client.delete(path), 404, "alias-not-found")
    problem(client.get(f"/download/model/{job_id}?alias=production"), 404, "alias-not-found")
    assert client.get(f"/models/{job_id}").json()["aliases"] == []
    again = client.put(path, json={"version": "v1"}).json()
    assert [(move["action"], move["version"]) for move in again["history"]] == [
        ("set", "v2"),
        ("remove", "v2"),
        ("set", "v1"),
    ]
    problem(client.post(f"{path}/rollback"), 409, "no-earlier-version")
    assert client.delete(path).status_code == 204
    assert client.delete(f"/jobs/{job_id}").is_success


def test_an_alias_of_a_version_that_is_not_served_says_so(
    client: httpx.Client, platform: Platform, tmp_path: Path
) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"a model")
    served, refused = publish(platform, "squares", file), publish(platform, "squares", file, passed=False)
    path = "/projects/squares/aliases/production"
    assert client.put(path, json={"version": served.partition("/")[2]}).json()["warning"] is None
    moved = client.put(path, json={"version": refused.partition("/")[2]})
    assert moved.status_code == 200 and "did not pass its certificate" in moved.json()["warning"]
    assert client.get(path).json() == moved.json()
    back = client.post(f"{path}/rollback", headers={"Idempotency-Key": "once"})
    assert back.json()["warning"] is None
    assert client.post(f"{path}/rollback", headers={"Idempotency-Key": "once"}).json() == back.json()


def test_an_alias_moves_keeps_its_history_and_rolls_back(client: httpx.Client, job_id: str) -> None:
    path = f"/models/{job_id}/aliases/production"
    problem(client.get(path), 404, "alias-not-found")
    for version in ("v1", "v2"):
        assert client.put(path, json={"version": version}).json()["version"] == version
    assert client.get(f"/download/model/{job_id}?alias=production").content == WEIGHTS
    back = client.post(f"{path}/rollback", headers={"Idempotency-Key": "once"})
    assert back.status_code == 200 and back.json()["version"] == "v1"
    assert [move["action"] for move in back.json()["history"]] == ["set", "set", "rollback"]
    again = client.post(f"{path}/rollback", headers={"Idempotency-Key": "once"})
    assert again.json() == back.json() == client.get(path).json()
    assert client.get(f"/download/model/{job_id}?alias=production").content == b"first"
    problem(client.post(f"{path}/rollback"), 409, "no-earlier-version")
    problem(client.put(path, json={"version": "v9"}), 404, "version-not-found")
    for reserved in ("latest", "v3", "UPPER"):
        problem(client.put(f"/models/{job_id}/aliases/{reserved}", json={"version": "v1"}), 422, "alias-reserved")
    listed = client.get(f"/models/{job_id}").json()
    assert [(alias["alias"], alias["version"]) for alias in listed["aliases"]] == [("production", "v1")]


def test_versions_are_listed_for_a_job_and_for_all_jobs(client: httpx.Client, platform: Platform, job_id: str) -> None:
    other = published.ready_job(platform)
    published.version(platform, other.id, b"other")
    assert [item["version"] for item in client.get(f"/models/{job_id}").json()["items"]] == ["v2", "v1"]
    across = client.get("/models").json()["items"]
    assert [item["job_id"] for item in across] == [other.id, job_id, job_id]
    model = client.get(f"/models/{job_id}/v2").json()
    assert model["metrics"] == {"test": {"mAP50": 0.9}} and model["mlflow"] is None
    for artifact in model["artifacts"]:
        content = client.get(artifact["links"]["self"]).content
        assert (len(content), hashlib.sha256(content).hexdigest()) == (artifact["bytes"], artifact["sha256"])


def test_a_signed_link_downloads_from_s3_without_the_service(s3_settings: Settings, sqlite_url: str) -> None:
    platform = open_platform(s3_settings.model_copy(update={"database_url": sqlite_url}))
    job = published.ready_job(platform)
    published.version(platform, job.id, WEIGHTS)
    with serving(platform) as client:
        assert client.get(f"/download/model/{job.id}").content == WEIGHTS
        part = client.get(f"/download/model/{job.id}", headers={"range": "bytes=7-9"})
        assert (part.status_code, part.content) == (206, WEIGHTS[7:10])
        redirect = client.get(f"/download/model/{job.id}?link=true")
    assert redirect.status_code == 307 and redirect.headers["cache-control"] == "no-store"
    direct = httpx.get(redirect.headers["location"], trust_env=False)
    assert direct.content == WEIGHTS and "raccoons-v1-best.pt" in direct.headers["content-disposition"]
    platform.db.close()


def test_a_version_is_the_same_wherever_it_is_read(client: httpx.Client, platform: Platform) -> None:
    job_id = published.ready_job(platform).id
    row = published.version(platform, job_id, b"first")
    with platform.db.transaction() as session:  # numbers that JSON lacks, as SQLite stores them
        metrics = {"NaN": math.nan, "test": {"loss": math.inf, "mAP50": 0.5}}
        session.execute(update(VersionRow).values(metrics=metrics, params={"note": '"quoted" \u2028 \u00fc'}))
    client.put(f"/models/{job_id}/aliases/production", json={"version": "v1"})

    one = client.get(f"/models/{job_id}/v1")
    version = ModelVersion.model_validate_json(one.content, strict=True)
    assert (version.version, version.run_id, version.aliases) == ("v1", row.run_id, ["production"])
    assert version.metrics == {"NaN": None, "test": {"loss": None, "mAP50": 0.5}}
    assert version.params == {"note": '"quoted" \u2028 \u00fc'}
    for path in ("/models", f"/models?job_id={job_id}", f"/models/{job_id}"):
        assert client.get(path).json()["items"] == [one.json()]
    ModelVersions.model_validate_json(client.get(f"/models/{job_id}").content, strict=True)
