"""The layout of a bundle: a ZIP in which every byte is either content or follows from the content.

Files are stored, one behind the other, with one date and no extra fields; no version of a library decides about a byte,
and nothing has to be inflated to check it. Formats: PKWARE APPNOTE 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16.
"""

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from pipeline.process.results import BundledFile

_LOCAL, _CENTRAL, _END = struct.Struct("<4s5H3L2H"), struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s4H2LH")
_VERSION, _UNIX = 20, 3 << 8
_UTF8 = 1 << 11
_DATE = (1980 - 1980) << 9 | 1 << 5 | 1  # 1 January 1980, 0:00
_MODE = 0o100644 << 16
_MAX_BYTES = 2**32 - 1  # of a ZIP without ZIP64
BLOCK_BYTES = 1 << 20


class BundleTooLarge(ValueError):
    """The bundle would need a ZIP64: more than 4 GiB."""


@dataclass(frozen=True, slots=True)
class Record:
    """What both headers of a file are made of. `at`: where its local header begins."""

    name: str
    bytes: int
    crc: int
    at: int

    @property
    def data_at(self) -> int:
        return self.at + _LOCAL.size + len(self.name.encode())

    @property
    def end(self) -> int:
        return self.data_at + self.bytes


def write_bundle(target: Path, files: Iterable[tuple[str, Path]]) -> None:
    """`files`: the name in the ZIP and the file, in their order. Raises BundleTooLarge."""
    records: list[Record] = []
    with target.open("wb") as out:
        at = 0
        for name, path in files:
            records.append(_append(out, name, path, at))
            at = records[-1].end
        out.write(directory(records))


def local_header(record: Record) -> bytes:
    name = record.name.encode()
    fields = (_VERSION, _UTF8, 0, 0, _DATE, record.crc, record.bytes, record.bytes, len(name), 0)
    return _LOCAL.pack(b"PK\x03\x04", *fields) + name


def directory(records: list[Record]) -> bytes:
    """The central directory and its end record: all that follows the last file."""
    central = b"".join(map(_central_header, records))
    count, at = len(records), records[-1].end if records else 0
    return central + _END.pack(b"PK\x05\x06", 0, 0, count, count, len(central), at, 0)


def digest_of(path: Path, name: str) -> BundledFile:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return BundledFile(name=name, bytes=path.stat().st_size, sha256=sha256)


def _append(out: BinaryIO, name: str, path: Path, at: int) -> Record:
    """The checksum is computed first: its header stands before the content."""
    size = crc = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            size, crc = size + len(block), crc32(block, crc)
        record = Record(name, size, crc, at)
        if record.end > _MAX_BYTES:
            raise BundleTooLarge("The bundle would have more than 4 GiB.")
        out.write(local_header(record))
        file.seek(0)
        while block := file.read(BLOCK_BYTES):
            out.write(block)
    return record


def _central_header(record: Record) -> bytes:
    name = record.name.encode()
    fields = (_UNIX | _VERSION, _VERSION, _UTF8, 0, 0, _DATE, record.crc, record.bytes, record.bytes, len(name))
    return _CENTRAL.pack(b"PK\x01\x02", *fields, 0, 0, 0, 0, _MODE, record.at) + name
