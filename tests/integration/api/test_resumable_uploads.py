"""Resumable uploads: any number of chunks, interruptions and processes; one job with the same bytes."""

import base64
import hashlib
import socket
from typing import Any

import pytest
from httpx import Client, Response
from sqlalchemy import update

import api.uploads.tus_chunks
from core.db.clock import db_now
from core.db.tables import UploadRow
from core.domain.keys import upload_key
from core.services.context import Platform
from core.services.jobs.commands import get_job, list_jobs
from core.services.uploads import finish
from core.services.uploads.sessions import get_upload, lease_upload
from core.settings import Settings
from core.storage import open_store
from core.storage.folder import FolderStore
from tests.servers.api import problem, serving
from tests.waiting import wait_until
from worker.tasks.retention import delete_expired_uploads

ZIP = b"PK\x03\x04" + bytes(range(256)) * 9000  # 2.3 MB
SHA256 = hashlib.sha256(ZIP).hexdigest()
TUS = {"tus-resumable": "1.0.0"}


def start(client: Client, length: int = len(ZIP), **metadata: str) -> str:
    """The path of a new upload."""
    answer = start_answer(client, length, **metadata)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


def start_answer(
    client: Client, length: int = len(ZIP), headers: dict[str, str] | None = None, **metadata: str
) -> Response:
    pairs = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata.items())
    sent = {**TUS, "upload-length": str(length), "upload-metadata": pairs, **(headers or {})}
    return client.post("/uploads", headers=sent)


def patch(client: Client, path: str, offset: int, content: Any, **headers: str) -> Response:
    sent = {**TUS, "upload-offset": str(offset), "content-type": "application/offset+octet-stream"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return client.patch(path, content=content, headers=sent)


def checksum(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}"


def offset_of(client: Client, path: str) -> int:
    answer = client.head(path, headers=TUS)
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    assert answer.headers["tus-resumable"] == "1.0.0"
    return int(answer.headers["upload-offset"])


def job_of(client: Client, path: str) -> str:
    return str(wait_until(lambda: client.get(path).json()["job_id"], seconds=20, what="the job of the upload"))


def nothing_is_left(platform: Platform) -> None:
    assert [path for path in platform.settings.temp.rglob("*") if path.is_file()] == []


def test_chunks_become_a_job_with_the_same_bytes_and_the_parts_are_deleted(client: Client, platform: Platform) -> None:
    path = start(client, filename="../my set.zip", seed="7", filetype="application/zip")
    offset = 0
    for size in (1, 1_000_000, len(ZIP)):
        answer = patch(
            client, path, offset, ZIP[offset : offset + size], upload_checksum=checksum(ZIP[offset : offset + size])
        )
        assert answer.status_code == 204, answer.text
        offset = int(answer.headers["upload-offset"])
        assert offset == offset_of(client, path)
    row = get_job(platform.db, answer.headers["darkroom-job-id"])
    assert (row.source_bytes, row.source_sha256, row.name) == (len(ZIP), SHA256, "my set")
    assert (row.source_name, row.options["seed"]) == ("my set.zip", 7)
    assert [key for key, _ in platform.store.list_prefix("uploads/")] == [upload_key(row.id)]
    assert b"".join(platform.store.open(upload_key(row.id))) == ZIP
    upload = client.get(path).json()
    assert (upload["state"], upload["links"]["job"]) == ("done", f"/jobs/{row.id}")
    nothing_is_left(platform)


def test_bytes_received_before_a_broken_connection_are_kept(
    client: Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.uploads.tus_chunks, "PART_BYTES", 700_000)
    path = start(client)
    interrupt(client, path, ZIP[:1_500_000])
    wait_until(lambda: offset_of(client, path) == 1_500_000, seconds=10, what="all bytes received are kept")
    assert patch_when_free(client, path, 1_500_000, ZIP[1_500_000:]).status_code == 204
    assert get_job(platform.db, job_of(client, path)).source_sha256 == SHA256
    nothing_is_left(platform)


def test_an_interrupted_chunk_with_a_checksum_is_dropped(client: Client, platform: Platform) -> None:
    path = start(client)
    interrupt(client, path, ZIP[:1_500_000], f"Upload-Checksum: {checksum(ZIP)}\r\n")
    assert patch_when_free(client, path, 0, ZIP, upload_checksum=checksum(ZIP, "sha1")).status_code == 204
    assert get_job(platform.db, job_of(client, path)).source_sha256 == SHA256
    nothing_is_left(platform)


def test_a_chunk_that_differs_from_its_checksum_is_dropped(client: Client, platform: Platform) -> None:
    path = start(client)
    wrong = patch(client, path, 0, ZIP[:1000], upload_checksum=checksum(ZIP[:999]))
    assert problem(wrong, 460, "checksum-mismatch")["offset"] == 0
    assert offset_of(client, path) == 0
    assert not list(platform.store.list_prefix("uploads/"))
    nothing_is_left(platform)


def test_an_upload_that_differs_from_its_sha256_is_refused_and_deleted(client: Client, platform: Platform) -> None:
    path = start(client, sha256=hashlib.sha256(b"another").hexdigest())
    assert "darkroom-job-id" not in patch(client, path, 0, ZIP).headers
    wait_until(lambda: client.get(path).json()["state"] == "refused", seconds=10, what="the refusal")
    assert client.get(path).json()["problem"]["slug"] == "checksum-mismatch"
    assert client.head(path, headers=TUS).status_code == 410
    problem(patch(client, path, len(ZIP), b""), 410, "gone")
    assert not list(platform.store.list_prefix("")) and not list_jobs(platform.db, cursor=None, limit=1).items


def test_a_chunk_at_another_offset_or_beyond_the_end_is_refused(client: Client, platform: Platform) -> None:
    path = start(client)
    assert problem(patch(client, path, 5, ZIP[5:]), 409, "upload-offset-differs")["offset"] == 0
    problem(patch(client, path, 0, ZIP + b"!"), 400, "upload-invalid")
    assert offset_of(client, path) in (
        0,
        len(ZIP) // api.uploads.tus_chunks.PART_BYTES * api.uploads.tus_chunks.PART_BYTES,
    )
    assert patch(client, path, 0, ZIP).status_code == 204
    problem(patch(client, path, len(ZIP), b"more"), 409, "upload-offset-differs")
    nothing_is_left(platform)


def test_only_one_request_at_a_time_can_send_to_an_upload(client: Client, platform: Platform) -> None:
    path = start(client)
    lease_upload(platform.db, path.rpartition("/")[2], offset=0)
    answer = patch(client, path, 0, ZIP)
    problem(answer, 423, "upload-locked")
    assert int(answer.headers["retry-after"]) > 0
    expire(platform, path, lease_expires_at=db_now() - 1)
    assert patch(client, path, 0, ZIP).status_code == 204, "the lease expired"


def test_a_request_that_lost_its_lease_changes_nothing(
    client: Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = start(client)
    take = FolderStore.take

    def take_late(*args: Any, **named: Any) -> Any:
        expire(platform, path, holder="another request")
        return take(*args, **named)

    with monkeypatch.context() as patched:
        patched.setattr(FolderStore, "take", take_late)
        problem(patch(client, path, 0, ZIP), 423, "upload-locked")
    assert offset_of(client, path) == 0


def test_another_process_continues_where_the_first_one_died(client: Client, platform: Platform) -> None:
    path = start(client)
    patch(client, path, 0, ZIP[:1_000_000])
    with serving(platform, temp_dir=platform.settings.home / "another-machine") as other:
        assert offset_of(other, path) == 1_000_000
        assert patch(other, path, 1_000_000, ZIP[1_000_000:]).headers["darkroom-job-id"] == job_of(client, path)


def test_parts_become_one_object_on_s3(platform: Platform, s3_settings: Settings) -> None:
    s3 = s3_settings.model_dump(include={"store_url", "s3_endpoint", "s3_region", "s3_access_key", "s3_secret_key"})
    with serving(platform, **s3) as client:
        path = start(client, sha256=SHA256)
        assert patch(client, path, 0, ZIP[:6]).status_code == 204  # smaller than the 5 MiB that S3 requires of a part
        assert patch(client, path, 6, ZIP[6:]).status_code == 204
        job_id = job_of(client, path)
    store = open_store(s3_settings)
    assert [key for key, _ in store.list_prefix("uploads/")] == [upload_key(job_id)]
    assert b"".join(store.open(upload_key(job_id))) == ZIP
    nothing_is_left(platform)


@pytest.mark.parametrize("crash", ["before the object", "between the object and the row"])
def test_after_a_crash_behind_the_last_byte_the_next_start_creates_one_job(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, crash: str
) -> None:
    def die(*_args: Any, **_named: Any) -> None:
        raise RuntimeError("killed")

    with serving(platform) as client, monkeypatch.context() as patched:
        where: Any = (FolderStore, "join") if crash == "before the object" else (finish, "receive_job")
        patched.setattr(*where, die)
        path = start(client)
        answer = patch(client, path, 0, ZIP)
        assert answer.status_code == 204 and "darkroom-job-id" not in answer.headers
        assert client.get(path).json()["state"] == "open"
    expire(platform, path, lease_expires_at=db_now() - 1)
    with serving(platform) as client:  # its start finishes complete uploads without a request
        wait_until(lambda: list_jobs(platform.db, cursor=None, limit=2).items, seconds=10, what="the job")
        assert [row.id for row in list_jobs(platform.db, cursor=None, limit=2).items] == [job_of(client, path)]
    assert [key for key, _ in platform.store.list_prefix("")] == [upload_key(job_of_row(platform, path))]


def test_an_upload_can_be_deleted(client: Client, platform: Platform) -> None:
    path = start(client)
    patch(client, path, 0, ZIP[:1000])
    assert client.delete(path, headers=TUS).status_code == 204
    problem(client.get(path), 404, "upload-not-found")
    problem(patch(client, path, 1000, ZIP[1000:]), 404, "upload-not-found")
    assert not list(platform.store.list_prefix(""))


def test_an_abandoned_upload_expires(client: Client, platform: Platform) -> None:
    path, other = start(client), start(client)
    patch(client, path, 0, ZIP[:1000])
    expire(platform, path, expires_at=db_now() - 1)
    delete_expired_uploads(platform)
    problem(client.get(path), 404, "upload-not-found")
    assert not list(platform.store.list_prefix("")) and offset_of(client, other) == 0


def test_the_same_key_starts_one_upload(client: Client) -> None:
    first, again = (start_answer(client, headers={"idempotency-key": "k"}, name="a") for _ in range(2))
    assert first.json()["upload_id"] == again.json()["upload_id"]
    assert first.headers["location"] == again.headers["location"]
    problem(start_answer(client, headers={"idempotency-key": "k"}, name="b"), 422, "idempotency-key-reused")


def test_head_returns_the_metadata_as_the_client_sent_it(client: Client) -> None:
    sent = "filename Li4veC56aXA=, own aGk=,flag"
    path = start_answer(client, headers={"upload-metadata": sent}).headers["location"]
    assert client.head(path, headers=TUS).headers["upload-metadata"] == sent
    assert (
        "upload-metadata"
        not in client.head(
            client.post("/uploads", headers=TUS | {"upload-length": "1"}).headers["location"], headers=TUS
        ).headers
    )


def test_a_client_that_can_only_post_overrides_the_method(client: Client, platform: Platform) -> None:
    path = start(client, 3)
    headers = {**TUS, "upload-offset": "0", "content-type": "application/offset+octet-stream"}
    answer = client.post(path, content=b"PK!", headers={**headers, "x-http-method-override": "PATCH"})
    assert answer.status_code == 204 and answer.headers["upload-offset"] == "3"
    assert client.post(path, headers={**TUS, "x-http-method-override": "DELETE"}).status_code == 204
    problem(client.post(path, headers={**TUS, "x-http-method-override": "GET"}), 400, "request-invalid")


def test_the_capabilities_are_listed(client: Client) -> None:
    answer = client.options("/uploads")
    assert answer.status_code == 204 and answer.headers["tus-version"] == "1.0.0"
    announced = {"creation", "creation-with-upload", "checksum", "termination", "expiration"}
    assert set(answer.headers["tus-extension"].split(",")) == announced
    assert "sha1" in answer.headers["tus-checksum-algorithm"]


@pytest.mark.parametrize(
    ("headers", "status", "slug"),
    [
        ({"tus-resumable": "0.2.2"}, 412, "tus-version-unsupported"),
        ({"upload-length": "banana"}, 400, "request-invalid"),
        ({"upload-length": "-1"}, 400, "request-invalid"),
        ({"upload-length": "0"}, 400, "upload-invalid"),
        ({"upload-length": "9" * 15}, 413, "upload-too-large"),
        ({"upload-length": "9" * 5000}, 400, "request-invalid"),
        ({"upload-defer-length": "1"}, 400, "request-invalid"),
        ({"upload-concat": "partial"}, 400, "request-invalid"),
        ({"upload-checksum": "md5 AAAA"}, 400, "request-invalid"),
        ({"upload-metadata": "name !!!"}, 400, "request-invalid"),
        ({"upload-metadata": "name gICA"}, 400, "request-invalid"),
        ({"upload-metadata": "name YQ==,name YQ=="}, 400, "request-invalid"),
        ({"upload-metadata": "seed YmFuYW5h"}, 400, "request-invalid"),
        ({"upload-metadata": "val_fracton MC40"}, 400, "request-invalid"),
        ({"upload-metadata": "sha256 YQ=="}, 400, "request-invalid"),
        ({"upload-metadata": "name " + "YWFh" * 5000}, 400, "request-invalid"),
    ],
)
def test_an_invalid_start_of_an_upload_is_refused(
    client: Client, headers: dict[str, str], status: int, slug: str
) -> None:
    problem(client.post("/uploads", headers={**TUS, "upload-length": "10", **headers}), status, slug)


@pytest.mark.parametrize(
    ("headers", "status", "slug"),
    [
        ({"tus_resumable": "2.0.0"}, 412, "tus-version-unsupported"),
        ({"content_type": "application/zip"}, 415, "media-type-unsupported"),
        ({"upload_offset": "-5"}, 400, "request-invalid"),
        ({"upload_checksum": "md5 AAAA"}, 400, "request-invalid"),
        ({"upload_checksum": "sha256 AAAA"}, 400, "request-invalid"),
        ({"upload_checksum": "nonsense"}, 400, "request-invalid"),
    ],
)
def test_an_invalid_chunk_is_refused(client: Client, headers: dict[str, str], status: int, slug: str) -> None:
    path = start(client)
    answer = patch(client, path, 0, b"PK", **headers)
    problem(answer, status, slug)
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert offset_of(client, path) == 0


def interrupt(client: Client, path: str, content: bytes, header: str = "") -> None:
    """Send the beginning of a chunk, close the connection, and wait until the service has noticed."""
    host, port = client.base_url.host, client.base_url.port
    with socket.create_connection((host, port or 80), timeout=10) as connection:
        head = f"PATCH {path} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n{header}"
        head += f"Content-Type: application/offset+octet-stream\r\nContent-Length: {len(ZIP)}\r\n\r\n"
        connection.sendall(head.encode() + content)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


def patch_when_free(client: Client, path: str, offset: int, content: bytes, **headers: str) -> Response:
    """PATCH as soon as the interrupted request has released its lease."""

    def answer_unless_locked() -> Response | None:
        answer = patch(client, path, offset, content, **headers)
        return None if answer.status_code == 423 else answer

    return wait_until(answer_unless_locked, seconds=10, what="the release of the lease")


def expire(platform: Platform, path: str, **values: Any) -> None:
    with platform.db.transaction() as session:
        session.execute(update(UploadRow).where(UploadRow.id == path.rpartition("/")[2]).values(**values))


def job_of_row(platform: Platform, path: str) -> str:
    return get_upload(platform.db, path.rpartition("/")[2]).job_id
