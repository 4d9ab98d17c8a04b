"""A ZIP at a URL, into a local file: from allowed hosts alone, bounded, and continued where a connection broke off.

Each try begins at the URL that was requested, and each redirect of it is checked as that is. Bytes that are there are
kept only where the server says, by a strong ETag, that the file is still the same.
"""

import hashlib
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urljoin

import httpx
import structlog

from core.domain.errors import ImportUnavailable, ImportUnusable
from http_common.remote_address import (
    REDIRECTS,
    NameUnresolved,
    Network,
    RemoteName,
    UrlRefused,
    allowed_addresses,
    certificates,
    leaves_tls,
    remote_name,
    request_at,
)
from worker.inputs.interruptible import Check, interruptible, pause, until

MAX_REDIRECTS = 5
CONNECT_SECONDS, READ_SECONDS = 10.0, 30.0
PAUSES_SECONDS = (1.0, 5.0, 20.0)  # after tries without a new byte; then the job fails, and can be retried
_TRANSIENT = (408, 425, 429)  # and 5xx
_PAGES = ("text/html", "application/xhtml+xml")  # of a log-in, or the page about the file
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")

log = structlog.get_logger(__name__)


class Granted(Protocol):
    """Room on a disk, for one file."""

    def take(self, size: int) -> None:
        """Raises OutOfSpace."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class FetchedZip:
    bytes: int
    sha256: str
    etag: str | None


class _Transient(Exception):
    """A failure that a retry may cure."""


def fetch_zip(
    url: str,
    target: Path,
    *,
    require_host: Callable[[RemoteName], None],
    networks_for: Callable[[RemoteName], Sequence[Network]] = lambda _: (),
    limit_bytes: int,
    room: Callable[[int | None], Granted],
    ends: float,
    check: Check,
    came: Callable[[int, int | None], None],
) -> FetchedZip:
    """`room(bytes)`: for the whole file, before its first byte; None: of unknown size. `came(bytes, total)`: so far.

    `networks_for`: the private networks in which a host may be. `ends`: the monotonic second of the deadline.
    `require_host` and `check` may raise to stop. Raises ImportUnusable, ImportUnavailable, OutOfSpace, OSError.
    """
    check = until(ends, check, lambda: ImportUnavailable("The server is too slow: the file did not arrive in time."))
    failures = 0
    with _client() as client, _Part(target, limit_bytes, room) as part:
        while True:
            before = part.bytes
            try:
                interruptible(
                    lambda: _try(client, url, part, require_host, networks_for, check, came), check, name="import"
                )
                return part.whole()
            except (httpx.HTTPError, httpx.InvalidURL, NameUnresolved, _Transient) as error:
                failures = 0 if part.bytes > before else failures + 1
                # Errors of httpx name the URL, which may hold a signature.
                reason = str(error) if isinstance(error, NameUnresolved | _Transient) else type(error).__name__
                if failures > len(PAUSES_SECONDS):
                    raise ImportUnavailable(f"The server does not send the file: {reason}.") from error
                log.warning("import.retried", reason=reason, bytes=part.bytes)
                pause(PAUSES_SECONDS[max(0, failures - 1)], check)
            except UrlRefused as error:
                raise ImportUnusable(str(error), reason="url") from error


def _client() -> httpx.Client:
    # No connection is kept: one to the same address under another name would have the certificate of the first.
    limits = httpx.Limits(max_keepalive_connections=0)
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    return httpx.Client(trust_env=False, verify=certificates(), limits=limits, timeout=timeout, follow_redirects=False)


def _try(
    client: httpx.Client,
    url: str,
    part: "_Part",
    require_host: Callable[[RemoteName], None],
    networks_for: Callable[[RemoteName], Sequence[Network]],
    check: Check,
    came: Callable[[int, int | None], None],
) -> None:
    for _ in range(MAX_REDIRECTS + 1):
        check()
        remote = remote_name(url)
        require_host(remote)
        response = _answer(client, remote, networks_for(remote), part.wanted())
        try:
            if response.status_code in REDIRECTS and "location" in response.headers:
                url = _following(url, response.headers["location"])
                continue
            part.begin(response)
            for piece in response.iter_raw():  # as it is sent: nothing is inflated
                check()
                part.add(piece)
                came(part.bytes, part.total)
            part.end()
            return
        finally:
            response.close()
    raise UrlRefused(f"There are more than {MAX_REDIRECTS} redirects.")


def _following(url: str, location: str) -> str:
    try:
        following = urljoin(url, location)
    except ValueError as error:
        raise UrlRefused("The URL redirects to a malformed one.") from error
    if leaves_tls(url, following):
        raise UrlRefused("The URL redirects from HTTPS to another scheme.")
    return following


def _answer(
    client: httpx.Client, remote: RemoteName, networks: Sequence[Network], wanted: dict[str, str]
) -> httpx.Response:
    failure: httpx.HTTPError | None = None
    for address in allowed_addresses(remote, networks):
        try:
            return client.send(client.build_request(**request_at(address, remote, wanted)), stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            failure = error
    raise failure or httpx.ConnectError("The name has no address.")


class _Part:
    """What is there of the file, over all tries."""

    def __init__(self, target: Path, limit_bytes: int, room: Callable[[int | None], Granted]) -> None:
        self.bytes = 0
        self.total: int | None = None
        self._etag: str | None = None
        self._sha256 = hashlib.sha256()
        self._limit_bytes = limit_bytes
        self._room = room
        self._granted: Granted | None = None
        self._file = target.open("wb")
        self._lock = threading.Lock()  # a thread that is left behind writes nothing after the end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._file.close()
            self._give_back()

    def wanted(self) -> dict[str, str]:
        """Headers of the next request: the rest, where the server can say whether the file is still the same."""
        if self.bytes and self._etag and self._etag.isascii() and not self._etag.startswith("W/"):
            return {"range": f"bytes={self.bytes}-", "if-range": self._etag}
        return {}

    def begin(self, response: httpx.Response) -> None:
        """Raises ImportUnusable, OutOfSpace, and what a retry may cure."""
        if response.status_code == 416:
            self._start_again()
        _require_file(response)
        if response.status_code == 206:
            return self._require_rest(response)
        self._start_again()
        announced = response.headers.get("content-length", "")
        self.total = int(announced) if announced.isdigit() else None
        self._etag = response.headers.get("etag", "")[:200] or None
        if self.total is not None and self.total > self._limit_bytes:
            raise self._too_large()
        with self._lock:
            if not self._file.closed:
                self._granted = self._room(self.total)

    def add(self, piece: bytes) -> None:
        if self.bytes + len(piece) > self._limit_bytes:
            raise self._too_large()
        with self._lock:
            if self._granted is not None:
                self._granted.take(len(piece))
            self._file.write(piece)
        self._sha256.update(piece)
        self.bytes += len(piece)

    def end(self) -> None:
        if self.total not in (None, self.bytes):
            raise _Transient("it broke off")

    def whole(self) -> FetchedZip:
        self._file.flush()
        return FetchedZip(self.bytes, self._sha256.hexdigest(), self._etag)

    def _require_rest(self, response: httpx.Response) -> None:
        """The rest of the same file, from the first byte that is missing."""
        match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", "").strip())
        same = response.headers.get("etag", self._etag) == self._etag
        if not (match and self.bytes and same and int(match[1]) == self.bytes):
            self._start_again()
            raise _Transient("it sent another part than was requested")
        if match[3] != "*":
            self.total = int(match[3])

    def _start_again(self) -> None:
        self.bytes, self.total, self._etag, self._sha256 = 0, None, None, hashlib.sha256()
        with self._lock:
            self._file.seek(0)
            self._file.truncate()
            self._give_back()

    def _give_back(self) -> None:
        granted, self._granted = self._granted, None
        if granted is not None:
            granted.close()

    def _too_large(self) -> ImportUnusable:
        detail = f"The file exceeds the limit of {self._limit_bytes} bytes."
        return ImportUnusable(detail, reason="too-large", limit=self._limit_bytes)


def _require_file(response: httpx.Response) -> None:
    status = response.status_code
    if status in _TRANSIENT or status >= 500 or status == 416:
        raise _Transient(f"it answers {status}")
    if status not in (200, 206):
        what = "asks for a log-in" if status in (401, 403) else f"answers {status}"
        raise ImportUnusable(f"The server {what}: a URL has to send the ZIP itself.", reason="status", status=status)
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _PAGES:
        raise ImportUnusable("The URL answers a web page: use the URL that sends the ZIP itself.", reason="page")
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise ImportUnusable(f"The URL answers compressed bytes ({encoding[:40]!r}).", reason="encoding")
