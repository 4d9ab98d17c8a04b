"""Images by URL: only where the operator allows it, never from an address inside, bounded in bytes and in time.

The name is resolved here, every address is checked, and the connection goes to the address that was checked: a name
that resolves otherwise a moment later (DNS rebinding) changes nothing. Each redirect is checked in the same way.
"""

import asyncio
import ipaddress
import socket
from urllib.parse import urljoin, urlsplit

import httpx

from core.domain.errors import ImageUrlRefused

MAX_REDIRECTS = 3
READ_SECONDS = 10.0  # without a byte; the whole has a limit of its own
_REDIRECTS = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}


async def fetch_image(url: str, *, hosts: frozenset[str], max_bytes: int, seconds: float) -> bytes:
    """`hosts`: names that are allowed, `*` for any of the public network; empty: none.

    Raises ImageUrlRefused.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _follow(url, hosts, max_bytes)
    except TimeoutError as error:
        raise ImageUrlRefused(f"The image did not arrive within {seconds:g} s.", url=url[:500]) from error
    except httpx.HTTPError as error:
        raise ImageUrlRefused(f"The image cannot be fetched: {type(error).__name__}.", url=url[:500]) from error


async def _follow(url: str, hosts: frozenset[str], max_bytes: int) -> bytes:
    async with httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=READ_SECONDS) as client:
        for _ in range(MAX_REDIRECTS + 1):
            address = await _checked_address(url, hosts)
            location, content = await _get(client, url, address, max_bytes)
            if location is None:
                return content
            url = urljoin(url, location)
    raise ImageUrlRefused(f"There are more than {MAX_REDIRECTS} redirects.", url=url[:500])


async def _checked_address(url: str, hosts: frozenset[str]) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise ImageUrlRefused("The URL is malformed.", url=url[:500]) from error
    name = (parts.hostname or "").lower()
    if parts.scheme not in _PORTS or not name or parts.username or parts.password:
        raise ImageUrlRefused("Only http:// and https:// URLs without a user name are fetched.", url=url[:500])
    if "*" not in hosts and name not in hosts:
        detail = f"Images are not fetched from {name[:100]}: its operator can add it to DARKROOM_IMAGE_HOSTS."
        raise ImageUrlRefused(detail, url=url[:500])
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ImageUrlRefused(f"The name {name[:100]} cannot be resolved.", url=url[:500]) from error
    addresses = [str(each[4][0]) for each in found]
    if not addresses or not all(map(is_public, addresses)):
        raise ImageUrlRefused(f"{name[:100]} is an address inside, from which nothing is fetched.", url=url[:500])
    return addresses[0]


def is_public(address: str) -> bool:
    """Neither private, loopback, link-local, multicast, reserved, nor one of these inside an IPv6 address."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo[1] if parsed.teredo else None)
        if inner is not None:
            return is_public(str(inner)) and parsed.ipv4_mapped is not None
        if parsed in ipaddress.ip_network("64:ff9b::/96"):
            return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


async def _get(client: httpx.AsyncClient, url: str, address: str, max_bytes: int) -> tuple[str | None, bytes]:
    """The location of a redirect, or the bytes."""
    parts = urlsplit(url)
    name, port = str(parts.hostname), parts.port
    host = f"[{address}]" if ":" in address else address
    target = parts._replace(netloc=f"{host}:{port}" if port else host).geturl()
    headers = {"host": parts.netloc, "accept": "image/*", "accept-encoding": "identity"}
    request = client.build_request("GET", target, headers=headers, extensions={"sni_hostname": name})
    response = await client.send(request, stream=True)
    try:
        if response.status_code in _REDIRECTS and "location" in response.headers:
            return response.headers["location"], b""
        if response.status_code != 200:
            raise ImageUrlRefused(f"The URL answers {response.status_code}.", url=url[:500])
        content = bytearray()
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > max_bytes:
                raise ImageUrlRefused(f"The image has more than {max_bytes} bytes.", url=url[:500])
        return None, bytes(content)
    finally:
        await response.aclose()
