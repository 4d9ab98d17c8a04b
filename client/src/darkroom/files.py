"""Downloads on this side: where a file goes, and that it is complete before it has its name."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Union
from uuid import uuid4

import httpx

from darkroom.errors import ChecksumMismatch, LocalFileError, UnexpectedAnswer

if sys.platform != "win32":
    import fcntl

PathLike = Union[str, "os.PathLike[str]"]
OnBytes = Callable[[int, int], None]  # bytes so far, and in all (0: not known)

BLOCK_BYTES = 1024**2
IDENTITY_DIGITS = 12  # of what a part belongs to


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
    """A file that is being received, beside its place: `complete` checks it and gives it its name, `release` leaves it
    for another call to continue, `discard` removes it.

    What it is a part of is in its name: a digest of the ETag and the sha256, so that parts of two versions never meet.
    A lock of the system keeps a second process from continuing what is being received. Where there are no such locks
    (Windows), or no strong ETag, each call has a part of its own and leaves none.
    """

    def __init__(self, to: PathLike) -> None:
        self._to = Path(to)
        self._digest = hashlib.sha256()
        self._file: BinaryIO | None = None
        self._is_shared = False
        self.received = 0
        self.etag = ""
        self.path = self._part = Path()

    def begin(self, response: httpx.Response, sha256: str) -> bool:
        """Of the first answer, or of one that continues it; `sha256` is that of the whole file, empty where it is not
        known. False where an earlier call received a part of this very file, so that the rest is to be requested.

        An answer with the whole file begins anew. Raises UnexpectedAnswer where it is neither.
        """
        etag = response.headers.get("etag", "")
        if self.received and response.status_code == httpx.codes.PARTIAL_CONTENT and etag in ("", self.etag):
            return True
        if response.status_code != httpx.codes.OK:
            raise UnexpectedAnswer(f"{response.url} answered {response.status_code} and no file.")
        if not sha256 and response.headers.get("content-type", "").startswith("text/html"):
            raise UnexpectedAnswer(f"{response.url} answered a page and no file: is it the right address?")
        is_first = self._file is None
        self.discard()
        self.path, self.etag = self._to / file_name_of(response) if self._to.is_dir() else self._to, etag
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = file = self._opened(sha256)
        if is_first and 0 < self.received <= total_of(response):
            return False
        file.truncate(0)
        self.received, self._digest = 0, hashlib.sha256()
        return True

    def write(self, chunk: bytes) -> None:
        assert self._file is not None  # noqa: S101 - for the type checker: `begin` opens it
        self._file.write(chunk)
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
        if self._file is not None:
            self._file.flush()
        if not self._is_shared:
            self._close()  # Windows renames no open file
        self._part.replace(self.path)  # before the lock ends: nobody continues what is complete
        self._close()
        self._remove_other_parts()
        return self.path

    def release(self) -> None:
        """Another call goes on behind what has been received, where that is known to be of the same file."""
        if not self._is_shared or not self.received:
            self.discard()
        else:
            self._close()

    def discard(self) -> None:
        """Removes what has been received without being complete."""
        if self._part.name:
            if self._is_shared:
                self._part.unlink(missing_ok=True)  # before the lock ends
            self._close()
            self._part.unlink(missing_ok=True)
        self._part = Path()
        self.received, self._digest = 0, hashlib.sha256()

    def _opened(self, sha256: str) -> BinaryIO:
        file = None
        if self.etag.startswith('"'):
            identity = hashlib.sha256(f"{self.etag} {sha256}".encode()).hexdigest()[:IDENTITY_DIGITS]
            self._part = self.path.with_name(f"{self.path.name}.{identity}.part")
            file = _locked(self._part)
        self._is_shared = file is not None
        if file is None:
            self._part = self.path.with_name(f"{self.path.name}.{uuid4().hex[:8]}.part")  # not that of another download
            file = self._part.open("a+b")
        file.seek(0)
        while block := file.read(BLOCK_BYTES):
            self._digest.update(block)
            self.received += len(block)
        return file

    def _close(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # of the last bytes on a full disk: `complete` has written them before
                self._file.close()
        self._file = None

    def _remove_other_parts(self) -> None:
        """Of other versions under the same name: nobody continues them."""
        name = re.compile(re.escape(self.path.name) + rf"\.[0-9a-f]{{{IDENTITY_DIGITS}}}\.part")
        for each in [each for each in self.path.parent.iterdir() if name.fullmatch(each.name)]:
            if file := _locked(each):
                each.unlink(missing_ok=True)
                file.close()


def _locked(path: Path) -> BinaryIO | None:
    """Open to be continued, and locked until it is closed. None where another process has it, or there are no locks."""
    if sys.platform == "win32":
        return None
    with suppress(OSError):  # a lock of another process; a link in its place, which is not followed
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666), "a+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_ino == path.stat().st_ino:  # else it was completed or removed meanwhile
                return file
        except OSError:
            file.close()
            raise
        file.close()
    return None


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
