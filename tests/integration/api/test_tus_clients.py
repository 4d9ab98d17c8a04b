"""What the options of tus clients (tus-js-client, tuspy, Uppy) send, as raw requests."""

import base64
import hashlib
from collections.abc import Iterator

import pytest
from httpx import Client, Response

import api.uploads.tus_chunks
from core.services.context import Platform
from core.services.jobs.commands import get_job, list_jobs
from tests.servers.api import problem

ZIP = b"PK\x03\x04" + bytes(range(256)) * 9000  # 2.3 MB: more than a request without bytes of an upload may have
SHA256 = hashlib.sha256(ZIP).hexdigest()
CHUNK = {"content-type": "application/offset+octet-stream"}


def create(client: Client, content: bytes | Iterator[bytes] = b"", **headers: str) -> Response:
    sent = {"tus-resumable": "1.0.0", "upload-length": str(len(ZIP))}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/uploads", content=content, headers=sent)


def send(client: Client, created: Response, content: bytes, *, method: str = "PATCH", **headers: str) -> Response:
    """The next chunk, from the offset of the answer `created` on."""
    sent = {"tus-resumable": "1.0.0", "upload-offset": created.headers["upload-offset"], **CHUNK, **headers}
    return client.request(method, created.headers["location"], content=content, headers=sent)


def jobs(platform: Platform) -> list[str]:
    return [row.id for row in list_jobs(platform.db, cursor=None, limit=9).items]


def one_whole_job(platform: Platform, answer: Response) -> None:
    assert jobs(platform) == [answer.headers["darkroom-job-id"]]
    assert get_job(platform.db, answer.headers["darkroom-job-id"]).source_sha256 == SHA256


def test_plain(client: Client, platform: Platform) -> None:
    created = create(client)
    assert (created.status_code, created.headers["upload-offset"]) == (201, "0")
    one_whole_job(platform, send(client, created, ZIP))


def test_override_patch_method(client: Client, platform: Platform) -> None:
    override = {"x-http-method-override": "PATCH"}
    one_whole_job(platform, send(client, create(client), ZIP, method="POST", **override))


def test_a_resume_continues_at_the_offset(client: Client, platform: Platform) -> None:
    created = create(client)
    send(client, created, ZIP[:1000])
    resumed = client.head(created.headers["location"], headers={"tus-resumable": "1.0.0"})
    resumed.headers["location"] = created.headers["location"]
    one_whole_job(platform, send(client, resumed, ZIP[1000:]))


def test_parallel_uploads_are_refused_and_nothing_is_created(client: Client, platform: Platform) -> None:
    for concat in ("partial", "partial", "final;/uploads/a /uploads/b"):
        sent = {"tus-resumable": "1.0.0", "upload-concat": concat}
        sent |= {"upload-length": "65114"} if concat == "partial" else {}
        body = problem(client.post("/uploads", headers=sent), 400, "request-invalid")
        assert "Concatenation" in body["detail"] and "not supported" in body["detail"]
        assert [each["field"] for each in body["errors"]] == ["Upload-Concat"]
    assert not jobs(platform)


def test_a_deferred_length_is_refused_with_the_reason(client: Client) -> None:
    answer = client.post("/uploads", headers={"tus-resumable": "1.0.0", "upload-defer-length": "1"})
    body = problem(answer, 400, "request-invalid")
    assert "unknown length is not supported" in body["detail"] and "Upload-Length" in body["detail"]


@pytest.mark.parametrize("chunked", [False, True])
def test_all_data_during_creation(client: Client, platform: Platform, chunked: bool) -> None:
    created = create(client, iter([ZIP[:70_000], ZIP[70_000:]]) if chunked else ZIP, **CHUNK)
    assert (created.status_code, created.headers["upload-offset"]) == (201, str(len(ZIP)))
    assert created.json()["state"] == "done"
    one_whole_job(platform, created)


def test_the_first_chunk_during_creation(client: Client, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.uploads.tus_chunks, "PART_BYTES", 700_000)
    checksum = f"sha1 {base64.b64encode(hashlib.sha1(ZIP[:1_500_000], usedforsecurity=False).digest()).decode()}"
    created = create(client, ZIP[:1_500_000], upload_checksum=checksum, **CHUNK)
    assert (created.status_code, created.headers["upload-offset"]) == (201, "1500000")
    one_whole_job(platform, send(client, created, ZIP[1_500_000:]))


def test_a_creation_repeated_with_its_key_has_the_offset_reached(client: Client, platform: Platform) -> None:
    first, again = (create(client, ZIP[:1000], idempotency_key="k", **CHUNK) for _ in range(2))
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["upload-offset"] == "1000" and again.headers["idempotency-replayed"] == "true"
    one_whole_job(platform, send(client, again, ZIP[1000:]))


def test_bytes_of_a_creation_are_never_dropped_in_silence(client: Client, platform: Platform) -> None:
    problem(create(client, ZIP[:1000], content_type="application/zip"), 415, "media-type-unsupported")
    problem(create(client, ZIP[:1000]), 415, "media-type-unsupported")
    problem(create(client, ZIP + b"!", **CHUNK), 400, "upload-invalid")
    wrong = f"sha256 {base64.b64encode(hashlib.sha256(b'other').digest()).decode()}"
    problem(create(client, ZIP, upload_checksum=wrong, **CHUNK), 460, "checksum-mismatch")
    assert not jobs(platform) and not list(platform.store.list_prefix(""))


def test_metadata_of_the_client_is_ignored_and_options_are_read(client: Client, platform: Platform) -> None:
    def pair(name: str, value: bytes) -> str:
        return f"{name} {base64.b64encode(value).decode()}"

    own = [pair("caption", b"my trees"), pair("fileName", b"x"), pair("relativePath", b"null"), "is_private"]
    own += [pair("thumbnail", b"\xff\xd8"), pair("filename", b"trees.zip"), pair("seed", b"7")]
    created = create(client, ZIP, upload_metadata=",".join(own), **CHUNK)
    row = get_job(platform.db, created.headers["darkroom-job-id"])
    assert (row.source_name, row.name, row.options["seed"]) == ("trees.zip", "trees", 7)


def test_a_misspelled_option_in_the_metadata_is_refused(client: Client, platform: Platform) -> None:
    body = problem(create(client, ZIP, upload_metadata="val_fracton MC40", **CHUNK), 400, "request-invalid")
    message = "There is no field of this name; did you mean 'val_fraction'?"
    assert body["errors"] == [{"field": "val_fracton", "message": message}]
    assert not jobs(platform)
