"""Whether a bundle is as it was written: offline, streamed, and with a name for each file that is not.

Everything in the ZIP is either the content of a file, whose sha256 the manifest has, or follows from the content: the
manifest itself is covered by its checksum in the ZIP. Whoever replaces a file and the manifest as well is found by the
sha256 of the whole ZIP alone, which the service reports.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast
from zlib import crc32

from pipeline.archive.entry_names import printable
from pipeline.archive.first_bytes import HEAD_BYTES
from pipeline.archive.zip_directory import STORED, BrokenArchive, ZipEntry, locate_data, read_directory
from pipeline.archive.zip_rules import validate
from pipeline.bundle.zip_layout import BLOCK_BYTES, Record, directory, local_header

MANIFEST = "manifest.json"
SCHEMA = 1
MAX_FILES = 1000  # a bundle has about 40
MAX_MANIFEST_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class Fault:
    """`name`: of a file in the bundle; empty for the ZIP as a whole."""

    name: str
    detail: str

    def __str__(self) -> str:
        return f"{printable(self.name) or 'the ZIP'}: {printable(self.detail)}"


@dataclass(frozen=True, slots=True)
class Verified:
    """`sha256`: of the whole ZIP. It is as it was written where `faults` is empty."""

    files: int
    bytes: int
    sha256: str
    faults: tuple[Fault, ...]


class _Content(NamedTuple):
    bytes: int
    crc: int
    sha256: str


class _ManifestInvalid(Exception):
    """There is no manifest that can be read."""


def verify_bundle(path: Path, *, sha256: str | None = None) -> Verified:
    """`sha256`: what the whole ZIP must have. Raises OSError."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        files, faults = _inspect(file)
    if sha256 is not None and digest != sha256.strip().lower():
        faults = [Fault("", f"Its sha256 is {digest}, not {sha256[:64]}."), *faults]
    return Verified(files, path.stat().st_size, digest, tuple(faults))


def _inspect(file: BinaryIO) -> tuple[int, list[Fault]]:
    try:
        file.seek(0)
        entries, directory_at = read_directory(file, file.read(HEAD_BYTES))
    except BrokenArchive as error:
        return 0, [Fault(error.finding.path, error.finding.detail)]
    if len(entries) > MAX_FILES:
        return len(entries), [Fault("", f"It has {len(entries)} files; a bundle has at most {MAX_FILES}.")]
    refused = [Fault(each.path, each.detail) for each in validate(file, entries, directory_at)]
    refused += [
        Fault(each.name, "It is compressed; the files of a bundle are stored as they are.")
        for each in entries
        if each.method != STORED
    ]
    if refused:
        return len(entries), refused
    return len(entries), _altered(file, entries) or list(_around_contents(file, entries, directory_at))


def _altered(file: BinaryIO, entries: list[ZipEntry]) -> list[Fault]:
    """The files whose content, or whose place among the others, is not that of the manifest."""
    contents = {each.name: _read(file, each) for each in entries}
    broken = [
        Fault(each.name, "Its content does not match its checksum in the ZIP (CRC-32).")
        for each in entries
        if contents[each.name].crc != each.crc
    ]
    named = {each.name for each in broken}
    if MANIFEST in named:
        return broken  # what it says about the others is not to be relied on
    try:
        stated = _manifest(file, entries)
    except _ManifestInvalid as error:
        return [*broken, Fault(MANIFEST, str(error))]
    others = [each for each in _differences(contents, stated) if each.name not in named]
    return [*broken, *others, *_exchanged([each.name for each in entries], [*stated, MANIFEST])]


def _read(file: BinaryIO, entry: ZipEntry) -> _Content:
    digest, crc, left = hashlib.sha256(), 0, entry.size
    file.seek(cast(int, locate_data(file, entry)))  # its headers were compared
    while left and (block := file.read(min(BLOCK_BYTES, left))):
        left, crc = left - len(block), crc32(block, crc)
        digest.update(block)
    return _Content(entry.size - left, crc, digest.hexdigest())


def _manifest(file: BinaryIO, entries: list[ZipEntry]) -> dict[str, tuple[int, str]]:
    """Of each file its size and sha256, in the order of the bundle. Raises _ManifestInvalid."""
    entry = next((each for each in entries if each.name == MANIFEST), None)
    if entry is None:
        raise _ManifestInvalid("It is missing: this is no bundle, or it was changed.")
    if entry.size > MAX_MANIFEST_BYTES:
        raise _ManifestInvalid(f"It has {entry.size} bytes; at most {MAX_MANIFEST_BYTES} are read.")
    file.seek(cast(int, locate_data(file, entry)))
    try:
        content = json.loads(file.read(entry.size))
        files = {str(each["name"]): (int(each["bytes"]), str(each["sha256"])) for each in content["files"]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _ManifestInvalid("It cannot be read as the manifest of a bundle.") from error
    if content.get("schema") != SCHEMA:
        raise _ManifestInvalid(f"Its schema is not {SCHEMA}, the one that this version reads.")
    return files


def _differences(contents: Mapping[str, _Content], stated: Mapping[str, tuple[int, str]]) -> Iterator[Fault]:
    for name, (size, sha256) in stated.items():
        found = contents.get(name)
        if found is None:
            yield Fault(name, "It is missing.")
        elif (found.bytes, found.sha256) != (size, sha256):
            yield Fault(name, f"Its sha256 is {found.sha256}; {MANIFEST} has {sha256[:64]}.")
    for name in sorted(contents.keys() - stated.keys() - {MANIFEST}):
        yield Fault(name, f"It was added: {MANIFEST} does not name it.")


def _exchanged(names: list[str], wanted: list[str]) -> list[Fault]:
    """The first file in the place of another one, where all are there."""
    if sorted(names) != sorted(wanted):
        return []
    pairs = zip(names, wanted, strict=True)
    return [Fault(name, f"It stands in the place of {other}.") for name, other in pairs if name != other][:1]


def _around_contents(file: BinaryIO, entries: list[ZipEntry], directory_at: int) -> Iterator[Fault]:
    """What is changed beside the contents: headers with dates and extra fields, bytes of no file, comments."""
    end = 0
    records = [Record(each.name, each.size, each.crc, each.header) for each in entries]
    for record in records:
        wanted = local_header(record)
        file.seek(record.at)
        if record.at != end or file.read(len(wanted)) != wanted:
            yield Fault(
                record.name, "Its header in the ZIP was changed, or bytes were put before it; its content is whole."
            )
        end = record.end
    wanted = directory(records)
    file.seek(directory_at)
    if directory_at != end or file.read(len(wanted) + 1) != wanted:
        yield Fault("", "Its directory was changed: dates, comments or extra fields. The contents are whole.")
