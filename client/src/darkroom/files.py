"""Downloads on this side: where a file goes, and that it is complete before it has its name."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Union
from uuid import uuid4

import httpx

from darkroom.errors import ChecksumMismatch, LocalFileError, UnexpectedAnswer

PathLike = Union[str, "os.PathLike[str]"]
OnBytes = Callable[[int, int], None]  # bytes so far, and in all (0: not known)

BLOCK_BYTES = 1024**2


def blocks_of(path: Path, length: int) -> Iterator[bytes]:
    """Exactly `length` bytes of a file. Raises LocalFileError where it has fewer by then."""
    with path.open("rb") as file:
        while length:
            block = file.read(min(BLOCK_BYTES, length))
            if not block:
                raise LocalFileError(f"{path} became shorter while it was being sent.")
            length -= len(block)
            yield block


class PartialFile:
    """A file that is being received, beside its place: `complete` checks it and gives it its name, else `discard`."""

    def __init__(self, to: PathLike) -> None:
        self._to = Path(to)
        self._digest = hashlib.sha256()
        self.received = 0
        self.etag = ""
        self.path = self._part = Path()

    def begin(self, response: httpx.Response) -> None:
        """Of the first answer, or of one that continues it. An answer with the whole file begins anew.

        Raises UnexpectedAnswer where it is neither.
        """
        if self.received and response.status_code == httpx.codes.PARTIAL_CONTENT:
            return
        if response.status_code != httpx.codes.OK:
            raise UnexpectedAnswer(f"{response.url} answered {response.status_code} and no file.")
        self.discard()
        name = self._to / file_name_of(response) if self._to.is_dir() else self._to
        self.path, self.etag = name, response.headers.get("etag", "")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._part = self.path.with_name(f"{self.path.name}.{uuid4().hex[:8]}.part")  # not that of another download
        self._part.write_bytes(b"")
        self.received, self._digest = 0, hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        with self._part.open("ab") as file:
            file.write(chunk)
        self._digest.update(chunk)
        self.received += len(chunk)

    def range_headers(self) -> dict[str, str]:
        """Without an ETag nobody knows whether the rest is of the same file: then it is requested as a whole."""
        headers = {"Accept-Encoding": "identity"}
        if not self.received or not self.etag:
            return headers
        return headers | {"Range": f"bytes={self.received}-", "If-Range": self.etag}

    def complete(self, sha256: str) -> Path:
        """Raises ChecksumMismatch where its bytes have another digest."""
        arrived = self._digest.hexdigest()
        if sha256 and arrived != sha256:
            name = self.path.name
            raise ChecksumMismatch(f"{name} arrived with sha256 {arrived}; expected {sha256}. Download it again.")
        self._part.replace(self.path)
        return self.path

    def discard(self) -> None:
        """Removes what has been received without being complete."""
        if self._part.name:
            self._part.unlink(missing_ok=True)


def total_of(response: httpx.Response) -> int:
    """The bytes of the whole file; 0 where they are not known."""
    whole = response.headers.get("content-range", "").rpartition("/")[2]
    length = whole or response.headers.get("content-length", "")
    return int(length) if length.isdigit() else 0


def file_name_of(response: httpx.Response) -> str:
    """Of Content-Disposition, else of the path; never a path of its own."""
    given = re.search(r'filename="([^"]+)"', response.headers.get("content-disposition", ""))
    name = given.group(1) if given else response.url.path
    last = re.split(r"[/\\]", name.rstrip("/"))[-1]
    return "".join(each if each.isprintable() else "_" for each in last).lstrip(".") or "download"
