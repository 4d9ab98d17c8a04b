"""HTTP/1.1 to the services behind the API, over connections that are kept.

httpx takes five times the processor time for a prediction that is passed on: docs/performance.md.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from typing import cast
from urllib.parse import urlsplit

import httptools

from http_common.remote_address import certificates

IDLE_SECONDS = 4.0  # a connection is kept; serving closes it after 5: it is not written to in that moment
BUFFERED_BYTES = 256 * 1024  # of a request or an answer, before whoever sends it has to wait
_PORTS = {"http": 80, "https": 443}
_LENGTHS = (b"content-length", b"transfer-encoding")

Headers = Iterable[tuple[str, str]]


class NotConnected(Exception):
    """Nothing was sent: another upstream may be tried."""


class ConnectionFailed(Exception):
    """The request was sent, or part of it, and there is no answer, or not all of it."""


class Upstream:
    """One service, for one event loop. The first request opens the first connection.

    `answer_seconds`: without a byte of an answer, or of a body that the other side does not take.
    """

    def __init__(self, url: str, *, connect_seconds: float, answer_seconds: float) -> None:
        parts = urlsplit(url)
        self.url = url.rstrip("/")
        self._host, self._port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        self._has_tls, self._prefix = parts.scheme == "https", parts.path.rstrip("/")
        self._name = parts.netloc.rpartition("@")[2]
        self._connect_seconds, self.answer_seconds = connect_seconds, answer_seconds
        self.idle: dict[Connection, float] = {}  # when each was given back, the last one last

    async def send(
        self, method: str, target: str, headers: Headers = (), body: AsyncIterator[bytes] | None = None
    ) -> "Connection":
        """The connection on which the answer comes; it is to be closed. `headers` have the length of the `body`, which
        is sent in chunks otherwise; an answer that comes before its end ends it.

        Raises NotConnected, ConnectionFailed, and what `body` raises.
        """
        if body is None and any(name == "content-length" and value != "0" for name, value in headers):
            raise ValueError("a length was given for no body: the server would take the next request for it")
        connection = self._kept() or await self._opened()
        try:
            lines = [f"{method} {self._prefix}{target} HTTP/1.1", f"host: {self._name}"]
            lines += [f"{name}: {value}" for name, value in headers]
            in_chunks = body is not None and not any(name == "content-length" for name, _ in headers)
            if in_chunks:
                lines.append("transfer-encoding: chunked")
            connection.write("\r\n".join([*lines, "\r\n"]).encode("latin-1"))
            if body is not None:
                await connection.write_body(body, in_chunks=in_chunks)
        except BaseException:
            connection.abort()
            raise
        return connection

    async def get(self, target: str, headers: Headers = (), *, seconds: float) -> tuple[int, bytes]:
        """Status and body, within `seconds`. Raises NotConnected, ConnectionFailed, TimeoutError."""
        async with asyncio.timeout(seconds):
            connection = await self.send("GET", target, headers)
            try:
                await connection.head()
                content, more = b"", True
                while more:
                    piece, more = await connection.read()
                    content += piece
            finally:
                connection.close()
        return connection.status, content

    def close(self) -> None:
        for connection in list(self.idle):
            connection.abort()

    def _kept(self) -> "Connection | None":
        while self.idle:
            connection, since = self.idle.popitem()
            if not connection.lost and asyncio.get_running_loop().time() - since < IDLE_SECONDS:
                connection.begin()
                return connection
            connection.abort()
        return None

    async def _opened(self) -> "Connection":
        context: ssl.SSLContext | None = certificates() if self._has_tls else None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await loop.create_connection(
                    lambda: Connection(self), self._host, self._port, ssl=context
                )
        except (OSError, UnicodeError) as error:  # time, TLS and names that are no names among them
            raise NotConnected(f"{self.url}: {error!r}") from error
        return connection


class Connection(asyncio.Protocol):
    """One request and its answer at a time. `status` and `headers`, in lower case, once `head` has returned."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._writable = True
        self.lost = False
        self.begin()

    def begin(self) -> None:
        """For the next request."""
        self._parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._unread, self._paused = 0, False
        self._sending, self._complete, self._keeps = False, False, False

    def write(self, content: bytes) -> None:
        self._transport.write(content)

    async def write_body(self, body: AsyncIterator[bytes], *, in_chunks: bool) -> None:
        """Raises ConnectionFailed, and what `body` raises."""
        self._sending = True
        async for piece in body:
            while not self._writable and not self.status:
                await self._wait()
            if self.status:
                return  # refused before it was read
            if self.lost:
                raise ConnectionFailed(f"{self._upstream.url}: the connection was closed")
            if piece:
                self.write(b"%x\r\n%b\r\n" % (len(piece), piece) if in_chunks else piece)
        if in_chunks:
            self.write(b"0\r\n\r\n")
        self._sending = False

    async def head(self) -> None:
        """Waits for it. Raises ConnectionFailed."""
        while not self.status:
            await self._wait()

    async def read(self) -> tuple[bytes, bool]:
        """What has arrived of the body, at least something, and whether more follows. Raises ConnectionFailed."""
        while not self._pieces and not self._complete:
            await self._wait()
        content, self._pieces, self._unread = b"".join(self._pieces), [], 0
        if self._paused and not self.lost:
            self._paused = False
            self._transport.resume_reading()
        return content, not self._complete

    def close(self) -> None:
        """Kept for the next request where this one and its answer are complete."""
        if self._complete and self._keeps and not self._sending and not self._paused and not self.lost:
            self._upstream.idle[self] = self._loop.time()
        else:
            self.abort()

    def abort(self) -> None:
        self.lost = True
        self._upstream.idle.pop(self, None)
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(BUFFERED_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop passes it
        self.lost = True
        self._upstream.idle.pop(self, None)
        self._wake()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._wake()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.abort()
        self._wake()

    def eof_received(self) -> None:
        """The end of an answer without a length."""
        if self.status and not any(name in _LENGTHS for name, _ in self.headers):
            self._complete = True

    def on_message_begin(self) -> None:
        if self.status:
            raise ConnectionFailed("a second answer")  # to the parser, which ends the connection
        self.headers = []  # those before were of an interim answer

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:  # else behind the body
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self.status = status if status >= 200 else 0

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)
        self._unread += len(body)
        if self._unread > BUFFERED_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self.status:
            self._complete, self._keeps = True, self._parser.should_keep_alive()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        """For the next event. Raises ConnectionFailed."""
        if self.lost:
            raise ConnectionFailed(f"{self._upstream.url}: the connection was closed")
        self._waiter = self._loop.create_future()
        try:
            async with asyncio.timeout(self._upstream.answer_seconds):
                await self._waiter
        except TimeoutError as error:
            raise ConnectionFailed(f"{self._upstream.url}: nothing arrived") from error
        finally:
            self._waiter = None
