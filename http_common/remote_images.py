"""Images by URL: only where the operator allows it, never from an address inside, bounded in bytes and in time."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from urllib.parse import urljoin

import httpx

from core.domain.errors import ImageUrlRefused
from http_common.remote_address import (
    REDIRECTS,
    Network,
    RemoteName,
    UrlRefused,
    allowed_addresses,
    certificates,
    is_written_inside,
    leaves_tls,
    remote_name,
    request_at,
)

MAX_REDIRECTS = 3
READ_SECONDS = 10.0  # without a byte; the whole has a limit of its own
RESOLVERS = 8  # names that are resolved at once: slow ones keep no other thread of the process
_SEND_IT = "send the image itself"
_TYPES = ("image/", "application/octet-stream", "binary/octet-stream")


async def fetch_image(
    url: str,
    *,
    hosts: frozenset[str],
    max_bytes: int,
    seconds: float,
    networks: Sequence[Network] = (),
    received: Callable[[int], object] = lambda _: None,
) -> bytes:
    """`hosts`: as of `RemoteName.is_allowed`; those that are named may be in `networks`, which are private. `received`
    gets the size of each piece as it arrives, and may raise.

    Raises ImageUrlRefused.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _follow(url, hosts, networks, max_bytes, received)
    except TimeoutError as error:
        detail = f"The image did not arrive within {seconds:g} s. Try again later, or {_SEND_IT}."
        raise ImageUrlRefused(detail, url=url[:500]) from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        detail = f"The image cannot be fetched: {_failure(error)}. Check its address, or {_SEND_IT}."
        raise ImageUrlRefused(detail, url=url[:500]) from error


def urls_refused(url: str) -> ImageUrlRefused:
    """Where the operator allows no host at all."""
    try:
        remote = remote_name(url)
    except UrlRefused as error:
        return ImageUrlRefused(f"{error} Otherwise {_SEND_IT}.", url=url[:500])
    detail = f"Images are not fetched from URLs here: {_SEND_IT}, or the operator can add {_settings_for(remote)}."
    return ImageUrlRefused(detail, url=url[:500])


def _settings_for(remote: RemoteName) -> str:
    """What allows its host."""
    network = " and its network to DARKROOM_PRIVATE_NETWORKS" if is_written_inside(remote.name) else ""
    return f"{remote.for_operator} to DARKROOM_IMAGE_HOSTS{network}"


def _failure(error: Exception) -> str:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return "its certificate is not valid" if "CERTIFICATE" in str(error) else "nothing accepts the connection"
    return type(error).__name__


async def _follow(
    url: str, hosts: frozenset[str], networks: Sequence[Network], max_bytes: int, received: Callable[[int], object]
) -> bytes:
    # No connection is kept: one to the same address under another name would have the certificate of the first.
    limits = httpx.Limits(max_keepalive_connections=0)
    timeout = httpx.Timeout(READ_SECONDS)
    async with httpx.AsyncClient(trust_env=False, verify=certificates(), limits=limits, timeout=timeout) as client:
        for count in range(MAX_REDIRECTS + 1):
            try:
                remote, addresses = await _checked(url, hosts, networks)
            except UrlRefused as error:
                place = url.partition("?")[0][:200]  # what follows may be a signature
                redirected = f"The URL redirects to {place}: " if count else ""
                raise ImageUrlRefused(f"{redirected}{error} Otherwise {_SEND_IT}.", url=url[:500]) from error
            location, content = await _get(client, remote, addresses, max_bytes, received)
            if location is None:
                return content
            following = urljoin(url, location)
            if leaves_tls(url, following):
                raise ImageUrlRefused("The URL redirects from HTTPS to another scheme.", url=url[:500])
            url = following
    raise ImageUrlRefused(f"There are more than {MAX_REDIRECTS} redirects.", url=url[:500])


async def _checked(url: str, hosts: frozenset[str], networks: Sequence[Network]) -> tuple[RemoteName, tuple[str, ...]]:
    """Raises UrlRefused."""
    remote = remote_name(url)
    if not remote.is_allowed(hosts):
        where = remote.for_operator
        raise UrlRefused(f"Images are not fetched from {where}: the operator can add {_settings_for(remote)}.")
    inside = networks if remote.is_named(hosts) else ()
    return remote, await asyncio.get_running_loop().run_in_executor(_resolvers(), allowed_addresses, remote, inside)


async def _get(
    client: httpx.AsyncClient,
    remote: RemoteName,
    addresses: tuple[str, ...],
    max_bytes: int,
    received: Callable[[int], object],
) -> tuple[str | None, bytes]:
    """The location of a redirect, or the bytes."""
    response = await _answer(client, remote, addresses)
    url = remote.parts.geturl()[:500]
    try:
        if response.status_code in REDIRECTS and "location" in response.headers:
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


async def _answer(client: httpx.AsyncClient, remote: RemoteName, addresses: tuple[str, ...]) -> httpx.Response:
    failure: httpx.HTTPError | None = None
    for address in addresses:
        request = client.build_request(**request_at(address, remote, {"accept": "image/*"}))
        try:
            return await client.send(request, stream=True, follow_redirects=False)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            failure = error
    raise failure or httpx.ConnectError("The name has no address.")


def _require_image(response: httpx.Response, max_bytes: int, url: str) -> None:
    if response.status_code != 200:
        raise ImageUrlRefused(f"The URL answers {response.status_code}. Check it, or {_SEND_IT}.", url=url)
    kind = response.headers.get("content-type", "image/").partition(";")[0].strip().lower()
    if not kind.startswith(_TYPES):
        detail = f"The URL answers {kind[:80]!r}, which is no image: name the image, not the page that shows it."
        raise ImageUrlRefused(detail, url=url)
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        detail = f"The URL answers compressed bytes ({encoding[:40]!r}), which are not read: {_SEND_IT}."
        raise ImageUrlRefused(detail, url=url)
    announced = response.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(max_bytes, url)


def _too_large(max_bytes: int, url: str) -> ImageUrlRefused:
    detail = f"The image has more than {max_bytes} bytes, the limit of this service (DARKROOM_IMAGE_MAX_BYTES)."
    return ImageUrlRefused(detail, url=url)


@lru_cache(maxsize=1)
def _resolvers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolve")
