"""An uncompressed tar whose bytes depend on its members alone: no times, no owners, no order of a folder."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from queue import Queue
from typing import NamedTuple

from pipeline.archive.byte_range import ByteRange

_SMALL = 1 << 16  # bytes: a range up to this size is read with others, and all are written at once
_BUFFER = 1 << 19
_WAITING = 4096  # members and their headers that wait to be written
_TICK_SECONDS = 0.1


class Digest(NamedTuple):
    bytes: int
    sha256: str


class Place(NamedTuple):
    """Where an image lies in a tar: `bytes` bytes from `at` on, in the member `name`; `row` of its Arrow file."""

    name: str
    at: int
    bytes: int
    row: int | None = None


@contextmanager
def open_tar(target: Path) -> Iterator["TarWriter"]:
    """A writer of `target`, which is complete once `end` has returned."""
    with target.open("wb", buffering=0) as file:
        tar = TarWriter(file)
        try:
            yield tar
        finally:
            tar.stop()


class TarWriter:
    """The caller adds members in the order of their names, so that the bytes depend on the files alone.

    A thread writes them, so that the caller may do something else meanwhile: what fails there, an OSError as a rule, is
    raised by a later call. They are not hashed: whoever stores the tar reads it for that.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._todo: Queue[bytes | ByteRange | None] = Queue(_WAITING)
        self._unwritten = bytearray()
        self._size = 0
        self._ranges = 0
        self.copied = 0  # of them
        self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write_all, name="tar")
        self._thread.start()

    def add(self, name: str, content: bytes) -> int:
        """Returns where in the tar the content begins."""
        at = self._size + tarfile.BLOCKSIZE
        self._put(_header(name, len(content)) + content + _padding(len(content), tarfile.BLOCKSIZE))
        return at

    def add_range(self, name: str, byte_range: ByteRange) -> int:
        """As `add`. An error where the file ends before the range does."""
        self._put(_header(name, byte_range.size))
        at = self._size
        self._ranges += 1
        self._size += byte_range.size
        self._todo.put(byte_range)
        self._put(_padding(byte_range.size, tarfile.BLOCKSIZE))
        return at

    def end(self, tick: Callable[[int, int], None] = lambda *_: None) -> int:
        """Waits until all is written. `tick(ranges written, all of them)` may raise to stop. Returns the size in
        bytes."""
        blocks = bytes(2 * tarfile.BLOCKSIZE)
        self._put(blocks + _padding(self._size + len(blocks), tarfile.RECORDSIZE))
        self._todo.put(None)
        while self._thread.is_alive():
            self._thread.join(_TICK_SECONDS)
            tick(self.copied, self._ranges)
        self._raise_error()
        return self._size

    def flush(self) -> None:
        """Waits until what was added is written: its files may change then."""
        self._todo.join()
        self._raise_error()

    def stop(self) -> None:
        """End the thread, without what it has not written."""
        self._stopped = True
        if self._thread.is_alive():
            self._todo.put(None)
            self._thread.join()

    def _put(self, content: bytes) -> None:
        self._raise_error()
        if content:
            self._size += len(content)
            self._todo.put(content)

    def _raise_error(self) -> None:
        if self._error:
            raise self._error

    def _write_all(self) -> None:
        is_open = True
        while is_open:
            part = self._todo.get()
            is_open = part is not None
            if not (self._stopped or self._error):
                try:
                    self._write(part)
                except BaseException as error:  # noqa: BLE001 - raised again by the caller's next call
                    self._error = error
            self._todo.task_done()

    def _write(self, part: bytes | ByteRange | None) -> None:
        if part is None:
            self._write_waiting()
        elif isinstance(part, bytes):
            self._unwritten += part
        elif part.size <= _SMALL:
            self._unwritten += part.read()
            self.copied += 1
        else:
            self._write_waiting()
            part.copy_to(self._file)
            self.copied += 1
        if len(self._unwritten) >= _BUFFER:
            self._write_waiting()

    def _write_waiting(self) -> None:
        left = memoryview(self._unwritten)
        while left:
            left = left[self._file.write(left) :]
        self._unwritten = bytearray()


def _padding(size: int, multiple: int) -> bytes:
    """What follows `size` bytes up to the next multiple."""
    return bytes(-size % multiple)


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
