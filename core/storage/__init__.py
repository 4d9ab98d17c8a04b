"""The object store: keys are remote, paths are local, links are for people.

Two implementations of one protocol: a directory (`folder.py`) and S3 (`s3*.py`, the only files that import boto3).
A published key is written once. `ObjectMissing`, `ObjectExists` and `ObjectCorrupt` are for programs and never reach a
user; a user may get `Unavailable` and `OutOfSpace` of the domain.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from core.settings import Settings

__all__ = [
    "CHUNK_BYTES",
    "ObjectCorrupt",
    "ObjectExists",
    "ObjectMissing",
    "ObjectStore",
    "StoredObject",
    "checked_key",
    "checked_prefix",
    "open_store",
]

CHUNK_BYTES = 1024**2  # of an object in memory, per reader
KEY_MAX_BYTES = 1024  # S3's limit
PART_MAX_BYTES = 240  # a file name has 255 on ext4, APFS and NTFS; the directory store adds a suffix


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in the store. `sha256` is hexadecimal, empty where another program wrote the object."""

    key: str
    bytes: int
    sha256: str


class ObjectMissing(Exception):
    """The key names no object."""


class ObjectExists(Exception):
    """The key names an object with other bytes, and keys are written once."""


class ObjectCorrupt(Exception):
    """The bytes do not have the expected sha256."""


class ObjectStore(Protocol):
    """All methods raise `Unavailable` when the store does not answer (its subclass `StoreRefused` when the store denies
    access or the bucket does not exist) and `ValueError` for a malformed key.

    A key is relative, with `/` between its parts, and is never also the folder of another key.
    """

    def put(
        self, key: str, path: Path, *, sha256: str | None = None, media_type: str = "application/octet-stream"
    ) -> StoredObject:
        """Store a local file: the whole object appears, or nothing does.

        The same bytes may be put again. Raises `ObjectExists` for other bytes under a key that exists, `ObjectCorrupt`
        when the file's digest turns out not to be `sha256`, and `OutOfSpace`.
        Two puts of one key at the same moment are exclusive only where the store supports it (a directory, S3 with
        conditional writes): the guarantee is the unique key of a row.
        """

    def take(
        self, key: str, path: Path, *, sha256: str | None = None, media_type: str = "application/octet-stream"
    ) -> StoredObject:
        """As `put`, for a file that nobody writes to any more: a store may keep that very file, under a second name.

        The file may become read-only, its time may become now. It may be read, renamed and removed afterwards, never
        written to. A file that has another name already, such as a lent one, is copied.
        """

    def join(
        self, key: str, parts: Sequence[StoredObject], *, sha256: str | None, media_type: str, scratch: Path
    ) -> StoredObject:
        """Store one object made of the bytes of others, in their order; they stay. Like `put`: all or nothing.

        `scratch` is a local folder with room for the whole; a store may not need it. Raises `ObjectMissing`,
        `ObjectCorrupt` (a part has changed, or the whole does not have `sha256`), `ObjectExists`, `OutOfSpace`.
        """

    def fetch(self, key: str, path: Path) -> StoredObject:
        """Copy an object to a local file, which appears whole and verified, or not at all.

        Raises `ObjectMissing`, `ObjectCorrupt`, `OutOfSpace`.
        """

    def lend(self, key: str, path: Path) -> StoredObject:
        """As `fetch`, for a file that is only read: it may be the object itself, read-only, under another name.

        It stays whole when the object is deleted. Never write to it: that would change the object.
        """

    def head(self, key: str) -> StoredObject | None: ...

    def open(self, key: str, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to `end` inclusive, in chunks of at most 1 MiB; an `end` beyond the last byte is cut.

        Raises `ObjectMissing` and `RangeInvalid` (`start` at or beyond the end) at the call, before the first chunk.
        Close the iterator (or drop it) when it is not read to its end.
        """

    def delete_prefix(self, prefix: str) -> int:
        """Delete every object whose key starts with `prefix`, which is not empty. Returns their number."""

    def list_prefix(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Keys that start with `prefix` (empty: all), with the UTC time each was last written."""

    def measure(self, prefix: str) -> tuple[int, int]:
        """(count, bytes) of the objects whose keys start with `prefix`, which is not empty, by listing them."""

    def link(self, key: str, *, seconds: int, file_name: str) -> str | None:
        """A URL that downloads the object as `file_name` without further credentials for `seconds` (7 days at most).

        None where the store has no URLs: then the service streams the bytes.
        """

    def make_ready(self) -> bool:
        """Create the bucket or the folder that holds the objects, unless it exists. True: it was created now."""

    def probe(self) -> None:
        """Write, read and delete a small object."""


def open_store(settings: Settings) -> ObjectStore:
    """The store that `DARKROOM_STORE_URL` names: `s3://bucket/prefix` or `file:///folder`. Connects to nothing yet."""
    url = urlsplit(settings.store)
    if url.scheme == "s3":
        from core.storage.s3 import open_s3  # takes 0.3 s and 50 MB to import

        return open_s3(settings, bucket=url.netloc, prefix=unquote(url.path))
    if url.scheme == "file" and url.netloc in ("", "localhost"):
        from core.storage.folder import FolderStore

        return FolderStore(Path(unquote(url.path)), reserve_bytes=settings.disk_reserve_bytes // 2)
    raise ValueError(f"DARKROOM_STORE_URL must start with s3:// or file:///, not {url.scheme}://{url.netloc}")


def checked_key(key: str) -> str:
    """The key itself. Raises ValueError for one that could leave its folder or that some store cannot hold."""
    parts = key.split("/")
    if key.startswith(".") or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"not an object key: {key!r}")
    if "\\" in key or not key.isprintable():
        raise ValueError(f"a key has no backslash and no control character: {key!r}")
    if len(key.encode()) > KEY_MAX_BYTES or any(len(part.encode()) > PART_MAX_BYTES for part in parts):
        raise ValueError(f"a key has at most {KEY_MAX_BYTES} bytes, {PART_MAX_BYTES} in each part: {key[:80]!r}...")
    return key


def checked_prefix(prefix: str) -> str:
    """The prefix itself: a key, or a key and a slash. Raises ValueError for anything else."""
    checked_key(prefix.removesuffix("/"))
    return prefix
