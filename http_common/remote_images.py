"""Images by URL: only where the operator allows it, never from an address inside, bounded in bytes and in time.

The name is resolved here, every address is checked, and the connection goes to the address that was checked: a name
that resolves otherwise a moment later (DNS rebinding) changes nothing. Each redirect is checked in the same way.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, urljoin, urlsplit

import httpx

from core.domain.errors import ImageUrlRefused

MAX_REDIRECTS = 3
READ_SECONDS = 10.0  # without a byte; the whole has a limit of its own
MAX_ADDRESSES = 4  # of a name: the next one is tried where one does not accept the connection
RESOLVERS = 8  # names that are resolved at once: slow ones keep no other thread of the process
_REDIRECTS = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}
_TYPES = ("image/", "application/octet-stream", "binary/octet-stream")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class _Target:
    """A URL that may be fetched, from one of these addresses. `name`: ASCII, as in certificates."""

    parts: SplitResult
    name: str
    port: int
    addresses: tuple[str, ...]

    @property
    def host(self) -> str:
        """The value of the header."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port == _PORTS[self.parts.scheme] else f"{name}:{self.port}"


async def fetch_image(
    url: str,
    *,
    hosts: frozenset[str],
    max_bytes: int,
    seconds: float,
    received: Callable[[int], object] = lambda _: None,
) -> bytes:
    """`hosts`: names that are allowed, on ports 80 and 443, or `name:port`; `*` for any of the public network; empty:
    none. `received` gets the size of each piece as it arrives, and may raise.

    Raises ImageUrlRefused.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _follow(url, hosts, max_bytes, received)
    except TimeoutError as error:
        raise ImageUrlRefused(f"The image did not arrive within {seconds:g} s.", url=url[:500]) from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise ImageUrlRefused(f"The image cannot be fetched: {type(error).__name__}.", url=url[:500]) from error


def is_public(address: str) -> bool:
    """Neither private, loopback, link-local, multicast, reserved, nor one that leads to an IPv4 address by a tunnel."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return is_public(str(parsed.ipv4_mapped))
        if parsed.sixtofour or parsed.teredo or parsed in _NAT64:
            return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


async def _follow(url: str, hosts: frozenset[str], max_bytes: int, received: Callable[[int], object]) -> bytes:
    # No connection is kept: one to the same address under another name would have the certificate of the first.
    limits = httpx.Limits(max_keepalive_connections=0)
    timeout = httpx.Timeout(READ_SECONDS)
    async with httpx.AsyncClient(trust_env=False, verify=_certificates(), limits=limits, timeout=timeout) as client:
        for _ in range(MAX_REDIRECTS + 1):
            target = await _checked(url, hosts)
            location, content = await _get(client, target, max_bytes, received)
            if location is None:
                return content
            following = urljoin(url, location)
            if url.lower().startswith("https:") and not following.lower().startswith("https:"):
                raise ImageUrlRefused("The URL redirects from HTTPS to another scheme.", url=url[:500])
            url = following
    raise ImageUrlRefused(f"There are more than {MAX_REDIRECTS} redirects.", url=url[:500])


async def _checked(url: str, hosts: frozenset[str]) -> _Target:
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
        name = _ascii(parts.hostname or "")
    except ValueError as error:
        raise ImageUrlRefused("The URL is malformed.", url=url[:500]) from error
    if parts.scheme not in _PORTS or not name or "@" in parts.netloc:
        raise ImageUrlRefused("Only http:// and https:// URLs without a user name are fetched.", url=url[:500])
    usual = port in _PORTS.values()
    if f"{name}:{port}" not in hosts and not (usual and ("*" in hosts or name in hosts)):
        wanted = name[:100] if usual else f"{name[:100]}:{port}"
        detail = f"Images are not fetched from {wanted}: its operator can add it to DARKROOM_IMAGE_HOSTS."
        raise ImageUrlRefused(detail, url=url[:500])
    try:
        addresses = await asyncio.get_running_loop().run_in_executor(_resolvers(), _resolved, name, port)
    except (OSError, UnicodeError) as error:
        raise ImageUrlRefused(f"The name {name[:100]} cannot be resolved.", url=url[:500]) from error
    if not addresses or not all(map(is_public, addresses)):
        raise ImageUrlRefused(f"{name[:100]} is an address inside, from which nothing is fetched.", url=url[:500])
    return _Target(parts, name, port, addresses[:MAX_ADDRESSES])


def _ascii(name: str) -> str:
    return name.lower() if name.isascii() else name.encode("idna").decode()


def _resolved(name: str, port: int) -> tuple[str, ...]:
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))


async def _get(
    client: httpx.AsyncClient, target: _Target, max_bytes: int, received: Callable[[int], object]
) -> tuple[str | None, bytes]:
    """The location of a redirect, or the bytes."""
    response = await _answer(client, target)
    url = target.parts.geturl()[:500]
    try:
        if response.status_code in _REDIRECTS and "location" in response.headers:
            return response.headers["location"], b""
        _require_image(response, max_bytes, url)
        content = bytearray()
        async for chunk in response.aiter_raw():  # as it is sent: nothing is decompressed
            if len(content) + len(chunk) > max_bytes:
                raise _too_large(max_bytes, url)
            received(len(chunk))
            content += chunk
        return None, bytes(content)
    finally:
        await response.aclose()


async def _answer(client: httpx.AsyncClient, target: _Target) -> httpx.Response:
    headers = {"host": target.host, "accept": "image/*", "accept-encoding": "identity"}
    failure: httpx.HTTPError | None = None
    for address in target.addresses:
        host = f"[{address}]" if ":" in address else address
        url = target.parts._replace(netloc=f"{host}:{target.port}").geturl()
        request = client.build_request("GET", url, headers=headers, extensions={"sni_hostname": target.name})
        try:
            return await client.send(request, stream=True, follow_redirects=False)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            failure = error
    raise failure or httpx.ConnectError("The name has no address.")


def _require_image(response: httpx.Response, max_bytes: int, url: str) -> None:
    if response.status_code != 200:
        raise ImageUrlRefused(f"The URL answers {response.status_code}.", url=url)
    kind = response.headers.get("content-type", "image/").partition(";")[0].strip().lower()
    if not kind.startswith(_TYPES):
        raise ImageUrlRefused(f"The URL answers {kind[:80]!r}, which is no image.", url=url)
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise ImageUrlRefused(f"The URL answers compressed bytes ({encoding[:40]!r}).", url=url)
    announced = response.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(max_bytes, url)


def _too_large(max_bytes: int, url: str) -> ImageUrlRefused:
    return ImageUrlRefused(f"The image has more than {max_bytes} bytes.", url=url)


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)  # 20 ms, once


@lru_cache(maxsize=1)
def _resolvers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolve")
