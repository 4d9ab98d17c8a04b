"""Images by URL from real servers: 127.0.0.2 stands for the public network, 127.0.0.1 for what is inside."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from core.domain.errors import ImageUrlRefused
from core.settings import Settings
from http_common import remote_address
from http_common.remote_address import Network
from http_common.remote_images import fetch_image

OUTSIDE, INSIDE = "127.0.0.2", "127.0.0.1"
IMAGE = b"\xff\xd8 an image"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: image/jpeg\r\n"
GOOD = HEAD + b"content-length: %d\r\n\r\n" % len(IMAGE) + IMAGE
Answer = Callable[[bytes], AsyncIterator[bytes]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[str]]]:
    """The addresses of a name, one a look-up; the last one stays. Others are resolved as ever."""
    table: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def resolve(name: str, port: int, *args: Any, **options: Any) -> Any:
        known = table.get(name)
        address = (known.pop(0) if len(known) > 1 else known[0]) if known else name
        return real(address, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(remote_address, "is_public", lambda address: address == OUTSIDE)
    yield table


@asynccontextmanager
async def server(address: str, answer: bytes | Answer, requests: list[bytes]) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        requests.append(head)
        try:
            if isinstance(answer, bytes):
                writer.write(answer)
            else:
                async for piece in answer(head):
                    writer.write(piece)
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(handle, address, 0) as opened:
        yield opened.sockets[0].getsockname()[1]


def fetched(answer: bytes | Answer, path: str = "/a.jpg", *, seconds: float = 5, max_bytes: int = 1000) -> bytes:
    async def run() -> bytes:
        async with server(OUTSIDE, answer, []) as port:
            hosts = frozenset({f"images.example:{port}"})
            url = f"http://images.example:{port}{path}"
            return await fetch_image(url, hosts=hosts, max_bytes=max_bytes, seconds=seconds)

    return asyncio.run(run())


def test_a_name_that_changes_its_address_is_fetched_from_the_address_that_was_checked(
    names: dict[str, list[str]],
) -> None:
    names["images.example"] = [OUTSIDE, INSIDE]
    outside: list[bytes] = []
    inside: list[bytes] = []

    async def run() -> bytes:
        async with server(OUTSIDE, GOOD, outside) as port, server_at(INSIDE, port, inside):
            hosts = frozenset({f"images.example:{port}"})
            return await fetch_image(f"http://images.example:{port}/", hosts=hosts, max_bytes=1000, seconds=5)

    assert asyncio.run(run()) == IMAGE
    assert inside == [] and b"host: images.example:" in outside[0].lower()


@asynccontextmanager
async def server_at(address: str, port: int, requests: list[bytes]) -> AsyncIterator[None]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.read(1000))
        writer.close()

    async with await asyncio.start_server(handle, address, port):
        yield


def test_a_host_that_is_named_may_be_in_a_network_that_is_named_and_any_other_host_may_not(
    names: dict[str, list[str]],
) -> None:
    names |= {"nas.example": [INSIDE], "other.example": [INSIDE]}
    networks = Settings(private_networks=INSIDE).named_networks

    async def run(host: str, given: Sequence[Network]) -> bytes:
        async with server(INSIDE, GOOD, []) as port:
            hosts = frozenset({f"nas.example:{port}", "*"})
            url = f"http://{host}:{port}/" if host == "nas.example" else f"http://{host}/"
            return await fetch_image(url, hosts=hosts, networks=given, max_bytes=1000, seconds=5)

    assert asyncio.run(run("nas.example", networks)) == IMAGE
    for host, given in (("nas.example", ()), ("other.example", networks), (INSIDE, networks)):
        with pytest.raises(ImageUrlRefused, match=r"is an address inside.*DARKROOM_PRIVATE_NETWORKS"):
            asyncio.run(run(host, given))


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        (
            "http://inside.example/a.jpg?signature=x",
            "redirects to http://inside.example/a.jpg: inside.example is an add",
        ),
        (f"http://{INSIDE}/a.jpg", "is an address inside"),
        ("http://2130706433/", "is an address inside"),
        ("http://0x7f.1/", "is an address inside"),
        ("http://[::1]/", "is an address inside"),
        ("http://[::ffff:127.0.0.1]/", "is an address inside"),
        ("http://[fe80::1%25lo]/", "is an address inside|cannot be resolved"),
        ("http://images.example:22/", "not fetched from images.example:22"),
        ("http://user@images.example/", "without a user name"),
        ("//user:secret@images.example/", "without a user name"),
        ("ftp://images.example/", "Only http"),
        ("http://[", "cannot be fetched"),
        ("/again", "more than 3 redirects"),
    ],
)
def test_a_redirect_is_checked_as_the_url_is(names: dict[str, list[str]], location: str, reason: str) -> None:
    names |= {"images.example": [OUTSIDE], "inside.example": [INSIDE]}
    redirect = b"HTTP/1.1 302 Found\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n" % location.encode()

    async def run() -> None:
        async with server(OUTSIDE, redirect, []) as port:
            hosts = frozenset({f"images.example:{port}", "*"})
            await fetch_image(f"http://images.example:{port}/", hosts=hosts, max_bytes=1000, seconds=5)

    with pytest.raises(ImageUrlRefused, match=reason):
        asyncio.run(run())


@pytest.mark.parametrize(
    "host",
    [
        *("0177.0.0.1", "2130706433", "0x7f000001", "[fd00::1]", "[64:ff9b::7f00:1]", "localhost"),
        *("168.63.129.16", "192.0.0.192", "[fec0::1]", "[64:ff9b:1::7f00:1]", "[::ffff:192.0.0.192]"),
    ],
)
def test_an_address_inside_is_refused_in_each_of_its_forms(host: str) -> None:
    with pytest.raises(ImageUrlRefused, match="is an address inside"):
        asyncio.run(fetch_image(f"http://{host}/", hosts=frozenset({"*"}), max_bytes=10, seconds=2))


async def slowly(_: bytes) -> AsyncIterator[bytes]:
    yield HEAD + b"\r\n"
    while True:
        yield b"\xff"
        await asyncio.sleep(0.01)


async def without_end(_: bytes) -> AsyncIterator[bytes]:
    yield HEAD + b"\r\n"
    while True:
        yield bytes(64 * 1024)


async def never(_: bytes) -> AsyncIterator[bytes]:
    await asyncio.sleep(30)
    yield b""


async def headers_without_end(_: bytes) -> AsyncIterator[bytes]:
    yield HEAD
    while True:
        yield b"x: y\r\n" * 1000


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (slowly, "did not arrive within 0.5 s"),
        (never, "did not arrive within 0.5 s"),
        (without_end, "more than 1000 bytes"),
        (headers_without_end, "cannot be fetched: RemoteProtocolError"),
        (HEAD + b"content-length: 2000\r\n\r\n", "more than 1000 bytes"),
        (HEAD + b"content-length: 50\r\n\r\nshort", "cannot be fetched: RemoteProtocolError"),
        (HEAD + b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x8b", "compressed bytes .'gzip'"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 0\r\n\r\n", "'text/html', which is no image"),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "answers 404"),
        (b"no HTTP at all\r\n\r\n", "cannot be fetched: RemoteProtocolError"),
    ],
)
def test_what_a_server_may_send_is_bounded(names: dict[str, list[str]], answer: bytes | Answer, reason: str) -> None:
    names["images.example"] = [OUTSIDE]
    with pytest.raises(ImageUrlRefused, match=reason):
        fetched(answer, seconds=0.5)


def test_odd_urls_are_fetched_or_refused_by_name(names: dict[str, list[str]]) -> None:
    names |= {"images.example": [OUTSIDE], "xn--bcher-kva.example": [OUTSIDE]}
    assert fetched(GOOD, "/ä ö.jpg?x=é") == IMAGE
    hosts = frozenset({"*"})
    for url in ("http://bücher.example/\x01", "http://" + "a" * 300 + ".example/", "http://a..b/", "http://\ud800/"):
        with pytest.raises(ImageUrlRefused):
            asyncio.run(fetch_image(url, hosts=hosts, max_bytes=10, seconds=0.2))


def test_the_next_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_address, "is_public", lambda _: True)
    monkeypatch.setattr(remote_address, "resolved", lambda *_: ("127.0.0.3", OUTSIDE))
    assert fetched(GOOD) == IMAGE


def test_bytes_are_counted_as_they_arrive() -> None:
    counted: list[int] = []

    async def run() -> bytes:
        async with server(OUTSIDE, GOOD, []) as port:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(remote_address, "is_public", lambda _: True)
                url = f"http://{OUTSIDE}:{port}/"
                hosts = frozenset({f"{OUTSIDE}:{port}"})
                return await fetch_image(url, hosts=hosts, max_bytes=99, seconds=5, received=counted.append)

    assert asyncio.run(run()) == IMAGE and sum(counted) == len(IMAGE)
