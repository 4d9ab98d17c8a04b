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

from pipeline.archive.byte_range import COPY_BYTES, ByteRange, write_at

_SMALL = 1 << 16  # bytes: a range up to this size is read with others, and all are written at once
_GROUP = 1 << 19  # bytes after which a thread is given them to write
_CONTENT = 1 << 14  # or so many bytes of headers and contents, which wait in memory
_WAITING = 512  # groups: 8 MiB in memory
_THREADS = 2  # a file is written by one thread at a time; the other one reads meanwhile
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


class _Group(NamedTuple):
    """Parts that follow each other in the tar, from `at` on. `ranges`: so many have ended since the group before."""

    at: int
    parts: list[bytes | ByteRange]
    ranges: int


class TarWriter:
    """The caller adds members in the order of their names, so that the bytes depend on the files alone.

    Threads write them, so that the caller may do something else meanwhile: what fails there, an OSError as a rule, is
    raised by a later call. They are not hashed: whoever stores the tar reads it for that.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._out = file.fileno()
        self._todo: Queue[_Group | None] = Queue(_WAITING)
        self._size = 0
        self._group = _Group(0, [], 0)
        self._content_bytes = 0  # of it, in memory
        self._ranges = 0
        self.copied = 0  # of them
        self._stopped = False
        self._error: BaseException | None = None
        self._lock = threading.Lock()  # guards `copied`
        buffers = [bytearray(COPY_BYTES) for _ in range(_THREADS)]  # here, where a lack of memory is seen
        self._threads = [threading.Thread(target=self._write_all, args=(each,), name="tar") for each in buffers]
        try:
            for thread in self._threads:
                thread.start()
        except BaseException:  # there is no memory for its stack
            self.stop()
            raise

    def add(self, name: str, content: bytes) -> int:
        """Returns where in the tar the content begins."""
        at = self._size + tarfile.BLOCKSIZE
        self._add(_header(name, len(content)) + content + _padding(len(content), tarfile.BLOCKSIZE))
        return at

    def add_range(self, name: str, byte_range: ByteRange) -> int:
        """As `add`. An error where the file ends before the range does."""
        self._add(_header(name, byte_range.size))
        at = self._size
        for part in _divided(byte_range):
            self._group.parts.append(part)
            self._size += part.size
            self._submit_whole_group()
        self._ranges += 1
        self._group = self._group._replace(ranges=self._group.ranges + 1)
        self._add(_padding(byte_range.size, tarfile.BLOCKSIZE))
        return at

    def end(self, tick: Callable[[int, int], None] = lambda *_: None) -> int:
        """Waits until all is written. `tick(ranges written, all of them)` may raise to stop. Returns the size in
        bytes."""
        blocks = bytes(2 * tarfile.BLOCKSIZE)
        self._add(blocks + _padding(self._size + len(blocks), tarfile.RECORDSIZE))
        self._submit()
        for thread in self._end_threads():
            while thread.is_alive():
                thread.join(_TICK_SECONDS)
                tick(self.copied, self._ranges)
        self._raise_error()
        tick(self.copied, self._ranges)
        return self._size

    def flush(self) -> None:
        """Waits until what was added is written: its files may change then."""
        self._submit()
        self._todo.join()
        self._raise_error()

    def stop(self) -> None:
        """End the threads, without what they have not written."""
        self._stopped = True
        for thread in self._end_threads():
            thread.join()

    def _add(self, content: bytes) -> None:
        if content:
            self._group.parts.append(content)
            self._content_bytes += len(content)
            self._size += len(content)
            self._submit_whole_group()

    def _submit_whole_group(self) -> None:
        if self._size - self._group.at >= _GROUP or self._content_bytes >= _CONTENT:
            self._submit()

    def _submit(self) -> None:
        self._raise_error()
        self._todo.put(self._group)
        self._group, self._content_bytes = _Group(self._size, [], 0), 0

    def _end_threads(self) -> list[threading.Thread]:
        """Those that will end."""
        ending = [thread for thread in self._threads if thread.is_alive()]
        for _ in ending:
            self._todo.put(None)
        return ending

    def _raise_error(self) -> None:
        if self._error:
            raise self._error

    def _write_all(self, buffer: bytearray) -> None:
        while (group := self._todo.get()) is not None:
            if not (self._stopped or self._error):
                try:
                    self._write(group, buffer)
                except BaseException as error:  # noqa: BLE001 - raised again by the caller's next call
                    self._error = error
            self._todo.task_done()
        self._todo.task_done()

    def _write(self, group: _Group, buffer: bytearray) -> None:
        """What is small is written at once."""
        at, waiting = group.at, bytearray()
        for part in group.parts:
            if isinstance(part, bytes):
                waiting += part
            elif part.size <= _SMALL:
                waiting += part.read()
            else:
                write_at(self._out, waiting, at)
                at, waiting = at + len(waiting), bytearray()
                part.copy_to(self._out, at, buffer)
                at += part.size
        write_at(self._out, waiting, at)
        with self._lock:
            self.copied += group.ranges


def _divided(byte_range: ByteRange) -> list[ByteRange]:
    """Into what one thread copies at once; one that is empty into nothing."""
    if 0 < byte_range.size <= _GROUP:
        return [byte_range]
    file, first, size = byte_range
    return [ByteRange(file, first + at, min(_GROUP, size - at)) for at in range(0, size, _GROUP)]


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
