"""An uncompressed tar whose bytes depend on its members alone: no times, no owners, no order of a folder."""

import hashlib
import io
import os
import tarfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pipeline.archive.byte_range import ByteRange

_BLOCK = 1 << 20  # bytes that are hashed and written at once
_BUFFERS = 4


class Digest(NamedTuple):
    bytes: int
    sha256: str


class Place(NamedTuple):
    """Where an image lies in a tar: `bytes` bytes from `at` on, in the member `name`; `row` of its Arrow file."""

    name: str
    at: int
    bytes: int
    row: int | None = None


class WrittenSet(NamedTuple):
    """A tar, and the place of each image in it by its path."""

    tar: Digest
    places: dict[str, Place]


@contextmanager
def open_tar(target: Path) -> Iterator["TarWriter"]:
    """A writer of `target`, which is complete once `end` has returned."""
    # Hashing and writing release the interpreter's lock: in threads they go on while files are read. One thread each,
    # since blocks are processed in order.
    with (
        target.open("wb", buffering=0) as file,
        ThreadPoolExecutor(1) as hashing,
        ThreadPoolExecutor(1) as writing,
    ):
        yield TarWriter(_Hashing(file, hashing, writing))


class TarWriter:
    """The caller adds members in the order of their names, so that the bytes depend on the files alone."""

    def __init__(self, hashing: "_Hashing") -> None:
        self._hashing = hashing

    def add(self, name: str, content: bytes) -> int:
        """Returns where in the tar the content begins."""
        self._hashing.put(_header(name, len(content)))
        at = self._hashing.size
        self._hashing.put(content)
        self._hashing.pad(tarfile.BLOCKSIZE)
        return at

    def add_range(self, name: str, byte_range: ByteRange) -> int:
        """As `add`. Raises OSError where the file ends before the range does."""
        self._hashing.put(_header(name, byte_range.size))
        at = self._hashing.size
        self._hashing.put_range(byte_range)
        self._hashing.pad(tarfile.BLOCKSIZE)
        return at

    def end(self) -> Digest:
        self._hashing.pad(tarfile.RECORDSIZE, at_least=2 * tarfile.BLOCKSIZE)
        return self._hashing.end()


def _header(name: str, size: int) -> bytes:
    """As `tarfile` writes it, in a tenth of the time for short ASCII names and sizes below 8 GiB."""
    raw = name.encode()
    if len(raw) > tarfile.LENGTH_NAME or not name.isascii() or size >= 8**11:
        member = tarfile.TarInfo(name)
        member.size = size
        return member.tobuf(tarfile.USTAR_FORMAT)
    block = bytearray(_empty_header())
    block[: len(raw)] = raw
    block[124:135] = b"%011o" % size
    block[148:156] = b"        "  # the checksum counts itself as blanks
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@lru_cache(maxsize=1)
def _empty_header() -> bytes:
    return tarfile.TarInfo("").tobuf(tarfile.USTAR_FORMAT)


def file_digest(path: Path) -> Digest:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return Digest(file.seek(0, io.SEEK_END), digest.hexdigest())


class _Hashing:
    """Counts all bytes, and hashes and writes them in blocks, in a thread each.

    A few buffers are reused: one is filled while the others are hashed and written. A new megabyte each time would
    cost more than its hash; with two buffers, filling would wait for every hash that is a little late.
    """

    def __init__(self, file: io.FileIO, hashing: Executor, writing: Executor) -> None:
        self._file = file
        self._hashing, self._writing = hashing, writing
        self._filling = memoryview(bytearray(_BLOCK))
        self._filled = 0
        self._pending: deque[tuple[memoryview, Future[None], Future[None]]] = deque()
        self._digest = hashlib.sha256()
        self.size = 0

    def put(self, content: bytes) -> None:
        left = memoryview(content)
        while left:
            room = self._room()
            part = left[: len(room)]
            room[: len(part)] = part
            self._fill(len(part))
            left = left[len(part) :]

    def put_range(self, byte_range: ByteRange) -> None:
        at, left = byte_range.at, byte_range.size
        file = os.open(byte_range.file, os.O_RDONLY)
        try:
            while left:
                got = os.preadv(file, [self._room()[:left]], at)
                if not got:
                    raise OSError(f"{byte_range.file} ends at {at}, {left} bytes too early.")
                self._fill(got)
                at, left = at + got, left - got
        finally:
            os.close(file)

    def pad(self, multiple: int, *, at_least: int = 0) -> None:
        self.put(bytes(at_least + -(self.size + at_least) % multiple))

    def end(self) -> Digest:
        self._flush()
        while self._pending:
            self._oldest()
        return Digest(self.size, self._digest.hexdigest())

    def _room(self) -> memoryview:
        return self._filling[self._filled :]

    def _fill(self, count: int) -> None:
        self._filled += count
        self.size += count
        if self._filled == _BLOCK:
            self._flush()

    def _flush(self) -> None:
        """At most a few blocks are pending; an error of writing is raised at one of the next blocks."""
        block = self._filling[: self._filled]
        hashed, written = self._hashing.submit(self._digest.update, block), self._writing.submit(self._write, block)
        self._pending.append((self._filling, hashed, written))
        self._filling = self._oldest() if len(self._pending) == _BUFFERS else memoryview(bytearray(_BLOCK))
        self._filled = 0

    def _oldest(self) -> memoryview:
        """Returns the buffer that has been pending for longest, once it is free."""
        buffer, hashed, written = self._pending.popleft()
        hashed.result()
        written.result()
        return buffer

    def _write(self, block: memoryview) -> None:
        while block:
            block = block[self._file.write(block) :]
