"""Archive validation: every reason to refuse a ZIP, by its directory and local headers; nothing is inflated."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import BinaryIO

from core.domain import limits
from core.domain.findings import Finding
from pipeline.archive.plural import counted
from pipeline.archive.zip_directory import DEFLATED, ENCRYPTED, LOCAL_BYTES, STORED, ZipEntry, locate_data

_REGULAR, _FOLDER = 0o100000, 0o040000
_MAX_REASONS = 1000  # findings of a refusal; more of them add nothing


def validate(file: BinaryIO, entries: list[ZipEntry], directory_at: int) -> list[Finding]:
    """Every reason to refuse the archive; empty for one that may be extracted. At most _MAX_REASONS."""
    return _first_reasons(_common_reasons(entries), _check_local_headers(file, entries, directory_at))


def validate_directory(entries: list[ZipEntry], directory_at: int) -> list[Finding]:
    """The reasons that show without the local headers: before the archive is sent."""
    return _first_reasons(_common_reasons(entries), _check_extents(entries, directory_at))


def _first_reasons(*reasons: Iterator[Finding]) -> list[Finding]:
    return list(islice(chain(*reasons), _MAX_REASONS))


def _common_reasons(entries: list[ZipEntry]) -> Iterator[Finding]:
    yield from _check_names(entries)
    yield from _check_folders(entries)
    yield from _check_sizes(entries)
    yield from _check_totals(entries)


def _check_names(entries: list[ZipEntry]) -> Iterator[Finding]:
    seen: set[str] = set()
    for entry in entries:
        yield from (Finding.of(code, _printable(entry.name), detail) for code, detail in _name_faults(entry))
        key = entry.name.rstrip("/")
        if key in seen and not entry.is_folder:
            yield Finding.of("archive-duplicate-name", _printable(entry.name), "Two entries have this name.")
        seen.add(key)


def _name_faults(entry: ZipEntry) -> Iterator[tuple[str, str]]:
    name, raw = entry.name, entry.raw_name
    parts = [part for part in name.split("/") if part]
    if not name or name == "/":
        yield "archive-name-invalid", "An entry has no name."
    elif name.startswith("/"):
        yield "archive-absolute-path", "The entry has an absolute path."
    elif len(name) > 1 and name[1] == ":" and name[0].isalpha():
        yield "archive-absolute-path", "The entry's path begins with a drive."
    if ".." in parts:
        yield "archive-parent-path", "The entry's path leaves the archive (`..`)."
    if not name.isprintable() and any(ord(char) < 32 or 127 <= ord(char) < 160 for char in name):
        yield "archive-name-invalid", "The name holds a NUL or another control character."
    if "\ufffd" in name:
        yield "archive-name-invalid", "The name is declared as UTF-8 and is not."
    if len(raw) > limits.MAX_NAME_BYTES or len(parts) > limits.MAX_DEPTH:
        yield "archive-name-too-long", f"More than {limits.MAX_NAME_BYTES} bytes or {limits.MAX_DEPTH} folders."
    if entry.mode & 0o170000 not in (0, _REGULAR, _FOLDER):
        yield "archive-special-file", "The entry is a link, a device or a pipe."


def _check_folders(entries: list[ZipEntry]) -> Iterator[Finding]:
    """Formats compare each folder at each of its levels: the sum over all of them is limited."""
    levels = characters = 0
    for folder in {entry.name.rpartition("/")[0] for entry in entries}:
        deep = folder.count("/") + 1
        levels += deep
        characters += deep * len(folder)
    if levels > limits.MAX_FOLDER_LEVELS or characters > limits.MAX_FOLDER_CHARACTERS:
        detail = f"The folders have {levels} levels in all, with {characters} characters; at most"
        detail += f" {limits.MAX_FOLDER_LEVELS} and {limits.MAX_FOLDER_CHARACTERS}."
        yield Finding.of("archive-name-too-long", "", detail)


def _check_sizes(entries: list[ZipEntry]) -> Iterator[Finding]:
    for entry in entries:
        name = _printable(entry.name)
        if entry.flags & ENCRYPTED:
            yield Finding.of("archive-encrypted", name, "The entry is encrypted.")
        elif entry.method not in (STORED, DEFLATED):
            yield Finding.of(
                "archive-compression", name, f"Compression method {entry.method}; only stored and deflate."
            )
        elif entry.method == STORED and entry.size != entry.packed:
            yield Finding.of(
                "archive-size-mismatch", name, f"Stored as {counted(entry.packed, 'byte')}, declared as {entry.size}."
            )
        if entry.size > limits.MAX_ENTRY_BYTES:
            yield Finding.of("archive-entry-too-large", name, f"{entry.size} bytes; at most {limits.MAX_ENTRY_BYTES}.")
        if entry.size > limits.RATIO_FREE_BYTES and entry.size > limits.MAX_RATIO * max(1, entry.packed):
            yield Finding.of("archive-ratio", name, f"{counted(entry.packed, 'byte')} would grow to {entry.size}.")


def _check_totals(entries: list[ZipEntry]) -> Iterator[Finding]:
    total, packed = sum(entry.size for entry in entries), sum(entry.packed for entry in entries)
    if total > limits.MAX_TOTAL_BYTES:
        yield Finding.of("archive-too-large", "", f"{total} bytes inflated; at most {limits.MAX_TOTAL_BYTES}.")
    most = limits.RATIO_FREE_TOTAL_BYTES + limits.MAX_RATIO * packed
    if total > most:
        detail = f"{counted(len(entries), 'entry', 'entries')} with {counted(packed, 'byte')} would grow to {total}; "
        yield Finding.of("archive-ratio", "", f"{detail}at most {most}.")


def _check_extents(entries: list[ZipEntry], directory_at: int) -> Iterator[Finding]:
    """Entries that share bytes even if their local headers are as short as can be."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header):
        name = _printable(entry.name)
        if entry.header < end:
            yield Finding.of("archive-overlap", name, "The entry shares bytes with another one.")
        end = max(end, entry.header + LOCAL_BYTES + len(entry.raw_name) + entry.packed)
        if end > directory_at:
            yield Finding.of("archive-overlap", name, "The entry reaches into the central directory.")
            end = directory_at


def _check_local_headers(file: BinaryIO, entries: list[ZipEntry], directory_at: int) -> Iterator[Finding]:
    """Both headers of an entry agree, and no two entries share bytes (Fifield's overlapping bomb)."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header):
        name = _printable(entry.name)
        if entry.header < end:
            yield Finding.of("archive-overlap", name, "The entry shares bytes with another one.")
        data_at = locate_data(file, entry)
        if data_at is None:
            yield Finding.of("archive-headers-differ", name, "The entry's two headers differ.")
            continue
        end = data_at + entry.packed
        if end > directory_at:
            yield Finding.of("archive-overlap", name, "The entry reaches into the central directory.")


def _printable(name: str) -> str:
    """A name fit for a finding: no control characters, no lone surrogates, at most 300 characters."""
    if name.isprintable() and len(name) <= 300:
        return name
    return "".join(char if char.isprintable() else "\ufffd" for char in name[:300])
