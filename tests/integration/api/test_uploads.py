"""Uploads: forms and raw bodies, limits, idempotency, and no files left behind."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from httpx import Client, Response

from api.uploads.temporary import TemporaryFile
from core.domain.errors import OutOfSpace
from core.domain.keys import upload_key
from core.services.context import Platform
from core.services.idempotency import IdempotencyKey, claim_key
from core.services.jobs.commands import get_job, list_jobs
from tests.servers.api import problem, serving

ZIP = b"PK\x03\x04" + bytes(range(256)) * 9000  # 2.3 MB: more than one batch


def test_an_upload_becomes_a_received_job_whose_bytes_are_stored(client: Client, platform: Platform) -> None:
    answer = upload(client)
    assert answer.status_code == 202 and answer.json()["state"] == "received"
    row = get_job(platform.db, answer.json()["job_id"])
    assert (row.source_bytes, row.source_sha256) == (len(ZIP), hashlib.sha256(ZIP).hexdigest())
    assert b"".join(platform.store.open(upload_key(row.id))) == ZIP
    assert client.get(answer.json()["links"]["self"]).json()["state"] == "received"
    nothing_is_left(platform)


def test_an_upload_is_not_copied_from_its_temporary_file(
    client: Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.storage.folder.write_durably", raising(AssertionError("bytes were copied")))
    job_id = upload(client).json()["job_id"]
    found = (platform.settings.home / "objects" / upload_key(job_id)).stat()
    assert (found.st_size, found.st_nlink, found.st_mode & 0o222) == (len(ZIP), 1, 0)
    nothing_is_left(platform)


def test_form_fields_may_come_before_and_after_the_file(client: Client, platform: Platform) -> None:
    body = (
        part("seed", "7") + file_part(ZIP) + part("val_fraction", "0.3") + part("name", "Raccoons, 2nd set") + b"--b--"
    )
    answer = client.post("/upload-dataset", content=body, headers={"content-type": "multipart/form-data; boundary=b"})
    row = get_job(platform.db, answer.json()["job_id"])
    assert (row.options["seed"], row.options["val_fraction"], row.name) == (7, 0.3, "Raccoons, 2nd set")
    assert row.source_sha256 == hashlib.sha256(ZIP).hexdigest()


def test_a_raw_body_takes_its_options_from_the_query(client: Client, platform: Platform) -> None:
    headers = {"content-type": "application/zip", "content-disposition": 'attachment; filename="../../evil.zip"'}
    answer = client.post("/upload-dataset?on_error=skip", content=ZIP, headers=headers)
    row = get_job(platform.db, answer.json()["job_id"])
    assert row.options["on_error"] == "skip"
    assert (row.source_name, row.name) == ("evil.zip", "evil")


@pytest.mark.parametrize(
    "parameter",
    ["filename*=undefined''x", "filename*=idna''%ff", "filename*=punycode''%ff%ff", "filename*0*=a''b; filename*=x''y"],
)
def test_a_malformed_file_name_is_replaced(client: Client, platform: Platform, parameter: str) -> None:
    headers = {"content-type": "application/zip", "content-disposition": f"attachment; {parameter}"}
    answer = client.post("/upload-dataset", content=ZIP, headers=headers)
    assert answer.status_code == 202 and get_job(platform.db, answer.json()["job_id"]).source_name
    nothing_is_left(platform)


def test_a_disk_that_is_full_at_the_close_leaves_no_file(
    client: Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: TemporaryFile) -> None:
        raise OutOfSpace("The disk is full.")

    monkeypatch.setattr(TemporaryFile, "flush", full)
    problem(upload(client), 507, "out-of-space")
    nothing_is_left(platform)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"val_fraction": "1.5"}, "val_fraction"),
        ({"seed": "banana"}, "seed"),
        ({"on_error": "explode"}, "on_error"),
        ({"val_fracton": "0.2"}, "val_fracton"),
        ({"val_fraction": "0.8", "test_fraction": "0.5"}, "val_fraction, test_fraction"),
    ],
)
def test_an_invalid_option_is_named(client: Client, platform: Platform, fields: dict[str, str], field: str) -> None:
    answer = upload(client, data=fields)
    assert problem(answer, 400, "request-invalid")["errors"][0]["field"] == field
    nothing_is_left(platform)
    assert list_jobs(platform.db, cursor=None, limit=1).items == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"not a form at all"),
        ("multipart/form-data; boundary=b", b'--b\r\ncontent-disposition: form-data; name="seed"\r\n\r\n7\r\n--b--'),
        ("multipart/form-data; boundary=b", b'--b\r\ncontent-disposition: form-data; name="file"\r\n\r\nPK and no'),
        ("multipart/form-data; boundary=b", b"--b\r\nx: y\r\n\r\n7\r\n--b--"),
        ("multipart/form-data", b"--b--"),
        ("application/zip", b""),
        ("text/plain", b"PK"),
        ("", b"PK"),
    ],
)
def test_a_body_without_a_readable_file_is_refused(
    client: Client, platform: Platform, content_type: str, body: bytes
) -> None:
    answer = client.post("/upload-dataset", content=body, headers={"content-type": content_type})
    problem(answer, 400, "upload-invalid")
    nothing_is_left(platform)


@pytest.mark.parametrize("announced", [True, False])
def test_an_upload_above_the_limit_is_refused_announced_or_not(platform: Platform, announced: bool) -> None:
    with serving(platform, upload_max_bytes=len(ZIP) - 1) as client:
        body: Any = ZIP if announced else iter([ZIP[:1000], ZIP[1000:]])
        answer = client.post("/upload-dataset", content=body, headers={"content-type": "application/zip"})
        assert problem(answer, 413, "upload-too-large")["limit_bytes"] == len(ZIP) - 1
    nothing_is_left(platform)
    with serving(platform, upload_max_bytes=len(ZIP)) as client:
        assert upload(client).status_code == 202


def test_the_same_key_creates_one_job_and_replays_its_answer(client: Client, platform: Platform) -> None:
    first, again = (upload(client, key="k1") for _ in range(2))
    assert first.json() == again.json() and again.status_code == 202
    assert "idempotency-replayed" not in first.headers and again.headers["idempotency-replayed"] == "true"
    assert len(list_jobs(platform.db, cursor=None, limit=10).items) == 1
    problem(upload(client, key="k1", data={"seed": "1"}), 422, "idempotency-key-reused")
    problem(upload(client, ZIP + b"!", key="k1"), 422, "idempotency-key-reused")
    nothing_is_left(platform)


def test_a_key_in_flight_is_a_conflict_and_a_refused_request_frees_it(client: Client, platform: Platform) -> None:
    claim_key(platform.db, IdempotencyKey("POST", "/upload-dataset", "busy"))
    assert problem(upload(client, key="busy"), 409, "request-in-flight")["key"] == "busy"
    problem(upload(client, key="k2", data={"seed": "-1"}), 400, "request-invalid")
    assert upload(client, key="k2").status_code == 202


def test_an_upload_that_cannot_be_stored_frees_its_key_and_creates_nothing(
    client: Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.storage.folder import FolderStore

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "take", raising(OutOfSpace("The disk is full.")))
        problem(upload(client, key="k3"), 507, "out-of-space")
    assert list_jobs(platform.db, cursor=None, limit=1).items == []
    nothing_is_left(platform)
    assert upload(client, key="k3").status_code == 202


def test_waiting_ends_when_the_time_is_up(client: Client) -> None:
    answer = client.post("/upload-dataset?wait=0.3", content=ZIP, headers={"content-type": "application/zip"})
    assert answer.status_code == 202 and answer.json()["state"] == "received"
    assert problem(client.get("/jobs?limit=0"), 400, "request-invalid")["errors"][0]["field"] == "limit"


def upload(
    client: Client, content: bytes = ZIP, *, key: str | None = None, data: dict[str, str] | None = None
) -> Response:
    headers = {"idempotency-key": key} if key else {}
    return client.post("/upload-dataset", files={"file": ("data.zip", content)}, data=data, headers=headers)


def part(name: str, value: str) -> bytes:
    return f'--b\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


def file_part(content: bytes) -> bytes:
    head = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\nContent-Type: application/zip\r\n\r\n'
    )
    return head + content + b"\r\n"


def nothing_is_left(platform: Platform) -> None:
    assert [path for path in platform.settings.temp.rglob("*") if path.is_file()] == []


def raising(error: Exception) -> Any:
    def fail(*_args: Any, **_kw: Any) -> Iterator[None]:
        raise error

    return fail
