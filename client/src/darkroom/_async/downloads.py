"""Receives a file, continues after a broken connection, and checks its sha256."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import httpx

from darkroom._async.runtime import in_thread, sleep
from darkroom._async.transport import AsyncTransport, Query
from darkroom._async.work import LONG_POLL_SECONDS
from darkroom.errors import ServiceUnavailable, ServiceUnreachable
from darkroom.files import OnBytes, PartialFile, PathLike, total_of

ACCEPTED = 202
ATTEMPTS = 6  # without a byte of progress
PAUSE_SECONDS = 1.0


async def download(
    transport: AsyncTransport,
    path: str,
    to: PathLike,
    *,
    query: Query | None = None,
    sha256: str = "",
    on_bytes: OnBytes | None = None,
) -> Path:
    """The file, at `to` or under its own name in the folder `to`. `sha256`: by default what the service says it is.

    Where it is interrupted, or the service does not answer any more, the part that has arrived stays beside its place
    (`.part`), and the next call continues it if the file is still the same. After any other failure nothing is left.
    """
    file = PartialFile(to)
    try:
        return await _received(transport, path, file, query=query, sha256=sha256, on_bytes=on_bytes)
    except (ServiceUnreachable, ServiceUnavailable):
        file.release()
        raise
    except Exception:  # of whatever kind: what has arrived is not known to be right, and the error goes on
        file.discard()
        raise
    except BaseException:  # interrupted
        file.release()
        raise


async def download_when_written(
    transport: AsyncTransport, path: str, to: PathLike, *, query: Query | None = None, on_bytes: OnBytes | None = None
) -> Path:
    """As `download`, of a file that the service writes when it is first requested: waits until it is there."""
    while True:
        async with transport.stream(path, query={**(query or {}), "wait": LONG_POLL_SECONDS}) as response:
            if response.status_code != ACCEPTED:
                break
    return await download(transport, path, to, query=query, on_bytes=on_bytes)


async def _received(
    transport: AsyncTransport,
    path: str,
    file: PartialFile,
    *,
    query: Query | None,
    sha256: str,
    on_bytes: OnBytes | None,
) -> Path:
    failures = 0
    while True:
        before = file.received
        try:
            async with transport.stream(path, query=query, headers=file.range_headers()) as response:
                whole = sha256 or response.headers.get("x-checksum-sha256", "")
                if not await in_thread(partial(file.begin, response, whole)):
                    if file.received == total_of(response):
                        return file.complete(whole)
                    continue
                async for chunk in response.aiter_bytes():
                    file.write(chunk)
                    if on_bytes:
                        on_bytes(file.received, total_of(response))
            return file.complete(whole)
        except httpx.TransportError as error:
            failures = 0 if file.received > before else failures + 1
            if failures == ATTEMPTS:
                raise transport.unreachable(error) from error
        await sleep(PAUSE_SECONDS)
