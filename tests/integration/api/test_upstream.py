"""What goes on between the API and serving: connections that are kept, early, odd and broken answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, cast

import pytest

from api.http.upstream import BUFFERED_BYTES, Connection, ConnectionFailed, NotConnected, Upstream
from tests.servers import free_port

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run(handle: Handler, use: Callable[[Upstream], Coroutine[Any, Any, None]], *, seconds: float = 5.0) -> int:
    """Returns how many connections were opened."""
    opened = 0
    handlers: list[asyncio.Task[None]] = []

    async def main() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal opened
            opened += 1
            handlers.append(cast("asyncio.Task[None]", asyncio.current_task()))
            try:
                await handle(reader, writer)
                writer.close()
                await writer.wait_closed()
            finally:
                writer.transport.abort()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        upstream = Upstream(f"http://127.0.0.1:{port}/base/", connect_seconds=2, answer_seconds=seconds)
        await use(upstream)
        upstream.close()
        server.close()
        for each in handlers:
            each.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        await asyncio.sleep(0)  # their transports end

    asyncio.run(asyncio.wait_for(main(), 20))
    return opened


async def read_all(connection: Connection) -> bytes:
    await connection.head()
    pieces, more = [b""], True
    while more:
        piece, more = await connection.read()
        pieces.append(piece)
    return b"".join(pieces)


async def in_pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for each in pieces:
        yield each


def answering(answer: bytes) -> Handler:
    """The same to each request, and then the end."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    return handle


def test_a_connection_is_kept_and_bodies_go_by_length_or_in_chunks() -> None:
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for length in (5, 18):  # "5\r\nimage\r\n" and "0\r\n\r\n" make 15
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            body = await reader.readexactly(5 if length == 5 else 15)
            writer.write(
                b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(body)
            )
            writer.write(b"X-Two: a\r\nX-Two: b\r\n\r\n" + body)

    async def use(upstream: Upstream) -> None:
        with pytest.raises(ValueError, match="no body"):
            await upstream.send("GET", "/x", [("content-length", "5")])
        first = await upstream.send("POST", "/x?a=%20b", [("content-length", "5")], in_pieces(b"im", b"", b"age"))
        assert await read_all(first) == b"image"
        assert (first.status, first.headers) == (
            200,
            [(b"content-length", b"5"), (b"x-two", b"a"), (b"x-two", b"b")],
        )
        first.close()
        second = await upstream.send("POST", "/x", [], in_pieces(b"image"))
        assert await read_all(second) == b"5\r\nimage\r\n0\r\n\r\n"
        second.close()

    assert run(handle, use) == 1
    assert heads[0].startswith(b"POST /base/x?a=%20b HTTP/1.1\r\nhost: 127.0.0.1:")
    assert b"transfer-encoding: chunked" in heads[1] and b"transfer-encoding" not in heads[0]


def test_an_answer_before_the_end_of_the_body_ends_the_body() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(100_000)
            await asyncio.sleep(0)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n\r\nno")
        await reader.read()  # until the other side ends it

    async def use(upstream: Upstream) -> None:
        for _ in range(2):
            connection = await upstream.send("POST", "/", [("content-length", str(10**12))], endless())
            assert await read_all(connection) == b"no"
            assert connection.status == 429
            connection.close()
            assert not upstream.idle

    assert run(handle, use) == 2


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async def use(upstream: Upstream) -> None:
        for _ in range(2):
            assert await upstream.get("/", seconds=5) == (200, b"all of it")

    assert run(answering(b"HTTP/1.0 200 OK\r\n\r\nall of it"), use) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ],
)
def test_a_broken_answer_is_a_failure(answer: bytes) -> None:
    async def use(upstream: Upstream) -> None:
        with pytest.raises(ConnectionFailed):
            await upstream.get("/", seconds=5)
        assert not upstream.idle

    run(answering(answer), use)


def test_more_than_one_answer_is_read_once_and_its_connection_not_kept() -> None:
    async def use(upstream: Upstream) -> None:
        for _ in range(2):
            assert await upstream.get("/", seconds=5) == (200, b"1")
            await asyncio.sleep(0.05)
            assert not upstream.idle

    one = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1"
    assert run(answering(one + one), use) == 2


def test_what_does_not_answer_is_given_up() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def use(upstream: Upstream) -> None:
        with pytest.raises(ConnectionFailed):
            await upstream.get("/", seconds=5)
        with pytest.raises(ConnectionFailed):  # nor takes the body
            await upstream.send("POST", "/", [("content-length", str(10**9))], in_pieces(*[bytes(10**6)] * 30))
        nobody = Upstream(f"http://127.0.0.1:{free_port()}", connect_seconds=2, answer_seconds=1)
        with pytest.raises(NotConnected):
            await nobody.get("/", seconds=5)

    async def unread(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined] # there is no other way
        await handle(reader, writer)

    run(unread, use, seconds=0.2)


def test_a_connection_that_the_other_side_closed_is_not_used_again() -> None:
    one = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1"

    async def use(upstream: Upstream) -> None:
        for _ in range(2):
            assert await upstream.get("/", seconds=5) == (200, b"1")
            await asyncio.sleep(0.05)
        assert not upstream.idle

    assert run(answering(one), use) == 2


def test_an_answer_that_is_not_read_is_not_buffered_as_a_whole() -> None:
    sent = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % 64_000_000)
        for _ in range(64):
            writer.write(bytes(1_000_000))
            await writer.drain()
            sent += 1

    async def use(upstream: Upstream) -> None:
        connection = await upstream.send("GET", "/")
        await connection.head()
        await asyncio.sleep(0.3)
        assert sent < 40 and connection._unread < 3 * BUFFERED_BYTES  # the rest is in the buffers of the system
        assert len(await read_all(connection)) == 64_000_000
        connection.close()
        assert list(upstream.idle) == [connection]

    run(handle, use)
