"""The central directory of a ZIP, read before anything is inflated.

A parser of its own, not `zipfile`, which silently repairs what validation must refuse: leading bytes, directories of
the wrong size, names that differ between the two headers. Formats: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.5.
"""

import io
import struct
from collections.abc import Iterator
from operator import attrgetter
from typing import BinaryIO, NamedTuple

from core.domain import limits
from core.domain.findings import Finding
from pipeline.archive.first_bytes import name_content
from pipeline.archive.plural import counted
from pipeline.archive.zip_names import UTF8_FLAG, GuessedNames, decode_name

STORED, DEFLATED = 0, 8

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
LOCAL_BYTES = _LOCAL.size  # of a local header, without name and extra fields
_MAX_COMMENT = 65_535
ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13  # the entry, strong encryption, masked directory
_STREAMED = 1 << 3  # sizes and CRC follow the data
_COUNTS = 1 << 16  # the end record counts entries modulo this
_MAX_DIRECTORY = 256 * 1024**2  # bytes; 300,000 entries with names of 200 bytes have 75 MB
_NO_ZIP = frozenset({"archive-not-a-zip", "archive-trailing-bytes", "archive-inconsistent"})
_UNKNOWN = "?"  # an encoding that is still to be guessed
_MISPLACED = (
    "The central directory does not end where its end record begins: bytes were put before or into the archive, "
    "or some were lost."
)


class ZipEntry(NamedTuple):
    """One entry. `name` is NFC with `/`; `raw_name` the bytes that both headers must share; `header` its offset.

    `guessed`: the encoding that the name was read in, where none is declared and it is not UTF-8; else empty.
    """

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header: int
    mode: int
    guessed: str

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


class _End(NamedTuple):
    """The fields that both kinds of end record have."""

    disk: int
    directory_disk: int
    here: int
    total: int
    size: int
    offset: int

    def is_before(self, end_at: int) -> bool:
        """Whether it places the directory right before `end_at`, so that there is no ZIP64 record."""
        return 0xFFFFFFFF not in self[4:] and self.offset + self.size == end_at


class Directory(NamedTuple):
    """All entries in their order, and the offset of the directory."""

    entries: list[ZipEntry]
    at: int


class BrokenArchive(Exception):
    """The bytes are not a whole, readable ZIP. Carries the one finding that states why."""

    def __init__(self, code: str, detail: str, path: str = "") -> None:
        self.finding = Finding.of(code, path, detail)
        super().__init__(detail)


def read_directory(file: BinaryIO, head: bytes | None = None) -> Directory:
    """Raises BrokenArchive.

    `head`: the first bytes of the file where they are known. They name what else the file is.
    """
    try:
        return _read_directory(file)
    except BrokenArchive as error:
        code = error.finding.code
        content = None if head is None else name_content(head)
        # A ZIP that has an end is damaged in the way that was found.
        whole = head is not None and head.startswith(b"PK") and code != "archive-not-a-zip"
        if content is None or whole or code not in _NO_ZIP:
            raise
        raise BrokenArchive(code, content) from error


def _read_directory(file: BinaryIO) -> Directory:
    total = file.seek(0, io.SEEK_END)
    tail_at = max(0, total - _END.size - _MAX_COMMENT)
    file.seek(tail_at)
    tail = file.read()
    at = _find_end(tail)
    end_at = tail_at + at
    end = _End(*_END.unpack_from(tail, at)[1:7])
    # Some writers add the ZIP64 record where it is not needed; then both must agree.
    zip64 = not end.is_before(end_at)
    if zip64:
        end_at, end = _read_end64(file, end_at, end)
    disk, directory_disk, here, count, size, offset = end
    if disk or directory_disk or here != count:
        raise BrokenArchive("archive-multi-disk", "The archive is one part of several.")
    if count > limits.MAX_ENTRIES:
        raise BrokenArchive("archive-too-many-entries", f"{count} entries; at most {limits.MAX_ENTRIES} are accepted.")
    if offset + size != end_at:
        raise BrokenArchive(
            "archive-inconsistent",
            _MISPLACED,
        )
    if size > _MAX_DIRECTORY:
        raise BrokenArchive("archive-too-many-entries", f"A central directory of {size} bytes.")
    file.seek(offset)
    return Directory(_with_guessed_names(list(_parse_entries(file.read(size), count, wraps=not zip64))), offset)


def _find_end(tail: bytes) -> int:
    """Offset of the end record whose comment reaches exactly to the end of the file."""
    at = tail.rfind(b"PK\x05\x06")
    seen = False
    while at >= 0:
        if at + _END.size <= len(tail):
            seen = True
            if at + _END.size + int(_END.unpack_from(tail, at)[7]) == len(tail):
                return at
        at = tail.rfind(b"PK\x05\x06", 0, at)
    if seen:
        raise BrokenArchive("archive-trailing-bytes", "There are bytes behind the end of the archive, or it was cut.")
    raise BrokenArchive("archive-not-a-zip", "The file has no ZIP directory: it is no ZIP, or its end is missing.")


def _read_end64(file: BinaryIO, end_at: int, end: _End) -> tuple[int, _End]:
    locator_at = end_at - _END64_LOCATOR.size
    file.seek(max(0, locator_at))
    locator = file.read(_END64_LOCATOR.size)
    if locator_at < 0 or not locator.startswith(b"PK\x06\x07"):
        raise BrokenArchive("archive-inconsistent", _MISPLACED)
    _, _, end64_at, disks = _END64_LOCATOR.unpack(locator)
    if disks > 1 or end64_at + _END64.size > locator_at:
        raise BrokenArchive("archive-inconsistent", "The ZIP64 locator points nowhere.")
    file.seek(end64_at)
    signature, record, _, _, *fields = _END64.unpack(file.read(_END64.size))
    if signature != b"PK\x06\x06" or end64_at + 12 + record != locator_at:
        raise BrokenArchive("archive-inconsistent", "The ZIP64 end record has the wrong size.")
    end64 = _End(*fields)
    limits_of = (0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    if any(small not in (large, limit) for small, large, limit in zip(end, end64, limits_of, strict=True)):
        raise BrokenArchive("archive-inconsistent", "The archive's two end records differ.")
    return end64_at, end64


def _parse_entries(directory: bytes, count: int, *, wraps: bool) -> Iterator[ZipEntry]:
    """`wraps`: Finder writes no ZIP64 and counts modulo 65,536; the directory is read to its end."""
    at = index = 0
    while index < count or (wraps and at < len(directory)):
        if index == limits.MAX_ENTRIES:
            detail = f"More entries than the {limits.MAX_ENTRIES} that are accepted."
            raise BrokenArchive("archive-too-many-entries", detail)
        if at + _CENTRAL.size > len(directory) or directory[at : at + 4] != b"PK\x01\x02":
            if index >= count:
                break
            detail = f"The central directory ends after {index} of {counted(count, 'entry', 'entries')}."
            raise BrokenArchive("archive-inconsistent", detail)
        (
            _,
            _,
            _,
            flags,
            method,
            _,
            _,
            crc,
            packed,
            size,
            name_len,
            extra_len,
            comment_len,
            _,
            _,
            attrs,
            header,
        ) = _CENTRAL.unpack_from(directory, at)
        name_at = at + _CENTRAL.size
        extra_at = name_at + name_len
        at = extra_at + extra_len + comment_len
        if at > len(directory):
            raise BrokenArchive("archive-inconsistent", "An entry reaches beyond the central directory.")
        raw_name = directory[name_at:extra_at]
        extra = directory[extra_at : extra_at + extra_len]
        size, packed, header = _zip64_values(extra, size, packed, header)
        unix = attrs >> 16  # a link is a link whatever system claims to have made it
        unicode_path = next((body for tag, body in extra_fields(extra) if tag == 0x7075), None) if extra else None
        name = decode_name(raw_name, flags, unicode_path)
        guessed = _UNKNOWN if name is None else ""
        yield ZipEntry(name or "", raw_name, flags, method, crc, packed, size, header, unix, guessed)
        index += 1
    if at != len(directory) or (index - count) % _COUNTS:
        detail = f"The central directory holds more than its {counted(count, 'entry', 'entries')}."
        raise BrokenArchive("archive-inconsistent", detail)


def _with_guessed_names(entries: list[ZipEntry]) -> list[ZipEntry]:
    """One encoding for the whole archive; also of names that are UTF-8 by chance, beside others that are not."""
    if not any(map(attrgetter("guessed"), entries)):
        return entries
    undeclared = [not entry.flags & UTF8_FLAG for entry in entries]
    guess = GuessedNames(entry.raw_name for entry, free in zip(entries, undeclared, strict=True) if free)
    read: list[ZipEntry] = []
    for entry, free in zip(entries, undeclared, strict=True):
        name = guess.decode(entry.raw_name) if free and not _has_own_name(entry) else None
        read.append(entry if name is None else entry._replace(name=name, guessed=guess.encoding))
    return read


def _has_own_name(entry: ZipEntry) -> bool:
    """Whether a Unicode path names it, which its raw bytes do not."""
    return not entry.guessed and entry.name != decode_name(entry.raw_name, entry.flags, None)


def extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """(id, body) of each whole field; padding at the end is left alone."""
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, at)
        if at + 4 + length > len(extra):
            return
        yield tag, extra[at + 4 : at + 4 + length]
        at += 4 + length


def _zip64_values(extra: bytes, size: int, packed: int, header: int) -> tuple[int, int, int]:
    values = [size, packed, header]
    if 0xFFFFFFFF not in values:
        return size, packed, header
    body = next((body for tag, body in extra_fields(extra) if tag == 0x0001), b"")
    at = 0
    for index, value in enumerate(values):
        if value != 0xFFFFFFFF:
            continue
        if at + 8 > len(body):
            raise BrokenArchive("archive-inconsistent", "An entry's ZIP64 field is missing or too short.")
        values[index] = int(struct.unpack_from("<Q", body, at)[0])
        at += 8
    return values[0], values[1], values[2]


def locate_data(file: BinaryIO, entry: ZipEntry) -> int | None:
    """Offset of the entry's bytes; None where its local header is missing or disagrees with the central one."""
    file.seek(entry.header)
    head = file.read(_LOCAL.size)
    if len(head) < _LOCAL.size:
        return None
    signature, _, flags, method, _, _, crc, packed, size, name_len, extra_len = _LOCAL.unpack(head)
    variable = file.read(name_len + extra_len)
    if signature != b"PK\x03\x04" or len(variable) < name_len + extra_len or variable[:name_len] != entry.raw_name:
        return None
    if method != entry.method or (flags ^ entry.flags) & ENCRYPTED:
        return None
    body = next((body for tag, body in extra_fields(variable[name_len:]) if tag == 0x0001), b"")
    if 0xFFFFFFFF in (size, packed) and len(body) >= 16:
        size, packed = struct.unpack_from("<QQ", body)
    streamed = bool((flags | entry.flags) & _STREAMED)
    for local, central in ((crc, entry.crc), (packed, entry.packed), (size, entry.size)):
        if local != central and not (streamed and local in (0, 0xFFFFFFFF)):
            return None
    return entry.header + _LOCAL.size + int(name_len) + int(extra_len)
