"""The central directory of a ZIP, read and judged before anything is inflated.

Our own parser, not `zipfile`, because that one repairs silently what a wall must refuse: leading bytes, directories
of the wrong size, names that differ between the two headers. Formats: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.5.
"""

import io
import struct
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO
from zlib import crc32

from core.domain import limits
from core.domain.findings import Finding, Severity

STORED, DEFLATED = 0, 8

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MAX_COMMENT = 65_535
_ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13  # the entry, strong encryption, masked directory
_STREAMED = 1 << 3  # sizes and CRC follow the data
_UTF8 = 1 << 11
_REGULAR, _FOLDER = 0o100000, 0o040000
_MAX_REASONS = 1000  # findings of a refusal; the rest says nothing new


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `name` is NFC with `/`; `raw_name` the bytes that both headers must share; `header` its offset."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header: int
    mode: int

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


class BrokenArchive(Exception):
    """The bytes are no ZIP that can be read as a whole. Carries the one finding that says why."""

    def __init__(self, code: str, detail: str, path: str = "") -> None:
        self.finding = refusal(code, path, detail)
        super().__init__(detail)


def refusal(code: str, path: str, detail: str) -> Finding:
    return Finding(code, Severity.ERROR, path, detail, _REMEDIES.get(code, "Make the ZIP again from the folder."))


def read_directory(file: BinaryIO) -> tuple[list[Entry], int]:
    """All entries in the directory's order, and the directory's offset. Raises BrokenArchive."""
    total = file.seek(0, io.SEEK_END)
    tail_at = max(0, total - _END.size - _MAX_COMMENT)
    file.seek(tail_at)
    tail = file.read()
    at = _find_end(tail)
    _, disk, directory_disk, here, count, size, offset, _comment = _END.unpack_from(tail, at)
    end_at = tail_at + at
    if 0xFFFF in (disk, directory_disk, here, count) or 0xFFFFFFFF in (size, offset):
        end_at, disk, directory_disk, here, count, size, offset = _read_end64(file, end_at)
    if disk or directory_disk or here != count:
        raise BrokenArchive("archive-multi-disk", "The archive is one part of several.")
    if count > limits.MAX_ENTRIES:
        raise BrokenArchive("archive-too-many-entries", f"{count} entries; at most {limits.MAX_ENTRIES} are accepted.")
    if offset + size != end_at:
        raise BrokenArchive(
            "archive-inconsistent",
            f"The central directory should end at byte {offset + size}, but its end record is at {end_at}: "
            "bytes were put before or into the archive, or it was cut.",
        )
    file.seek(offset)
    return list(_parse_entries(file.read(size), count)), offset


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


def _read_end64(file: BinaryIO, end_at: int) -> tuple[int, int, int, int, int, int, int]:
    locator_at = end_at - _END64_LOCATOR.size
    if locator_at < 0:
        raise BrokenArchive("archive-inconsistent", "The ZIP64 locator is missing.")
    file.seek(locator_at)
    signature, _, end64_at, disks = _END64_LOCATOR.unpack(file.read(_END64_LOCATOR.size))
    if signature != b"PK\x06\x07" or disks > 1 or end64_at + _END64.size > locator_at:
        raise BrokenArchive("archive-inconsistent", "The ZIP64 locator is missing or points nowhere.")
    file.seek(end64_at)
    fields = _END64.unpack(file.read(_END64.size))
    signature, record, _, _, disk, directory_disk, here, count, size, offset = fields
    if signature != b"PK\x06\x06" or end64_at + 12 + record != locator_at:
        raise BrokenArchive("archive-inconsistent", "The ZIP64 end record has the wrong size.")
    return end64_at, disk, directory_disk, here, count, size, offset


def _parse_entries(directory: bytes, count: int) -> Iterator[Entry]:
    at = 0
    for index in range(count):
        if at + _CENTRAL.size > len(directory) or directory[at : at + 4] != b"PK\x01\x02":
            raise BrokenArchive("archive-inconsistent", f"The central directory ends after {index} of {count} entries.")
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
        yield Entry(_decode_name(raw_name, flags, extra), raw_name, flags, method, crc, packed, size, header, unix)
    if at != len(directory):
        raise BrokenArchive("archive-inconsistent", f"The central directory holds more than its {count} entries.")


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


def _decode_name(raw: bytes, flags: int, extra: bytes) -> str:
    """NFC, `/` as the separator (Windows PowerShell 5 writes backslashes), without `./` and empty parts.

    Unflagged names are UTF-8 where they decode as such, else code page 437. Undecodable ones keep a U+FFFD,
    which `judge_names` refuses.
    """
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        name = raw.decode("utf-8", "replace") if flags & _UTF8 else raw.decode("cp437")
    for tag, body in extra_fields(extra):
        # Info-ZIP's Unicode path: version 1, the CRC of the raw name, the name. It counts only for that very name.
        if tag == 0x7075 and len(body) > 5 and body[0] == 1 and body[1:5] == struct.pack("<L", crc32(raw)):
            name = body[5:].decode("utf-8", "replace")
    name = unicodedata.normalize("NFC", name.replace("\\", "/"))
    parts = [part for part in name.split("/") if part != "."]
    kept = [part for index, part in enumerate(parts) if part or index in (0, len(parts) - 1)]
    return "/".join(kept)


def judge(file: BinaryIO, entries: list[Entry], directory_at: int) -> list[Finding]:
    """Every reason to refuse, by the directory and the local headers alone. Nothing is inflated or written."""
    reasons: list[Finding] = []
    for check in (judge_names(entries), judge_sizes(entries), _judge_local_headers(file, entries, directory_at)):
        for finding in check:
            reasons.append(finding)
            if len(reasons) >= _MAX_REASONS:
                return reasons
    return reasons


def judge_names(entries: list[Entry]) -> Iterator[Finding]:
    seen: set[str] = set()
    for entry in entries:
        yield from (refusal(code, _shown(entry.name), detail) for code, detail in _name_faults(entry))
        key = entry.name.rstrip("/")
        if key in seen and not entry.is_folder:
            yield refusal("archive-duplicate-name", _shown(entry.name), "Two entries have this name.")
        seen.add(key)


def _name_faults(entry: Entry) -> Iterator[tuple[str, str]]:
    name, raw = entry.name, entry.raw_name
    parts = PurePosixPath(name).parts
    if not name or name == "/":
        yield "archive-name-invalid", "An entry has no name."
    elif name.startswith("/"):
        yield "archive-absolute-path", "The entry has an absolute path."
    elif len(name) > 1 and name[1] == ":" and name[0].isalpha():
        yield "archive-absolute-path", "The entry's path begins with a drive."
    if ".." in parts:
        yield "archive-parent-path", "The entry's path leaves the archive (`..`)."
    if any(ord(char) < 32 or ord(char) == 127 for char in name):
        yield "archive-name-invalid", "The name holds a NUL or another control character."
    if "\ufffd" in name:
        yield "archive-name-invalid", "The name is marked as UTF-8 and is not."
    if len(raw) > limits.MAX_NAME_BYTES or len(parts) > limits.MAX_DEPTH:
        yield "archive-name-too-long", f"More than {limits.MAX_NAME_BYTES} bytes or {limits.MAX_DEPTH} folders."
    if entry.mode & 0o170000 not in (0, _REGULAR, _FOLDER):
        yield "archive-special-file", "The entry is a link, a device or a pipe."


def judge_sizes(entries: list[Entry]) -> Iterator[Finding]:
    total = 0
    for entry in entries:
        name = _shown(entry.name)
        total += entry.size
        if entry.flags & _ENCRYPTED:
            yield refusal("archive-encrypted", name, "The entry is encrypted.")
        elif entry.method not in (STORED, DEFLATED):
            yield refusal("archive-compression", name, f"Compression method {entry.method}; only stored and deflate.")
        elif entry.method == STORED and entry.size != entry.packed:
            yield refusal("archive-size-lies", name, f"Stored as {entry.packed} bytes, declared as {entry.size}.")
        if entry.size > limits.MAX_ENTRY_BYTES:
            yield refusal("archive-entry-too-large", name, f"{entry.size} bytes; at most {limits.MAX_ENTRY_BYTES}.")
        if entry.size > limits.RATIO_FREE_BYTES and entry.size > limits.MAX_RATIO * max(1, entry.packed):
            yield refusal("archive-ratio", name, f"{entry.packed} bytes would grow to {entry.size}.")
    if total > limits.MAX_TOTAL_BYTES:
        yield refusal("archive-too-large", "", f"{total} bytes inflated; at most {limits.MAX_TOTAL_BYTES}.")


def _judge_local_headers(file: BinaryIO, entries: list[Entry], directory_at: int) -> Iterator[Finding]:
    """Both headers of an entry say the same, and no two entries share bytes (Fifield's overlapping bomb)."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header):
        name = _shown(entry.name)
        if entry.header < end:
            yield refusal("archive-overlap", name, "The entry shares bytes with another one.")
        data_at = locate_data(file, entry)
        if data_at is None:
            yield refusal("archive-headers-differ", name, "The entry's two headers say different things.")
            continue
        end = data_at + entry.packed
        if end > directory_at:
            yield refusal("archive-overlap", name, "The entry reaches into the central directory.")


def locate_data(file: BinaryIO, entry: Entry) -> int | None:
    """Offset of the entry's bytes; None where its local header is missing or disagrees with the central one."""
    file.seek(entry.header)
    head = file.read(_LOCAL.size)
    if len(head) < _LOCAL.size:
        return None
    signature, _, flags, method, _, _, crc, packed, size, name_len, extra_len = _LOCAL.unpack(head)
    variable = file.read(name_len + extra_len)
    if signature != b"PK\x03\x04" or len(variable) < name_len + extra_len or variable[:name_len] != entry.raw_name:
        return None
    if method != entry.method or (flags ^ entry.flags) & _ENCRYPTED:
        return None
    body = next((body for tag, body in extra_fields(variable[name_len:]) if tag == 0x0001), b"")
    if 0xFFFFFFFF in (size, packed) and len(body) >= 16:
        size, packed = struct.unpack_from("<QQ", body)
    streamed = bool((flags | entry.flags) & _STREAMED)
    for local, central in ((crc, entry.crc), (packed, entry.packed), (size, entry.size)):
        if local != central and not (streamed and local in (0, 0xFFFFFFFF)):
            return None
    return entry.header + _LOCAL.size + int(name_len) + int(extra_len)


def _shown(name: str) -> str:
    """A name as a finding may carry it: no control characters, no lone surrogates, at most 300 characters."""
    return "".join(char if char.isprintable() else "\ufffd" for char in name[:300])


_REMEDIES = {
    "archive-absolute-path": "Zip the folder with relative paths.",
    "archive-parent-path": "Zip the folder with relative paths.",
    "archive-compression": "Zip it with the usual deflate compression.",
    "archive-encrypted": "Zip it without a password.",
    "archive-special-file": "Put the files themselves into the ZIP, not links to them.",
    "archive-duplicate-name": "Keep one of the entries (names that look alike may differ only in Unicode form).",
    "archive-not-a-zip": "Upload a whole ZIP; if it is one, upload it again.",
    "archive-multi-disk": "Make one ZIP of it.",
    "archive-too-many-entries": "Split the dataset.",
    "archive-too-large": "Split the dataset.",
    "archive-name-invalid": "Rename the file.",
    "archive-name-too-long": "Rename the file or its folders.",
}
