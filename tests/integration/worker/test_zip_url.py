"""A ZIP at a URL, from real servers: 127.0.0.2 stands for the public network, 127.0.0.1 for what is inside."""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from core.domain.errors import ImportNotAllowed, ImportUnavailable, ImportUnusable
from core.settings import Settings
from http_common import remote_address
from http_common.import_rules import networks_for, require_host
from tests.servers.file_host import INSIDE, OUTSIDE, FileHost, file_host
from worker.inputs import zip_url
from worker.inputs.zip_url import FetchedZip, fetch_zip

CONTENT = os.urandom(300_000)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[str]]]:
    """The addresses of a name, one a look-up; the last one stays. Others are resolved as ever."""
    table: dict[str, list[str]] = {"files.example": [OUTSIDE], "inside.example": [INSIDE]}
    real = socket.getaddrinfo

    def resolve(name: str, port: int, *args: Any, **options: Any) -> Any:
        known = table.get(name)
        address = (known.pop(0) if len(known) > 1 else known[0]) if known else name
        return real(address, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(remote_address, "is_public", lambda address: address == OUTSIDE)
    monkeypatch.setattr(zip_url, "PAUSES_SECONDS", (0.0, 0.0))
    yield table


@pytest.fixture
def host(names: dict[str, list[str]]) -> Iterator[FileHost]:
    with file_host() as opened:
        opened.content = CONTENT
        yield opened


class Disk:
    """Room that is granted, and taken."""

    def __init__(self) -> None:
        self.granted: list[int | None] = []
        self.taken = self.closed = 0

    def grant(self, size: int | None) -> "Disk":
        self.granted.append(size)
        return self

    def take(self, size: int) -> None:
        self.taken += size

    def close(self) -> None:
        self.closed += 1


def fetched(
    host: FileHost,
    target: Path,
    url: str = "",
    *,
    limit_bytes: int = 10**6,
    seconds: float = 20,
    check: Callable[[], None] = lambda: None,
    disk: Disk | None = None,
    private_networks: str = "",
) -> FetchedZip:
    settings = Settings(
        import_hosts=f"files.example:{host.port}, inside.example:{host.port}, *", private_networks=private_networks
    )
    return fetch_zip(
        url or host.url(),
        target / "fetched.zip",
        require_host=partial(require_host, settings),
        networks_for=partial(networks_for, settings),
        limit_bytes=limit_bytes,
        room=(disk or Disk()).grant,
        ends=time.monotonic() + seconds,
        check=check,
        came=lambda _done, _total: None,
    )


def test_a_file_that_breaks_off_is_continued_where_it_ended(host: FileHost, tmp_path: Path) -> None:
    host.breaks, disk = [100_000, 50_000], Disk()
    found = fetched(host, tmp_path, disk=disk)
    assert found == FetchedZip(len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), '"one"')
    assert (tmp_path / "fetched.zip").read_bytes() == CONTENT
    assert host.ranges() == [None, "bytes=100000-", "bytes=150000-"]
    assert all(headers["if-range"] == '"one"' for _, headers in host.requests[1:])
    assert (disk.granted, disk.taken, disk.closed) == ([len(CONTENT)], len(CONTENT), 1)


@pytest.mark.parametrize("fault", ["changed", "changed unnoticed", "weak", "without ranges"])
def test_bytes_of_another_version_are_never_mixed_in(host: FileHost, tmp_path: Path, fault: str) -> None:
    host.breaks, other = [100_000], CONTENT[::-1]
    if fault == "weak":
        host.etag = 'W/"one"'
    host.with_ranges = fault != "without ranges"
    host.with_conditions = fault != "changed unnoticed"

    def change_when_broken() -> None:
        if fault.startswith("changed") and len(host.requests) == 1 and not host.breaks:
            host.content, host.etag = other, '"two"'

    found = fetched(host, tmp_path, check=change_when_broken)
    whole = other if fault.startswith("changed") else CONTENT
    assert (tmp_path / "fetched.zip").read_bytes() == whole and found.sha256 == hashlib.sha256(whole).hexdigest()
    assert found.etag == host.etag
    again = [None] if fault == "changed unnoticed" else []
    assert host.ranges() == [None, None if fault == "weak" else "bytes=100000-", *again]


def test_a_server_that_never_sends_the_rest_is_given_up(host: FileHost, tmp_path: Path) -> None:
    host.breaks, host.with_ranges = [100_000] * 9, False
    with pytest.raises(ImportUnavailable):
        fetched(host, tmp_path)
    assert len(host.requests) == 4, "the first one, and three that brought nothing more"
    host.statuses, before = [503] * 9, len(host.requests)
    with pytest.raises(ImportUnavailable, match="it answers 503"):
        fetched(host, tmp_path)
    assert len(host.requests) == before + 3


@pytest.mark.parametrize(
    ("location", "error", "reason"),
    [
        ("http://inside.example:{port}/x.zip", ImportUnusable, "is an address inside"),
        (f"http://{INSIDE}/x.zip", ImportUnusable, "is an address inside"),
        ("http://169.254.169.254/latest/meta-data/", ImportUnusable, "is an address inside"),
        ("http://[::ffff:127.0.0.1]/", ImportUnusable, "is an address inside"),
        ("http://files.example:22/x.zip", ImportNotAllowed, "DARKROOM_IMPORT_HOSTS"),
        ("http://user:secret@files.example:{port}/x.zip", ImportUnusable, "without a user name"),
        ("file:///etc/passwd", ImportUnusable, "Only http"),
        ("http://[", ImportUnusable, "malformed"),
        ("/again.zip", ImportUnusable, "more than 5 redirects"),
    ],
)
def test_a_redirect_is_checked_as_the_url_is(
    host: FileHost, tmp_path: Path, location: str, error: type[Exception], reason: str
) -> None:
    with file_host(INSIDE, host.port) as inside:
        inside.content = b"secret"
        host.redirects = {path: location.format(port=host.port) for path in ("/data.zip", "/again.zip")}
        with pytest.raises(error, match=reason):
            fetched(host, tmp_path)
        assert inside.requests == []
    assert (tmp_path / "fetched.zip").read_bytes() == b""


def test_a_redirect_to_an_allowed_host_is_followed(host: FileHost, tmp_path: Path) -> None:
    host.redirects["/data.zip"] = f"http://files.example:{host.port}/stored?signature=x"
    assert fetched(host, tmp_path).bytes == len(CONTENT)
    assert [path for path, _ in host.requests] == ["/data.zip", "/stored?signature=x"]


def test_a_named_host_may_be_in_a_private_network_that_is_named(host: FileHost, tmp_path: Path) -> None:
    with file_host(INSIDE, host.port) as inside:
        url = f"http://inside.example:{host.port}/data.zip"
        with pytest.raises(ImportUnusable, match="DARKROOM_PRIVATE_NETWORKS"):
            fetched(host, tmp_path, url, private_networks="10.0.0.0/8")
        with pytest.raises(ImportUnusable, match="is an address inside"):
            fetched(host, tmp_path, f"http://{INSIDE}/data.zip", private_networks=INSIDE)  # allowed by `*` alone
        inside.content = b"from inside"
        assert fetched(host, tmp_path, url, private_networks=INSIDE).bytes == len(b"from inside")


def test_a_name_that_changes_its_address_is_read_from_the_address_that_was_checked(
    host: FileHost, names: dict[str, list[str]], tmp_path: Path
) -> None:
    names["files.example"] = [OUTSIDE, INSIDE]
    with file_host(INSIDE, host.port) as inside:
        assert fetched(host, tmp_path).bytes == len(CONTENT)
        assert inside.requests == []
        host.breaks = [1000]  # the next try resolves the name again
        names["files.example"] = [OUTSIDE, INSIDE]
        with pytest.raises(ImportUnusable, match="is an address inside"):
            fetched(host, tmp_path)
        assert inside.requests == []


@pytest.mark.parametrize("with_length", [True, False])
def test_a_file_above_the_limit_ends_the_import(host: FileHost, tmp_path: Path, with_length: bool) -> None:
    host.with_length, disk = with_length, Disk()
    with pytest.raises(ImportUnusable, match="exceeds the limit of 299999 bytes"):
        fetched(host, tmp_path, limit_bytes=len(CONTENT) - 1, disk=disk)
    assert (tmp_path / "fetched.zip").stat().st_size < len(CONTENT)
    assert disk.granted == ([] if with_length else [None])


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        (404, {}, "answers 404"),
        (403, {}, "asks for a log-in"),
        (0, {"Content-Type": "text/html; charset=utf-8"}, "a web page"),
        (0, {"Content-Encoding": "gzip"}, "compressed"),
    ],
)
def test_what_is_no_file_rejects_the_import(
    host: FileHost, tmp_path: Path, status: int, headers: dict[str, str], reason: str
) -> None:
    host.statuses, host.headers = [status] if status else [], headers
    with pytest.raises(ImportUnusable, match=reason):
        fetched(host, tmp_path)
    assert len(host.requests) == 1


def test_a_slow_server_ends_at_the_deadline_and_when_it_is_stopped(host: FileHost, tmp_path: Path) -> None:
    host.slow = True
    began = time.monotonic()
    with pytest.raises(ImportUnavailable, match="too slow"):
        fetched(host, tmp_path, seconds=0.3)
    stopped = threading.Event()
    threading.Timer(0.3, stopped.set).start()

    def check() -> None:
        if stopped.is_set():
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fetched(host, tmp_path, check=check)
    assert time.monotonic() - began < 3
