"""What a request may be: its host and origin, its method, the JSON in its body, the bytes in its headers."""

import re
import socket

import httpx

from core.services.context import Platform
from tests.servers.api import problem, serving

REBOUND = {"host": "evil.example:8000"}
JSON = {"content-type": "application/json"}
TUS = {"tus-resumable": "1.0.0"}  # asked of HEAD to an upload


OTHER_PAGES = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": "https://evil.example"},
    {"origin": "http://localhost:9999"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://localhost:8000.evil.example"},
    {"origin": "chrome-extension://localhost:8000"},
    {"origin": "https://darkroom.example.evil.example"},
    {"origin": "http://darkroom.example"},
]


def test_a_page_of_another_site_can_only_read(platform: Platform) -> None:
    with serving(platform, public_url="https://darkroom.example") as client:
        for page in OTHER_PAGES:
            headers = {"host": "localhost:8000", **page}
            assert client.get("/jobs", headers=headers).status_code == 200
            assert client.head("/jobs", headers=headers).status_code == 200
            for method, path in (("POST", "/runs/x/cancel"), ("DELETE", "/jobs/x"), ("PUT", "/models/x/aliases/y")):
                problem(client.request(method, path, headers=headers), 400, "request-invalid")


def test_a_page_of_the_service_may_write(platform: Platform) -> None:
    with serving(platform, public_url="https://darkroom.example") as client:
        for page in (
            {"host": "localhost:8000", "origin": "http://localhost:8000", "sec-fetch-site": "same-origin"},
            {"origin": "https://darkroom.example"},
            {"sec-fetch-site": "none"},
        ):
            problem(client.post("/runs/x/cancel", headers=page), 404, "run-not-found")


def test_a_request_with_a_foreign_host_is_refused(platform: Platform) -> None:
    for settings in ({}, {"allow_open": True}, {"allow_open": True, "allowed_hosts": "other.example"}):
        with serving(platform, **settings) as client:
            problem(client.get("/jobs", headers=REBOUND), 400, "request-invalid")
            for name in ("localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:1"):
                assert client.get("/jobs", headers={"host": name}).status_code == 200, name
            assert client.get("/health", headers=REBOUND).status_code == 200
    with serving(platform, api_token="s3cret", allowed_hosts="other.example") as client:
        problem(client.get("/jobs", headers=REBOUND | {"authorization": "Bearer s3cret"}), 400, "request-invalid")


def test_a_host_is_accepted_where_a_setting_names_it_or_a_token_protects_it(platform: Platform) -> None:
    for settings in (
        {"api_token": "s3cret"},
        {"public_url": "https://evil.example"},
        {"allowed_hosts": "other.example, EVIL.example"},
        {"allowed_hosts": "*"},
    ):
        with serving(platform, **settings) as client:
            answer = client.get("/jobs", headers=REBOUND | {"authorization": "Bearer s3cret"})
            assert answer.status_code == 200, settings
            twice = raw(client, b"GET /jobs HTTP/1.1\r\nhost: evil.example\r\nhost: localhost\r\n\r\n")
            assert twice.startswith(b"HTTP/1.1 400 ") and b"more than one Host" in twice


def test_every_path_names_its_methods_and_answers_head_where_it_answers_get(client: httpx.Client) -> None:
    documented = client.get("/openapi.json").json()["paths"]
    extra = {"/docs": {"get": {}}, "/openapi.json": {"get": {}}, "/assets/darkroom.css": {"get": {}}}
    for path, operations in (documented | extra).items():
        for name in ("export", "correction"):  # the form of their ids is part of the route
            path = path.replace(f"{{{name}_id}}", f"{name}_x")
        url = re.sub("{.*?}", "x", path)
        methods = {method.upper() for method in operations}
        if "GET" in methods:
            methods.add("HEAD")
            head, get = client.head(url, headers=TUS), client.get(url)
            assert head.status_code == get.status_code and head.content == b"", path
            assert head.headers["content-type"] == get.headers["content-type"], path
        options = client.options(url)
        assert options.status_code == 204, path
        assert methods <= set(options.headers["allow"].split(", ")), path
        for other in {"GET", "POST", "PUT", "PATCH", "DELETE"} - set(options.headers["allow"].split(", ")):
            answer = client.request(other, url)
            problem(answer, 405, "method-not-allowed")
            assert answer.headers["allow"] == options.headers["allow"], path
    problem(client.options("/nowhere"), 404, "route-not-found")


def test_head_of_a_stream_ends_after_its_head(client: httpx.Client) -> None:
    job = client.post("/upload-dataset", content=b"PK", headers={"content-type": "application/zip"}).json()["job_id"]
    for path, kind in (("events", "text/event-stream"), ("findings.csv", "text/csv")):
        answer = client.head(f"/jobs/{job}/{path}", timeout=5)
        assert answer.status_code == 200 and answer.headers["content-type"].startswith(kind)
        assert answer.content == b""


HOSTILE_JSON = [
    b'{"params": {"x": ' + b"[" * 500 + b"]" * 500 + b"}}",
    b'{"params": ' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}",
    b'{"params": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    b"[" * 500_000,
    b'{"params": {"x": NaN}}',
    b'{"params": {"x": 1e999}}',
    b'{"params": {"x": -Infinity}}',
    b'{"params": {"epochs": 1' + b"0" * 5000 + b"}}",
    b'{"params": {"epochs": 1' + b"0" * 400 + b"}}",
    b'{"params": {"\\ud800": 1}}',
    b'{"trainer": "\\udfff"}',
    b'{"params": {"model": "a\\u0000b"}}',
    b'{"params": {"model": "\xff"}}',
    b'\xff\xfe{"params": {}}',
    b'{"params": {}} trailing',
    b"",
    b"null",
    b'"text"',
    b'{"params": {"x": 1}, "params": 5}',
]


def test_hostile_json_is_refused_with_a_reason(client: httpx.Client) -> None:
    for body in HOSTILE_JSON:
        for method, path in (
            ("POST", "/train-async/x"),
            ("POST", "/baseline/x"),
            ("POST", "/import-dataset"),
            ("PUT", "/models/x/aliases/y"),
        ):
            answer = client.request(method, path, content=body, headers=JSON | {"idempotency-key": "k"})
            assert answer.status_code in (400, 404), (path, body[:40], answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
    for content_type in ("application/json", "application/JSON", "Application/Json; charset=utf-8"):
        deep = client.post("/train-async/x", content=HOSTILE_JSON[0], headers={"content-type": content_type})
        assert problem(deep, 400, "request-invalid")["errors"] == [
            {"field": "body", "message": "nested deeper than 32 levels"}
        ]


LINES_WITH_OTHER_BYTES = [
    b"upload-metadata: name \xff",
    b"upload-metadata: \xff YQ==",
    b"upload-metadata: \xff",
    b"upload-checksum: sha256 \xff",
    b"upload-checksum: \xff",
    b"upload-length: \xb2",
    b"tus-resumable: \xff",
    b"idempotency-key: \xff",
]


def test_bytes_that_are_no_ascii_in_a_header_are_refused(client: httpx.Client) -> None:
    head = b"POST /uploads HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
    for line in LINES_WITH_OTHER_BYTES:
        answer = raw(client, head + line + b"\r\ntus-resumable: 1.0.0\r\nupload-length: 9\r\n\r\n")
        assert re.match(rb"HTTP/1.1 4\d\d ", answer) and b"application/problem+json" in answer, (line, answer[:200])


def test_a_path_that_is_no_text_is_refused(client: httpx.Client) -> None:
    for path in (b"/jobs/%ff%fe", b"/jobs/%", b"/jobs/%zz?%zz=%", b"/jobs/\xff", b"/jobs?cursor=%ff", b"//", b"*"):
        answer = raw(client, b"GET " + path + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        assert re.match(rb"HTTP/1.1 40[04] ", answer) and b"application/problem+json" in answer, answer[:200]


def raw(client: httpx.Client, sent: bytes) -> bytes:
    """The first block of the answer."""
    address = (client.base_url.host, client.base_url.port or 80)
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(sent)
        return connection.recv(65536)
