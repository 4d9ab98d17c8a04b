"""`class_order.txt`: the names of the classes, one a line, in the order of their ids; an archive of any format may have
it. Classes that it does not name follow in their usual order."""

import unicodedata
from dataclasses import replace

from core.domain.findings import Finding
from core.domain.limits import MAX_CLASSES
from pipeline.archive.entry_names import base_of
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.formats.text import read_lines, why_unread

CLASS_ORDER = "class_order.txt"


def is_class_order(file: SourceFile) -> bool:
    return base_of(file.name) == CLASS_ORDER


def take_class_order(archive: ExtractedArchive) -> tuple[ExtractedArchive, tuple[str, ...], list[Finding]]:
    """(the archive without the file, the names, errors about the file). Without errors and names there is none."""
    found = [file for file in archive.files if is_class_order(file)]
    if not found:
        return archive, (), []
    rest = replace(archive, files=tuple(file for file in archive.files if not is_class_order(file)))
    if len(found) > 1:
        detail = f"The archive has {len(found)} files {CLASS_ORDER}; the ids of classes have one order."
        return rest, (), [Finding.of("class-order-invalid", found[1].name, detail)]
    names, findings = _read(found[0])
    return rest, names, findings


def _read(file: SourceFile) -> tuple[tuple[str, ...], list[Finding]]:
    lines = read_lines(file)
    if lines is None:
        return (), [why_unread(file)]
    numbered = [(at, name) for at, line in enumerate(lines, start=1) if (name := _clean(line))]
    first: dict[str, int] = {}
    for at, name in numbered:
        if name in first:
            detail = f"{name[:100]!r} is on line {first[name]} and on line {at}."
            return (), [Finding.of("class-order-invalid", file.name, detail, line=at)]
        first[name] = at
    if len(first) > MAX_CLASSES:
        detail = f"The file has {len(first)} names; the limit is {MAX_CLASSES}."
        return (), [Finding.of("class-order-invalid", file.name, detail)]
    return tuple(first), []


def _clean(line: str) -> str:
    return unicodedata.normalize("NFC", line.strip())
