"""A ZIP whose bytes depend on names and contents alone, written in one pass, with memory that does not grow with it.

Files are stored, with one date: no version of a library decides about a byte. The central directory waits in a file of
its own. ZIP64 where there are more than 65,534 files or 4 GiB: PKWARE APPNOTE 6.3.10, 4.3.14 to 4.3.16 and 4.5.3.
"""

import hashlib
import shutil
import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self
from zlib import crc32

from pipeline.archive.byte_range import ByteRange

_LOCAL, _CENTRAL, _END = struct.Struct("<4s5H3L2H"), struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s4H2LH")
_END_64, _LOCATOR, _EXTRA_64 = struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL"), struct.Struct("<2HQ")
_VERSION, _VERSION_64, _UNIX = 20, 45, 3 << 8
_UTF8 = 1 << 11
_DATE = 0 << 9 | 1 << 5 | 1  # 1 January 1980, 0:00
_MODE = 0o100644 << 16
_MOST_16, _MOST_32 = 2**16 - 1, 2**32 - 1
_BLOCK = 1 << 20


class ZipWriter:
    """Use as a context; left without an error, `target` is whole. A file has fewer than 4 GiB, else ValueError."""

    def __init__(self, target: Path) -> None:
        self.folder = target.parent  # for files that wait
        self._out = target.open("wb")
        self._directory = tempfile.TemporaryFile(dir=target.parent)  # noqa: SIM115 - closed by `__exit__`
        self._at = 0
        self._count = self._directory_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._out, self._directory:
            if kind is None:
                self._end()

    @property
    def end(self) -> int:
        """Where the content of the last file ends in the file."""
        return self._at

    def add(self, name: str, content: bytes) -> None:
        self._add(name, len(content), crc32(content), [content])

    def add_range(self, name: str, byte_range: ByteRange) -> str:
        """Returns its sha256. What is larger than a block is read twice: the checksum stands before the content."""
        if byte_range.size <= _BLOCK:
            content = byte_range.read()
            self.add(name, content)
            return hashlib.sha256(content).hexdigest()
        crc, digest = 0, hashlib.sha256()
        for block in byte_range.blocks():
            crc = crc32(block, crc)
            digest.update(block)
        self._add(name, byte_range.size, crc, byte_range.blocks())
        return digest.hexdigest()

    def add_file(self, name: str, path: Path) -> None:
        self.add_range(name, ByteRange(str(path), 0, path.stat().st_size))

    def reserve(self, name: str, size: int, crc: int) -> int:
        """Where in the file the caller writes the content, of `size` bytes with this CRC-32, before the end."""
        at = self._add(name, size, crc, ())
        self._out.seek(self._at)
        return at

    def _add(self, name: str, size: int, crc: int, content: Iterable[bytes]) -> int:
        """Returns where the content begins."""
        if size >= _MOST_32:
            raise ValueError(f"{name} has {size} bytes: more than a file of an export may have.")
        raw = name.encode()
        fields = (_UTF8, 0, 0, _DATE, crc, size, size, len(raw))
        self._out.write(_LOCAL.pack(b"PK\x03\x04", _VERSION, *fields, 0) + raw)
        self._out.writelines(content)
        far = self._at >= _MOST_32
        extra = _EXTRA_64.pack(1, 8, self._at) if far else b""
        version, at = (_VERSION_64, _MOST_32) if far else (_VERSION, self._at)
        head = _CENTRAL.pack(b"PK\x01\x02", _UNIX | version, version, *fields, len(extra), 0, 0, 0, _MODE, at)
        self._directory_bytes += self._directory.write(head + raw + extra)
        self._at += _LOCAL.size + len(raw) + size
        self._count += 1
        return self._at - size

    def _end(self) -> None:
        size = self._directory_bytes
        self._directory.seek(0)
        shutil.copyfileobj(self._directory, self._out, _BLOCK)
        if self._count >= _MOST_16 or self._at >= _MOST_32 or size >= _MOST_32:
            versions = (_UNIX | _VERSION_64, _VERSION_64)
            counts = (self._count, self._count)
            self._out.write(_END_64.pack(b"PK\x06\x06", _END_64.size - 12, *versions, 0, 0, *counts, size, self._at))
            self._out.write(_LOCATOR.pack(b"PK\x06\x07", 0, self._at + size, 1))
        count = min(self._count, _MOST_16)
        place = (min(size, _MOST_32), min(self._at, _MOST_32))
        self._out.write(_END.pack(b"PK\x05\x06", 0, 0, count, count, *place, 0))
