"""What a client may send, and how long it may take: heads, bodies and connections, over raw sockets."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx
import psutil
import pytest

from core.services.context import Platform
from core.services.uploads import sessions
from http_common import protocol
from tests.servers.api import api_process, problem, serving
from tests.waiting import wait_until

GET = b"GET /health HTTP/1.1\r\nhost: localhost\r\n"
TUS = {"tus-resumable": "1.0.0"}
CHUNK = {**TUS, "content-type": "application/offset+octet-stream", "upload-offset": "0"}


REFUSED_HEADS = [
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414, b"url-too-long"),
    (b"GET /" + b"a" * 200_000, 414, b"url-too-long"),
    (GET + b"x: y\r\n" * 101 + b"\r\n", 431, b"head-too-large"),
    (GET + b"x: " + b"a" * 60_000, 431, b"head-too-large"),
    (GET + b"".join(b"x-%d: %s\r\n" % (n, b"a" * 8000) for n in range(8)), 431, b"head-too-large"),
    (b"GET http://[ HTTP/1.1\r\n\r\n", 400, b"request-invalid"),
    (b"POST /jobs HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", 400, b"request-invalid"),
    (b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n", 400, b"request-invalid"),
    (b"nonsense\r\n\r\n", 400, b"request-invalid"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, b"request-invalid"),
]


def test_a_head_beyond_the_limits_is_refused_and_the_connection_closed(client: httpx.Client) -> None:
    for sent, status, slug in REFUSED_HEADS:
        with connection(client) as opened:
            opened.sendall(sent)
            answer = all_of(opened)
        assert answer.startswith(b"HTTP/1.1 %d " % status), (sent[:80], answer[:300])
        assert b'"slug": "%s"' % slug in answer and b"\r\nconnection: close\r\n" in answer and b"nosniff" in answer
    assert client.get("/health").status_code == 200


def test_what_follows_a_chunked_body_has_the_same_limit_and_is_no_header(client: httpx.Client) -> None:
    chunked = b"POST /runs/x/cancel HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    with connection(client) as opened:
        opened.sendall(chunked + b"0\r\norigin: https://evil.example\r\n\r\n")
        assert b"run-not-found" in opened.recv(65536)
    for endless in (b"0\r\n" + b"x: y\r\n" * 20_000, b"1;" + b"a" * 100_000):
        with connection(client) as opened:
            opened.sendall(chunked + endless)
            assert all_of(opened).count(b"HTTP/1.1 ") <= 1


def test_a_head_that_does_not_arrive_is_ended(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    for sent in (GET + b"x-slow", b"G"):
        with connection(client) as opened:
            opened.sendall(sent)
            assert all_of(opened).startswith(b"HTTP/1.1 408 ")
    for silent in (b"", b"\r\n"):
        with connection(client) as opened:
            opened.sendall(silent)
            assert all_of(opened) == b""
    with connection(client) as opened:
        opened.sendall(GET + b"\r\n")
        assert opened.recv(65536).startswith(b"HTTP/1.1 200 ")
        opened.sendall(GET)
        assert all_of(opened).startswith(b"HTTP/1.1 408 "), "also on a connection that is used again"


def test_a_new_connection_takes_the_place_of_the_one_that_waits_longest(platform: Platform) -> None:
    with (
        serving(platform, max_connections=3) as client,
        connection(client) as first,
        connection(client) as second,
        connection(client) as third,
    ):
        for each in (second, third, first):
            each.sendall(GET)
        time.sleep(0.05)
        second.sendall(b"\r\n")
        assert second.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert client.get("/health").status_code == 200
        ended = first if is_closed(first) else third
        assert is_closed(ended) and not is_closed(second), "it was used last"


def test_a_connection_too_many_is_refused_while_all_others_are_answered(platform: Platform) -> None:
    with serving(platform, max_connections=2) as client:
        with connection(client) as first, connection(client) as second:
            for each in (first, second):
                each.sendall(b"POST /upload-dataset HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n")
                each.sendall(b"content-type: application/zip\r\n\r\nPK")
            wait_until(lambda: refused(client), seconds=5, what="the refusal")
        wait_until(lambda: not refused(client), seconds=5, what="a free place")


def test_a_client_that_does_not_read_its_answer_is_dropped(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "UNREAD_SECONDS", 0.5)
    content = bytes(20_000_000)
    job = client.post("/upload-dataset", content=content, headers={"content-type": "application/zip"}).json()["job_id"]
    with connection(client) as opened:
        opened.sendall(f"GET /dataset/source/{job} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        time.sleep(1.5)
        assert len(all_of(opened)) < len(content)
    assert len(client.get(f"/dataset/source/{job}").content) == len(content)


def test_a_client_that_reads_its_answer_slowly_gets_all_of_it(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "UNREAD_SECONDS", 0.3)
    content = bytes(4_000_000)
    job = client.post("/upload-dataset", content=content, headers={"content-type": "application/zip"}).json()["job_id"]
    with socket.socket() as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        opened.connect(address_of(client))
        opened.settimeout(10)
        opened.sendall(f"GET /dataset/source/{job} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
        received = 0
        while block := opened.recv(65536):
            received += len(block)
            time.sleep(0.03)
    assert received > len(content)


def test_a_silent_body_is_ended_and_gives_its_key_back(platform: Platform) -> None:
    headers = {"idempotency-key": "k", "content-type": "application/zip"}
    with serving(platform, idle_seconds=0.5) as client:
        for path in ("upload-dataset", "train-async/x", "preflight?bytes=99"):
            with connection(client) as opened:
                opened.sendall(f"POST /{path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n".encode())
                opened.sendall(b"content-type: application/zip\r\nidempotency-key: k\r\n\r\nPK")
                answer = all_of(opened)
            assert answer.startswith(b"HTTP/1.1 408 ") and b"\r\nconnection: close\r\n" in answer, path
            assert b'"slug": "request-timeout"' in answer
        assert client.post("/upload-dataset", content=b"PK", headers=headers).status_code == 202
        assert list(platform.settings.temp.glob("upload-*")) == []


def test_a_silent_chunk_of_an_upload_keeps_what_arrived(platform: Platform) -> None:
    with serving(platform, idle_seconds=0.5) as client:
        path = client.post("/uploads", headers=TUS | {"upload-length": "9"}).headers["location"]
        with connection(client) as opened:
            opened.sendall(chunk_head(path, 9) + b"PK\x03")
            assert all_of(opened).startswith(b"HTTP/1.1 408 ")
        assert client.head(path, headers=TUS).headers["upload-offset"] == "3"
        rest = client.patch(path, content=b"456789", headers=CHUNK | {"upload-offset": "3"})
        assert rest.status_code == 204, "the lease is free at once"


def test_a_slow_chunk_keeps_its_lease(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LEASE_SECONDS", 0.6)
    monkeypatch.setattr(sessions, "HEARTBEAT_SECONDS", 0.1)
    with serving(platform, idle_seconds=2) as client:
        path = client.post("/uploads", headers=TUS | {"upload-length": "20"}).headers["location"]
        with connection(client) as opened:
            opened.sendall(chunk_head(path, 20))
            for sent in range(20):  # 10 bytes a second
                opened.sendall(b"x")
                time.sleep(0.1)
                if 1 < sent < 19:
                    problem(client.patch(path, content=b"y", headers=CHUNK), 423, "upload-locked")
            assert opened.recv(65536).startswith(b"HTTP/1.1 204 ")
        assert client.head(path, headers=TUS).headers["upload-offset"] == "20"


@pytest.mark.slow
def test_a_process_stands_half_sent_requests_and_endless_heads(platform: Platform) -> None:
    with api_process(platform, max_connections=200) as (client, process), ExitStack() as half_sent:
        before = process.memory_info().rss
        for _ in range(500):
            half_sent.enter_context(connection(client)).sendall(GET)
        assert not refused(client)
        assert len(established(process)) <= 200
        with connection(client) as opened:
            opened.sendall(GET)
            with suppress(ConnectionError):
                for _ in range(500):
                    opened.sendall(b"x: " + b"a" * 60_000 + b"\r\n")
            assert all_of(opened).startswith(b"HTTP/1.1 431 ")
        assert process.memory_info().rss - before < 16 * 1024**2
        wait_until(lambda: len(established(process)) <= 1, seconds=protocol.HEAD_SECONDS + 5, what="the end of all")


def established(process: psutil.Process) -> list[object]:
    return [each for each in process.net_connections("tcp") if each.status == psutil.CONN_ESTABLISHED]


def chunk_head(path: str, length: int) -> bytes:
    headers = {**CHUNK, "host": "localhost", "content-length": str(length)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"PATCH {path} HTTP/1.1\r\n{lines}\r\n".encode()


def refused(client: httpx.Client) -> bool:
    with connection(client) as opened:
        opened.sendall(GET + b"connection: close\r\n\r\n")
        return all_of(opened).startswith(b"HTTP/1.1 503 ")


def is_closed(opened: socket.socket) -> bool:
    opened.settimeout(0.5)
    try:
        return opened.recv(1) == b""
    except TimeoutError:
        return False


def address_of(client: httpx.Client) -> tuple[str, int]:
    return client.base_url.host, client.base_url.port or 80


@contextmanager
def connection(client: httpx.Client) -> Iterator[socket.socket]:
    with socket.create_connection(address_of(client), timeout=10) as opened:
        yield opened


def all_of(opened: socket.socket) -> bytes:
    """Everything until the service closes the connection; a test that waits 10 s for that fails."""
    received = b""
    try:
        while block := opened.recv(65536):
            received += block
    except ConnectionResetError:
        pass
    return received
