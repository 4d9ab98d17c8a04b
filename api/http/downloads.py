"""Sending stored objects, whole or as a range, with digest, file name and ETag, or as a signed link."""

import base64
import re
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from api.http.ranges import is_known, range_of
from core.domain.errors import Unavailable
from core.storage import ObjectMissing, ObjectStore
from core.storage.attachment import attachment

NEVER_CHANGES = "private, max-age=31536000, immutable"  # a version, a dataset; private: it may need a token
MAY_CHANGE = "private, no-cache"  # the latest version, an alias: revalidated each time, a 304 is cheap
_OF_304 = ("etag", "cache-control", "content-location")
LINK_SECONDS = 900  # enough to start a download; a started one continues after it


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An object to send. `sha256` is hexadecimal."""

    key: str
    bytes: int
    sha256: str
    media_type: str
    file_name: str
    at: int = 0  # where the file begins, in an object that holds several
    etag: str = ""  # of a file whose own digest is not known: then `sha256` is that of another form of it
    inline: bool = False  # opened in the browser rather than saved; never for a type that can run scripts


def send_stored(
    request: Request,
    store: ObjectStore,
    stored: StoredFile,
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
    requested = None
    if request.method == "GET":  # only GET has ranges: RFC 9110, 14.2
        requested = range_of(request.headers, size=stored.bytes, etag=headers["etag"])
    start, end = requested or (0, stored.bytes - 1)
    headers["content-length"] = str(end - start + 1)
    if requested:
        headers["content-range"] = f"bytes {start}-{end}/{stored.bytes}"
    status = 206 if requested else 200
    if request.method == "HEAD" or stored.bytes == 0:
        return Response(status_code=status, headers=headers, media_type=stored.media_type)
    try:
        chunks = store.open(stored.key, start=stored.at + start, end=stored.at + end)
    except ObjectMissing as error:
        raise Unavailable("The file is missing from the object store.", service="store") from error
    return StreamingResponse(chunks, status_code=status, headers=headers, media_type=stored.media_type)


def file_name(*parts: str) -> str:
    """Parts joined by `-`, safe on every file system: `raccoon-v2-best.pt`."""
    joined = "-".join(part for part in parts if part)
    return re.sub(r"[^\w.()+@ -]+", "_", joined).strip(". ")[:200] or "download"


def inline(name: str) -> str:
    """The Content-Disposition of a file that a browser opens."""
    return attachment(name).replace("attachment", "inline", 1)


def _headers(stored: StoredFile, *, cache: str, location: str | None) -> dict[str, str]:
    headers = {
        "etag": f'"{stored.etag or stored.sha256}"',
        "accept-ranges": "bytes",
        "cache-control": cache,
        "content-disposition": inline(stored.file_name) if stored.inline else attachment(stored.file_name),
    }
    if not stored.etag:
        digest = base64.b64encode(bytes.fromhex(stored.sha256)).decode()
        headers |= {"x-checksum-sha256": stored.sha256, "repr-digest": f"sha-256=:{digest}:"}
    if location:
        headers["content-location"] = location
    return headers
