"""The S3 store: links, and servers that deny access or are down."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from core.domain.errors import StoreRefused, Unavailable
from core.settings import Settings
from core.storage import open_store
from tests.builders.files import file_of
from tests.servers import free_port
from tests.waiting import wait_until


@pytest.mark.integration
def test_a_link_downloads_the_file_under_its_name(s3_settings: Settings, tmp_path: Path) -> None:
    store = open_store(s3_settings)
    store.put("runs/r/1/artifacts/best.pt", file_of(tmp_path / "a", b"0123456789"))
    link = store.link("runs/r/1/artifacts/best.pt", seconds=60, file_name='Äpfel "v1".pt')
    assert link is not None

    answer = httpx.get(link)
    part = httpx.get(link, headers={"Range": "bytes=2-4"})

    assert answer.content == b"0123456789"
    assert answer.headers["content-disposition"].endswith("filename*=UTF-8''%C3%84pfel%20%22v1%22.pt")
    assert (part.status_code, part.content) == (206, b"234")


@pytest.mark.integration
def test_a_link_that_was_tampered_with_or_has_expired_is_refused(s3_settings: Settings, tmp_path: Path) -> None:
    store = open_store(s3_settings)
    store.put("mine", file_of(tmp_path / "a", b"mine"))
    store.put("yours", file_of(tmp_path / "a", b"yours"))
    link = store.link("mine", seconds=2, file_name="mine")
    assert link is not None

    assert httpx.get(link.replace("/mine?", "/yours?")).status_code == 403
    assert httpx.get(link).status_code == 200
    wait_until(lambda: httpx.get(link).status_code == 403, seconds=10, what="the link expires")


@pytest.mark.integration
def test_a_link_is_signed_for_the_address_that_users_reach(s3_settings: Settings) -> None:
    public = s3_settings.model_copy(update={"s3_public_endpoint": "https://files.example.org"})

    link = open_store(public).link("mine", seconds=60, file_name="mine")

    assert link is not None
    assert link.startswith("https://files.example.org/darkroom-test-")


@pytest.mark.integration
@pytest.mark.parametrize("wrong", ["address", "secret", "bucket"])
def test_a_server_that_cannot_be_used_is_unavailable_within_seconds(
    s3_settings: Settings, tmp_path: Path, wrong: str
) -> None:
    changes: dict[str, dict[str, Any]] = {
        "address": {"s3_endpoint": f"http://127.0.0.1:{free_port()}"},
        "secret": {"s3_secret_key": type(s3_settings.s3_secret_key)("not the secret")},
        "bucket": {"store_url": "s3://darkroom-no-such-bucket"},
    }
    store = open_store(s3_settings.model_copy(update=changes[wrong]))

    start = time.monotonic()
    with pytest.raises(Unavailable) as raised:
        store.probe()
    assert time.monotonic() - start < 8
    assert isinstance(raised.value, StoreRefused) == (wrong != "address")
    if wrong == "bucket":
        with pytest.raises(StoreRefused, match="NoSuchBucket"):
            store.fetch("any", tmp_path / "any")


@pytest.mark.parametrize(
    ("status", "code", "refused"),
    [
        (403, "AccessDenied", True),
        (403, "InvalidAccessKeyId", True),
        (404, "NoSuchBucket", True),
        (400, "ExpiredToken", True),
        (503, "SlowDown", False),
        (500, "InternalError", False),
    ],
)
def test_a_server_that_denies_access_is_distinguished_from_one_that_is_down(
    tmp_path: Path, status: int, code: str, refused: bool
) -> None:
    with answering(status, f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()) as endpoint:
        keys = {"s3_access_key": SecretStr("k"), "s3_secret_key": SecretStr("s")}
        store = open_store(Settings(store_url="s3://bucket", s3_endpoint=endpoint, **keys))
        with pytest.raises(Unavailable) as raised:
            list(store.list_prefix("uploads/"))
        assert isinstance(raised.value, StoreRefused) == refused
        assert raised.value.facts == {"service": "store", "cause": code}
        with pytest.raises(Unavailable) as raised:
            store.put("a", file_of(tmp_path / "a", b"x"))  # begins with a HEAD, whose answer has a status and no body
        assert isinstance(raised.value, StoreRefused) == (refused and status != 400)


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that answers everything the same way."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(status)
            self.send_header("content-type", "application/xml")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = _answer

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
