"""Downloads on this side: where a file goes, and that it is complete before it has its name."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Union

import httpx

from darkroom.errors import ChecksumMismatch

PathLike = Union[str, "os.PathLike[str]"]
OnBytes = Callable[[int, int], None]  # bytes so far, and in all (0: not known)


class PartialFile:
    """A file that is being received, beside its place: `complete` checks it and gives it its name."""

    def __init__(self, to: PathLike) -> None:
        self._to = Path(to)
        self._digest = hashlib.sha256()
        self.received = 0
        self.etag = ""
        self.path = Path()

    def begin(self, response: httpx.Response) -> None:
        """Of the first answer, or of one that continues it. An answer with the whole file begins anew."""
        if self.received and response.status_code == httpx.codes.PARTIAL_CONTENT:
            return
        name = self._to / file_name_of(response) if self._to.is_dir() else self._to
        self.path, self.etag = name, response.headers.get("etag", "")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._part.write_bytes(b"")
        self.received, self._digest = 0, hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        with self._part.open("ab") as file:
            file.write(chunk)
        self._digest.update(chunk)
        self.received += len(chunk)

    def range_headers(self) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        return headers | ({"Range": f"bytes={self.received}-", "If-Range": self.etag} if self.received else {})

    def complete(self, sha256: str) -> Path:
        """Raises ChecksumMismatch, and removes the file, where its bytes have another digest."""
        arrived = self._digest.hexdigest()
        if sha256 and arrived != sha256:
            self._part.unlink()
            name = self.path.name
            raise ChecksumMismatch(f"{name} arrived with sha256 {arrived}; expected {sha256}. Download it again.")
        self._part.replace(self.path)
        return self.path

    @property
    def _part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")


def total_of(response: httpx.Response) -> int:
    """The bytes of the whole file; 0 where they are not known."""
    whole = response.headers.get("content-range", "").rpartition("/")[2]
    length = whole or response.headers.get("content-length", "")
    return int(length) if length.isdigit() else 0


def file_name_of(response: httpx.Response) -> str:
    """Of Content-Disposition, else of the path; never a path of its own."""
    given = re.search(r'filename="([^"]+)"', response.headers.get("content-disposition", ""))
    name = given.group(1) if given else response.url.path
    return re.split(r"[/\\]", name.rstrip("/"))[-1].lstrip(".") or "download"
