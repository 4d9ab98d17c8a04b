"""The headers of the tus protocol 1.0.0 (https://tus.io/protocols/resumable-upload), read and written."""

import base64
import hashlib
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import NamedTuple

from core.db.tables import UploadRow
from core.domain.errors import MediaTypeUnsupported, RequestInvalid, TusVersionUnsupported, UploadInvalid
from core.domain.field_errors import meant
from core.services.uploads.sessions import DONE
from core.settings import Settings
from http_common.unknown import unknown_names

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,termination,expiration"
CHECKSUMS = ("sha256", "sha1")  # the protocol requires sha1
CHUNK_TYPE = "application/offset+octet-stream"
OWN_METADATA = ("filename", "name", "project", "extends", "sha256")
_UNSUPPORTED = {
    "Upload-Concat": "Concatenation of partial uploads is not supported: send the ZIP as one upload (in tus-js-client "
    "`parallelUploads: 1`).",
    "Upload-Defer-Length": "An upload of unknown length is not supported, because its size is checked before its first "
    "byte: send Upload-Length.",
}
_MAX_METADATA = 16 * 1024


class Checksum(NamedTuple):
    algorithm: str
    digest: bytes

    def matches(self, digests: Mapping[str, bytes]) -> bool:
        return digests[self.algorithm] == self.digest


class HeaderInvalid(Exception):
    """A header that cannot be parsed. `message` describes the expected value."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        self.message = message
        super().__init__(name)


def require_version(headers: Mapping[str, str]) -> None:
    if headers.get("tus-resumable") != VERSION:
        raise TusVersionUnsupported(f"Send the header `Tus-Resumable: {VERSION}`.")


def refuse_unsupported(headers: Mapping[str, str]) -> None:
    """Raises RequestInvalid for the header of an extension that is not in EXTENSIONS."""
    for name, reason in _UNSUPPORTED.items():
        if name.lower() in headers:
            raise RequestInvalid(reason, errors=[{"field": name, "message": reason}])


def require_chunk(headers: Mapping[str, str]) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != CHUNK_TYPE:
        raise MediaTypeUnsupported(
            f"Send a chunk of an upload with the content type {CHUNK_TYPE}.", content_type=kind[:100]
        )


def carries_chunk(headers: Mapping[str, str], *, length: int) -> bool:
    """Whether the request that starts an upload of `length` bytes has the first of them in its body.

    Raises MediaTypeUnsupported for a body of another type: its bytes would be lost. Raises UploadInvalid for more bytes
    than `length`.
    """
    announced = headers.get("content-length", "0")
    size = int(announced) if announced.isdigit() else 0
    if size == 0 and "transfer-encoding" not in headers:
        return False
    require_chunk(headers)
    if size > length:
        raise UploadInvalid(f"The body exceeds the {length} bytes that were announced as Upload-Length.", length=length)
    return True


def whole_number(headers: Mapping[str, str], name: str) -> int:
    """Raises HeaderInvalid."""
    given = headers.get(name.lower(), "")
    if not re.fullmatch(r"[0-9]{1,15}", given):
        raise HeaderInvalid(name, "expected a whole number of bytes")
    return int(given)


def read_metadata(headers: Mapping[str, str], *, options: Collection[str]) -> dict[str, str]:
    """The pairs of `name base64, name base64, ...` that are OWN_METADATA or options.

    Clients may send metadata of their own, which is ignored. Raises HeaderInvalid, and RequestInvalid for a misspelled
    option.
    """
    given = headers.get("upload-metadata", "")
    if not given.isascii():
        raise HeaderInvalid("Upload-Metadata", "names and values are ASCII, values in base64")
    if len(given) > _MAX_METADATA:
        raise HeaderInvalid("Upload-Metadata", f"exceeds the limit of {_MAX_METADATA} bytes")
    pairs: dict[str, str] = {}
    for pair in filter(None, (pair.strip() for pair in given.split(","))):
        name, _, value = pair.partition(" ")
        if name in pairs:
            raise HeaderInvalid("Upload-Metadata", f"{name[:80]!r} occurs twice")
        pairs[name] = ""
        if name not in OWN_METADATA and name not in options:
            if meant(name, options):
                raise unknown_names("field", [name], options)
            continue
        try:
            pairs[name] = base64.b64decode(value.strip(), validate=True).decode()
        except ValueError as error:  # no base64, no UTF-8, or no ASCII
            raise HeaderInvalid("Upload-Metadata", f"the value of {name[:80]!r} is not UTF-8 text in base64") from error
    return {name: value for name, value in pairs.items() if name in OWN_METADATA or name in options}


def read_checksum(headers: Mapping[str, str]) -> Checksum | None:
    """Raises HeaderInvalid."""
    if (given := headers.get("upload-checksum")) is None:
        return None
    algorithm, _, value = given.partition(" ")
    try:
        digest = base64.b64decode(value.strip(), validate=True)
    except ValueError as error:  # no base64, or no ASCII
        raise HeaderInvalid("Upload-Checksum", "expected `<algorithm> <base64>`") from error
    if algorithm not in CHECKSUMS or len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise HeaderInvalid("Upload-Checksum", f"expected a digest of {' or '.join(CHECKSUMS)}, in base64")
    return Checksum(algorithm, digest)


def capabilities(settings: Settings) -> dict[str, str]:
    """The headers that answer OPTIONS."""
    return {
        "tus-resumable": VERSION,
        "tus-version": VERSION,
        "tus-extension": EXTENSIONS,
        "tus-checksum-algorithm": ",".join(CHECKSUMS),
        "tus-max-size": str(settings.upload_max_bytes),
    }


def describe(row: UploadRow) -> dict[str, str]:
    """The headers that answer HEAD and, with the new offset, PATCH."""
    headers = {
        "cache-control": "no-store",
        "upload-offset": str(row.received_bytes),
        "upload-length": str(row.length_bytes),
        "upload-expires": format_datetime(datetime.fromtimestamp(row.expires_at, UTC), usegmt=True),
    }
    if row.client_metadata:  # as it was sent: the protocol has HEAD return it
        headers["upload-metadata"] = row.client_metadata
    return headers | ({"darkroom-job-id": row.job_id} if row.state == DONE else {})
