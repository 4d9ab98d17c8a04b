"""Oxford-IIIT Pet, and sets in its form: `list.txt` with a row `Abyssinian_1 1 1 1` for each image.

The columns are the name of the image, the number of its class, the species and the breed. The class is the name without
its number. `trainval.txt` and `test.txt` have the same rows and give the split.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from core.domain.findings import Finding
from pipeline.archive.entry_names import bare_of, base_of
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import Dataset, RepairedItem, root_of
from pipeline.formats.image_roles import images_of_set
from pipeline.formats.listed import ListedImage, Report, dataset_of, match_listed
from pipeline.formats.split_lists import split_lists
from pipeline.formats.text import class_name_fault, clean_label, read_lines, why_unread

NAME = "oxford-pet"
_LIST = "list.txt"
_ROW = re.compile(r"(?P<image>(?P<label>\S.*)_\d+)\s+(?P<number>\d+)\s+\d+\s+\d+")


class _Row(NamedTuple):
    line: int
    image: str
    label: str
    number: str


def matches(source: ExtractedArchive) -> str | None:
    lists = [file for file in source.files if base_of(file.name).lower() == _LIST]
    if not lists:
        return f"no {_LIST} in the archive."
    rows = _rows_of_images(source, lists[0])
    if not rows:
        return f"{lists[0].name} has no rows of an image of the archive and three numbers."
    with_boxes = {bare_of(base_of(file.name)) for file in _xml_files(source)}
    if all(row.image in with_boxes for row in rows):
        return f"every image of {lists[0].name} has an XML with boxes, which are read in its place."
    return None


def read(source: ExtractedArchive) -> Dataset:
    """Kind `classification`; the split is that of the lists beside."""
    file = next(file for file in source.files if base_of(file.name).lower() == _LIST)
    report = Report(file)
    content = read_lines(file)
    if content is None:
        report.findings.append(why_unread(file))
    listed = list(_listed(content or [], report))
    matched = match_listed(listed, source)
    xml = _xml_files(source)
    if xml:
        detail = (
            f"{counted(len(xml), 'XML file')} with boxes left out: only a part of the images has one, and the classes "
        )
        detail += f"are read from {_LIST}. To detect objects, remove {_LIST} and the images without an XML."
        report.findings.append(Finding.of("annotations-left-out", xml[0].name, detail))
    findings = list(report.findings)
    dataset = dataset_of(source, NAME, "classification", matched, findings, is_whole=content is not None)
    return replace(dataset, used=frozenset(each.name for each in xml))


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:  # noqa: ARG001 - the protocol
    items = [item for item, *_ in kept if item.label]
    names = sorted({str(item.label) for item in items})
    rows = (f"{bare_of(base_of(item.image.name))} {names.index(str(item.label)) + 1} 1 1\n" for item in items)
    yield f"{root_of(kept)}{_LIST}", "".join(rows).encode()
    yield from split_lists(kept)


def _rows_of_images(source: ExtractedArchive, file: SourceFile) -> list[_Row]:
    """Those that name an image of the archive; empty for a file where most rows are others."""
    stems = {bare_of(base_of(image.name)) for image in images_of_set(source)}
    lines = [line for line in read_lines(file) or () if line.strip() and not line.startswith("#")]
    rows = [row for at, line in enumerate(lines) if (row := _row(at, line)) and row.image in stems]
    return rows if 2 * len(rows) > len(lines) else []


def _row(line: int, text: str) -> _Row | None:
    match = _ROW.fullmatch(text.strip())
    return _Row(line, match["image"], match["label"], match["number"]) if match else None


def _xml_files(source: ExtractedArchive) -> list[SourceFile]:
    """XML of the images, by name: in `xmls/`, or anywhere else."""
    stems = {bare_of(base_of(image.name)) for image in images_of_set(source)}
    return [
        file for file in source.files if file.name.lower().endswith(".xml") and bare_of(base_of(file.name)) in stems
    ]


def _listed(lines: Sequence[str], report: Report) -> Iterator[ListedImage]:
    names: dict[str, str] = {}  # number of a class -> its name
    for line, text in enumerate(lines, start=1):
        if not text.strip() or text.startswith("#"):
            continue
        row = _row(line, text)
        if row is None:
            report.add(
                "table-row-invalid", "The row is not the name of an image with a number, and three numbers.", line
            )
            continue
        # Without boxes there is no frame that a declared size could decide.
        entry = ListedImage(report.file, row.image, line, coordinates="fractions", label=clean_label(row.label))
        fault = class_name_fault(str(entry.label))
        known = names.setdefault(row.number, row.label)
        if known != row.label:
            fault = "class-id-unknown", f"The class {row.number} is {known[:100]!r} above and {row.label[:100]!r} here."
        if fault:
            report.add(*fault, line)
            entry.usable = False
        yield entry
