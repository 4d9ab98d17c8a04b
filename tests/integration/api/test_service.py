"""Rules for every request, the pages, and the service as a separate process."""

import base64
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate
from sqlalchemy import update

import core.services.maintenance.readiness
from core.db.tables import WorkerRow
from core.domain.errors import Unavailable, all_errors
from core.queue.polling_only import PollingOnly
from core.services.context import Platform
from core.services.jobs.commands import list_jobs
from core.services.work.locks import note_worker
from core.storage.folder import FolderStore
from http_common.problems import status_of
from tests import REPOSITORY
from tests.servers import free_port
from tests.servers.api import api_process, problem, serving
from tests.waiting import wait_until

MIB = 1024**2


def test_every_error_is_a_problem_with_the_request_id(client: httpx.Client) -> None:
    assert problem(client.get("/nowhere"), 404, "route-not-found")["instance"] == "/nowhere"
    problem(client.delete("/jobs"), 405, "method-not-allowed")
    assert client.get("/health", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    strange = client.get("/health", headers={"x-request-id": "no good\tid"}).headers["x-request-id"]
    assert strange.startswith("req_")
    problem(client.get("/assets/nope.js"), 404, "route-not-found")


def test_an_unexpected_error_is_reported_by_its_request_id_only(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_args: Any, **_kw: Any) -> None:
        raise RuntimeError("the secret path /root/x")

    monkeypatch.setattr("core.services.jobs.commands.list_jobs", explode)
    answer = client.get("/jobs")
    assert problem(answer, 500, "internal")["request_id"] and "secret" not in answer.text


def test_an_answer_lost_after_the_commit_is_replayed(
    client: httpx.Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_args: Any) -> bool:
        raise RuntimeError("after the commit, before the answer")

    headers = {"idempotency-key": "k", "content-type": "application/zip"}
    with monkeypatch.context() as patch:
        patch.setattr(PollingOnly, "enqueue", crash)
        problem(client.post("/upload-dataset", content=b"PK", headers=headers), 500, "internal")
    again = client.post("/upload-dataset", content=b"PK", headers=headers)
    assert again.status_code == 202 and again.headers["idempotency-replayed"] == "true"
    assert [row.id for row in list_jobs(platform.db, cursor=None, limit=9).items] == [again.json()["job_id"]]


HEADERS = {"content-type": "application/json"}
HOSTILE = [
    "%00",
    "..%2f..%2fetc%2fpasswd",
    "%ff%fe",
    "%F0%9F%A6%9D",
    "'%20OR%201=1--",
    "x" * 3000,
    "job_",
    "v1",
    "-1",
    "{}",
]


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def test_no_hostile_name_causes_a_server_error(
    platform: Platform, request: pytest.FixtureRequest, database: str
) -> None:
    settings = {"database_url": request.getfixturevalue("postgres_copy")} if database == "postgres" else {}
    with serving(platform, **settings) as client:
        paths = client.get("/openapi.json").json()["paths"]
        operations = [(method, path) for path in paths if "{" in path for method in paths[path]]
        cursor = base64.urlsafe_b64encode(b"9" * 30).decode()
        zip_type = {"content-type": "application/zip"}
        findings = client.post("/upload-dataset", content=b"PK", headers=zip_type).json()["links"]["self"] + "/findings"
        problem(client.get(findings, params={"cursor": cursor}), 400, "cursor-invalid")
        for query in ("/jobs?cursor=AA", "/jobs?cursor=_w", "/jobs?cursor=%00", "/runs?job_id=%00"):
            assert 400 <= client.get(query).status_code < 500, query
        for name in HOSTILE:
            for method, path in operations:
                url = "/".join(name if part.startswith("{") else part for part in path.split("/"))
                body = {} if method in ("get", "head", "delete") else {"content": b'{"version": "v1"}'}
                answer = client.request(method, url, headers=HEADERS, **body)
                assert answer.status_code < 500, (method, url, answer.text)
                if method != "options":
                    assert answer.status_code >= 400, (method, url, answer.text)
                    assert answer.headers["content-type"] == "application/problem+json"


def test_the_token_protects_everything_except_the_probes(platform: Platform) -> None:
    with serving(platform, api_token="s3cret") as client:
        for path in ("/", "/jobs", "/docs", "/openapi.json", "/nowhere"):
            answer = client.get(path)
            problem(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"].startswith("Bearer")
        problem(client.get("/jobs", headers={"authorization": "Bearer wrong"}), 401, "unauthorized")
        assert client.get("/jobs", headers={"authorization": "Bearer s3cret"}).status_code == 200
        assert client.get("/health").status_code == client.get("/ready").status_code == 200


def test_ready_reports_each_part_and_fails_only_without_database_or_store(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core.services.maintenance.readiness, "REPORT_SECONDS", 0.0)
    dead = f"http://127.0.0.1:{free_port()}"
    with serving(platform, mlflow_url=dead, broker_url=f"redis://127.0.0.1:{free_port()}/0") as client:
        report = client.get("/ready")
        assert report.status_code == 200 and report.json()["state"] == "degraded"
        states = {name: check["state"] for name, check in report.json()["checks"].items()}
        degraded = {"broker": "degraded", "mlflow": "degraded", "worker": "degraded"}
        assert states == {"database": "ok", "store": "ok"} | degraded
        assert "prepare, train, operations" in report.json()["checks"]["worker"]["detail"]
    for role in ("prepare", "train", "operations"):
        note_worker(platform.db, f"host:{role}", role)
    with serving(platform) as client:
        assert client.get("/ready").json()["state"] == "ok"

        def broken(_store: FolderStore) -> None:
            raise Unavailable("The object store's folder fails: Input/output error.")

        monkeypatch.setattr(FolderStore, "probe", broken)
        failed = problem(client.get("/ready"), 503, "unavailable")
        assert failed["state"] == "failed" and failed["checks"]["store"]["state"] == "failed"


def test_workers_are_listed_with_what_they_compute_on_while_they_live(platform: Platform) -> None:
    engine = {"name": "openvino", "version": "2026.4.1", "devices": ["cpu"], "precisions": ["fp32", "bf16"]}
    gpu = {"name": "NVIDIA H200", "memory_bytes": 150_754_820_096}
    found = {"processor": "Xeon", "cores": 2, "gpus": [gpu], "engines": [engine]}
    note_worker(platform.db, "a:1", "operations")
    note_worker(platform.db, "a:1", "operations", found)
    note_worker(platform.db, "b:2", "prepare")
    note_worker(platform.db, "c:3", "train")
    with platform.db.transaction() as session:
        session.execute(update(WorkerRow).where(WorkerRow.name == "c:3").values(seen_at=WorkerRow.seen_at - 61))
    with serving(platform) as client:
        first = client.get("/workers?limit=1").json()
        assert [(each["name"], each["role"], each["devices"]) for each in first["items"]] == [
            ("a:1", "operations", found)
        ]
        second = client.get(f"/workers?limit=1&cursor={first['next_cursor']}").json()
        assert [(each["name"], each["devices"]) for each in second["items"]] == [("b:2", None)]
        assert second["next_cursor"] is None


def test_every_problem_has_a_page_as_json_and_as_html(client: httpx.Client) -> None:
    for kind in all_errors():
        answer = client.get(f"/problems/{kind.slug}").json()
        assert (answer["slug"], answer["title"], answer["status"]) == (kind.slug, kind.title, status_of(kind))
        assert "## What to do" in answer["text"]
    html = client.get("/problems/job-not-ready", headers={"accept": "text/html"})
    assert "<h1>The job is not ready</h1>" in html.text and html.headers["content-type"].startswith("text/html")
    problem(client.get("/problems/%3Cscript%3E"), 404, "not-found")


def test_the_entry_is_json_for_programs_and_the_pages_for_browsers(client: httpx.Client) -> None:
    assert client.get("/").json()["links"]["documentation"] == "/docs"
    sent = client.get("/", headers={"accept": "text/html"})
    assert (sent.status_code, sent.headers["location"], sent.headers["vary"]) == (303, "/ui/", "accept")


def test_the_pages_load_nothing_from_other_sites(client: httpx.Client) -> None:
    for path in ("/ui/", "/docs"):
        page = client.get(path, headers={"accept": "text/html"})
        assert page.status_code == 200 and "frame-ancestors 'none'" in page.headers["content-security-policy"]
        elsewhere = re.compile(r"""(?:src|srcset|href|action|data|poster)\s*=\s*["']?\s*(?:[a-z]+:)?//""", re.I)
        assert elsewhere.findall(page.text) == []
        assert "url(" not in page.text and "@import" not in page.text
    for asset in ("swagger/swagger-ui-bundle.js", "swagger/swagger-ui.css", "docs.js", "darkroom.css"):
        assert client.get(f"/assets/{asset}").status_code == 200


def test_the_openapi_document_is_valid_complete_and_up_to_date(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    validate(document)
    assert document == json.loads((REPOSITORY / "docs" / "openapi.json").read_text()), "python -m api.snapshot --write"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"] and operation["tags"], (method, path)
            wants_key = any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", []))
            # A preflight and a prediction change nothing, and a chunk has its offset.
            keyless = path in ("/preflight", "/uploads/{upload_id}", "/predict", "/predict/image")
            assert wants_key == (method == "post" and not keyless), (method, path)


def test_the_api_loads_no_heavy_library() -> None:
    program = """
import sys
from api.app import create_app
from pipeline.params.catalogue import CATALOGUE, validate_params
create_app()
for trainer in CATALOGUE:
    validate_params(trainer, {})
heavy = "torch torchvision ultralytics transformers datasets mlflow cv2 matplotlib numpy boto3 PIL lxml"
print(sorted(set(heavy.split()) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_open_address_without_a_token_is_refused_at_the_start(tmp_path: Path) -> None:
    environment = os.environ | {"DARKROOM_HOME": str(tmp_path), "DARKROOM_API_HOST": "192.0.2.1"}
    command = [sys.executable, "-m", "api"]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "DARKROOM_API_TOKEN" in done.stderr


def test_memory_does_not_grow_with_the_upload(platform: Platform) -> None:
    block = os.urandom(MIB)
    with api_process(platform) as (client, process):
        client.get("/jobs")
        before, highest = process.memory_info().rss, 0

        def body() -> Iterator[bytes]:
            nonlocal highest
            for _ in range(150):
                highest = max(highest, process.memory_info().rss)
                yield block

        for headers in ({"content-type": "application/zip"}, {"content-type": "multipart/form-data; boundary=b"}):
            answer = client.post("/upload-dataset", content=wrapped(body(), headers), headers=headers)
            assert answer.status_code == 202, answer.text
            assert client.get(answer.json()["links"]["self"]).json()["source"]["bytes"] == 150 * MIB
        assert max(highest, process.memory_info().rss) - before < 64 * MIB


def test_a_client_that_disconnects_leaves_nothing_behind(platform: Platform) -> None:
    temp = platform.settings.temp
    with api_process(platform) as (client, _):
        address = (client.base_url.host, client.base_url.port or 80)
        with socket.create_connection(address) as connection:
            connection.sendall(
                b"POST /upload-dataset HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/zip\r\n"
                b"idempotency-key: k\r\ncontent-length: 9000000\r\n\r\n" + b"x" * 3_000_000
            )
            wait_until(lambda: any(temp.glob("upload-*")), seconds=20, what="a temporary file")
        wait_until(lambda: not any(temp.glob("upload-*")), seconds=20, what="its removal")
        headers = {"idempotency-key": "k", "content-type": "application/zip"}

        def again() -> bool:  # 409 until the key is released, right after the file is removed
            return client.post("/upload-dataset", content=b"PK", headers=headers).status_code == 202

        wait_until(again, seconds=5, what="the release of the key")


def wrapped(body: Iterator[bytes], headers: dict[str, str]) -> Iterator[bytes]:
    if not headers["content-type"].startswith("multipart"):
        yield from body
        return
    yield b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
    yield from body
    yield b'\r\n--b\r\ncontent-disposition: form-data; name="seed"\r\n\r\n7\r\n--b--'
