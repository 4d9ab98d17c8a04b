"""Sending stored objects: whole or a range, with a digest, a name and an ETag; or a signed link to them."""

import base64
import re
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from api.http.ranges import is_known, range_of
from core.domain.errors import Unavailable
from core.storage import ObjectMissing, ObjectStore
from core.storage.attachment import attachment

NEVER_CHANGES = "private, max-age=31536000, immutable"  # a version, a dataset; private: a token may guard it
MAY_CHANGE = "private, no-cache"  # latest, an alias: ask again, a 304 costs nothing
_OF_304 = ("etag", "cache-control", "content-location")
LINK_SECONDS = 900  # long enough to begin a download; one that has begun goes on


@dataclass(frozen=True, slots=True)
class Stored:
    """An object to send. `sha256` is hexadecimal."""

    key: str
    bytes: int
    sha256: str
    media_type: str
    file_name: str
    inline: bool = False  # shown rather than saved, where the browser can; never for a type that runs anything


def send_stored(
    request: Request,
    store: ObjectStore,
    stored: Stored,
    *,
    cache: str = NEVER_CHANGES,
    location: str | None = None,
    as_link: bool = False,
) -> Response:
    """Answer GET or HEAD. Raises RangeInvalid, Unavailable."""
    if (
        as_link
        and request.method == "GET"
        and (url := store.link(stored.key, seconds=LINK_SECONDS, file_name=stored.file_name))
    ):
        return RedirectResponse(url, status_code=307, headers={"cache-control": "no-store"})
    headers = _headers(stored, cache=cache, location=location)
    if is_known(request.headers, headers["etag"]):
        kept = {name: value for name, value in headers.items() if name in _OF_304}
        return Response(status_code=304, headers=kept)
    # Only GET has ranges: RFC 9110, 14.2.
    asked = request.method == "GET"
    wanted = range_of(request.headers, size=stored.bytes, etag=headers["etag"]) if asked else None
    start, end = wanted or (0, stored.bytes - 1)
    headers["content-length"] = str(end - start + 1)
    if wanted:
        headers["content-range"] = f"bytes {start}-{end}/{stored.bytes}"
    status = 206 if wanted else 200
    if request.method == "HEAD" or stored.bytes == 0:
        return Response(status_code=status, headers=headers, media_type=stored.media_type)
    try:
        chunks = store.open(stored.key, start=start, end=end)
    except ObjectMissing as error:
        raise Unavailable("The object store does not have this file.", service="store") from error
    return StreamingResponse(chunks, status_code=status, headers=headers, media_type=stored.media_type)


def file_name(*parts: str) -> str:
    """Parts joined by `-`, safe on every file system: `raccoon-v2-best.pt`."""
    joined = "-".join(part for part in parts if part)
    return re.sub(r"[^\w.()+@ -]+", "_", joined).strip(". ")[:200] or "download"


def _headers(stored: Stored, *, cache: str, location: str | None) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(stored.sha256)).decode()
    disposition = attachment(stored.file_name)
    if stored.inline:
        disposition = disposition.replace("attachment", "inline", 1)
    headers = {
        "etag": f'"{stored.sha256}"',
        "accept-ranges": "bytes",
        "cache-control": cache,
        "content-disposition": disposition,
        "x-checksum-sha256": stored.sha256,
        "repr-digest": f"sha-256=:{digest}:",
    }
    if location:
        headers["content-location"] = location
    return headers
