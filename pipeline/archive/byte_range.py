"""The bytes of an extracted entry: a range of the one file that holds all entries, one after the other.

A file for each entry would cost more to make, open and remove than most annotations cost to read.
"""

import errno
import io
import mmap
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from typing_extensions import Buffer

_BLOCK = 1 << 20
COPY_BYTES = 3 << 16  # of the buffer of `copy_to`


class ByteRange(NamedTuple):
    """In `file`, `size` bytes from `at` on. This is what decoding processes receive."""

    file: str
    at: int
    size: int

    def read(self, most: int | None = None) -> bytes:
        """All of it, or the first `most` bytes. Raises OSError where the file ends before."""
        left = self.size if most is None else min(most, self.size)
        with open(self.file, "rb", buffering=0) as handle:  # noqa: PTH123 - 200,000 times: text is cheaper than Paths
            content = os.pread(handle.fileno(), left, self.at)
            while len(content) < left:
                more = os.pread(handle.fileno(), left - len(content), self.at + len(content))
                if not more:
                    raise OSError(f"{self.file} ends at {self.at + len(content)}, before {self.at + left}.")
                content += more
        return content

    def blocks(self) -> Iterator[bytes]:
        """All of it, a megabyte at a time."""
        for start in range(0, self.size, _BLOCK):
            yield ByteRange(self.file, self.at + start, min(_BLOCK, self.size - start)).read()

    def copy_to(self, out: int, at: int, buffer: bytearray) -> None:
        """All of it, to the descriptor `out`, from `at` on. Raises OSError where the file ends before.

        `buffer`: of COPY_BYTES. Through one that stays in a core's cache it takes as long as copy_file_range(2), and a
        third less where several write one file: on Linux 6.18 that holds the file's lock while it reads.
        """
        left = self.size
        with open(self.file, "rb", buffering=0) as handle, memoryview(buffer) as view:  # noqa: PTH123 - as in `read`
            handle.seek(self.at)
            while left:
                read = handle.readinto(view[:left])
                if not read:
                    end = self.at + self.size
                    raise OSError(f"{self.file} ends at {end - left}, before {end}.")
                write_at(out, view[:read], at)
                left, at = left - read, at + read

    def open(self) -> BinaryIO:
        """A stream of it that can seek, for what is too large to be read at once."""
        return io.BufferedReader(_Part(self))

    def contains(self, words: tuple[bytes, ...]) -> list[bool]:
        """Whether each of `words` is anywhere in it. Takes no memory besides the system's page cache."""
        if not self.size:
            return [False] * len(words)
        with (
            open(self.file, "rb") as handle,  # noqa: PTH123
            mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            return [content.find(word, self.at, self.at + self.size) >= 0 for word in words]


def write_at(out: int, content: "Buffer", at: int) -> None:
    """All of it, to the descriptor `out`, from `at` on."""
    view = memoryview(content)
    while view:
        written = os.pwrite(out, view, at)
        view, at = view[written:], at + written


class _Part(io.RawIOBase):
    def __init__(self, byte_range: ByteRange) -> None:
        self._handle = open(byte_range.file, "rb", buffering=0)  # noqa: PTH123, SIM115 - closed by `close`
        self._start = self._at = byte_range.at
        self._end = byte_range.at + byte_range.size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._at = offset + {io.SEEK_SET: self._start, io.SEEK_CUR: self._at, io.SEEK_END: self._end}[whence]
        if self._at < self._start:
            raise OSError(errno.EINVAL, "The place is before the start of the range.")
        return self._at - self._start

    def readinto(self, buffer: "Buffer") -> int:
        with memoryview(buffer) as view:
            content = os.pread(self._handle.fileno(), max(0, min(len(view), self._end - self._at)), self._at)
            view[: len(content)] = content
        self._at += len(content)
        return len(content)

    def close(self) -> None:
        self._handle.close()
        super().close()
