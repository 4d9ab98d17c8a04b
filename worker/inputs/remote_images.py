"""Images by URL into a folder, some at once; each that is not fetched has its reason in the list beside them."""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from core.domain.errors import ImageUrlRefused
from core.storage.free_space import require_free
from http_common.remote_address import Network
from http_common.remote_images import fetch_image
from pipeline.process.specs import FETCHED_FILE

AT_ONCE = 8


def fetch_images(
    urls: Sequence[str],
    folder: Path,
    *,
    hosts: frozenset[str],
    networks: Sequence[Network],
    max_bytes: int,
    seconds: float,
    reserve_bytes: int,
    tick: Callable[[int, int], None],
) -> None:
    """As `http_common.remote_images.fetch_image` for each. `tick(done, total)` may raise to stop. Raises OutOfSpace."""
    folder.mkdir()
    with (folder / FETCHED_FILE).open("w", encoding="utf-8") as listed:
        for start in range(0, len(urls), AT_ONCE):
            tick(start, len(urls))
            require_free(folder, AT_ONCE * max_bytes, reserve_bytes=reserve_bytes)
            some = urls[start : start + AT_ONCE]
            for number, (url, found) in enumerate(
                zip(some, asyncio.run(_fetched(some, hosts, networks, max_bytes, seconds)), strict=True), start=start
            ):
                listed.write(json.dumps({"url": url, "name": name_of(url), **_kept(folder, number, found)}) + "\n")
    tick(len(urls), len(urls))


def name_of(url: str) -> str:
    """The last part of its path, printable; `image` where there is none."""
    try:
        path = unquote(urlsplit(url).path, errors="replace")
    except ValueError:
        return "image"
    printable = "".join(char for char in PurePosixPath(path).name if char.isprintable())
    return re.sub(r"\s+", " ", printable).strip()[:200] or "image"


async def _fetched(
    urls: Sequence[str], hosts: frozenset[str], networks: Sequence[Network], max_bytes: int, seconds: float
) -> list[bytes | ImageUrlRefused]:
    async def one(url: str) -> bytes | ImageUrlRefused:
        try:
            return await fetch_image(url, hosts=hosts, networks=networks, max_bytes=max_bytes, seconds=seconds)
        except ImageUrlRefused as error:
            return error

    return list(await asyncio.gather(*map(one, urls)))


def _kept(folder: Path, number: int, found: bytes | ImageUrlRefused) -> dict[str, str]:
    if isinstance(found, ImageUrlRefused):
        return {"error": found.detail}
    file = f"{number:06d}"
    (folder / file).write_bytes(found)
    return {"file": file}
