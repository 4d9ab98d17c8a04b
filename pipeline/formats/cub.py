"""CUB-200 and sets in its form: tables of ids beside a folder of images, with a given split.

`images.txt` (id, path), `image_class_labels.txt` (id, class), `classes.txt` (class, name), `train_test_split.txt` (id,
1 for train). `bounding_boxes.txt` and the parts are not read: the set is one of classes of whole images.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from core.domain.findings import Finding
from pipeline.archive.entry_names import base_of, folder_of
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import Dataset, RepairedItem, root_of
from pipeline.formats.listed import ListedImage, Report, dataset_of, match_listed
from pipeline.formats.split_lists import split_lists
from pipeline.formats.text import class_name_fault, clean_label, read_lines, why_unread

NAME = "cub"
_IMAGES, _LABELS = "images.txt", "image_class_labels.txt"
_CLASSES, _SPLIT = "classes.txt", "train_test_split.txt"
_BOXES = "bounding_boxes.txt"
_UNREAD = frozenset({"text-encoding", "text-too-large"})
_SPLITS = {"1": "train", "0": "test"}


class _Row(NamedTuple):
    """`line`: of the file; `value`: what follows the id."""

    line: int
    value: str


def matches(source: ExtractedArchive) -> str | None:
    if _folder(source) is None:
        return f"no {_IMAGES} beside {_LABELS} and {_CLASSES}."
    return None


def read(source: ExtractedArchive) -> Dataset:
    """Kind `classification`; the classes and the split are those of the tables."""
    tables = _tables(source)
    reports = {name: Report(file) for name, file in tables.items()}
    rows = {name: _rows(reports[name]) for name in tables}
    listed = list(_listed(rows, reports))
    matched = match_listed(listed, source)
    findings = [finding for report in reports.values() for finding in report.findings]
    if boxes := next((file for file in source.files if _is_boxes(file, source)), None):
        detail = "The boxes are left out: the classes are those of whole images. To detect, convert them to COCO."
        findings.append(Finding.of("annotations-left-out", boxes.name, detail))
    is_whole = all(finding.code not in _UNREAD for finding in findings)
    dataset = dataset_of(source, NAME, "classification", matched, findings, is_whole=is_whole)
    return replace(dataset, used=frozenset(file.name for file in tables.values()))


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:  # noqa: ARG001 - the protocol
    """The tables; lists in place of that of the split, which knows no val, where there is one."""
    root = root_of(kept)
    items = list(enumerate((item for item, *_ in kept if item.label), start=1))
    names = sorted({str(item.label) for _, item in items})
    yield f"{root}{_IMAGES}", _lines((at, item.image.name[len(root) :]) for at, item in items)
    yield f"{root}{_LABELS}", _lines((at, str(names.index(str(item.label)) + 1)) for at, item in items)
    yield f"{root}{_CLASSES}", _lines(enumerate(names, start=1))
    if any(item.split == "val" for _, item in items):
        yield from split_lists(kept)
    elif any(item.split for _, item in items):
        yield f"{root}{_SPLIT}", _lines((at, "0" if item.split == "test" else "1") for at, item in items)


def _lines(rows: Iterable[tuple[int, str]]) -> bytes:
    return "".join(f"{number} {value}\n" for number, value in rows).encode()


def _folder(source: ExtractedArchive) -> str | None:
    """The first folder with all tables that name classes."""
    names = {file.name for file in source.files}
    for file in source.files:
        prefix = file.name[: -len(_IMAGES)]
        if base_of(file.name) == _IMAGES and {prefix + _LABELS, prefix + _CLASSES} <= names:
            return folder_of(file.name)
    return None


def _is_boxes(file: SourceFile, source: ExtractedArchive) -> bool:
    return base_of(file.name) == _BOXES and folder_of(file.name) == _folder(source)


def _tables(source: ExtractedArchive) -> dict[str, SourceFile]:
    folder = _folder(source)
    names = (_IMAGES, _LABELS, _CLASSES, _SPLIT)
    beside = [file for file in source.files if folder_of(file.name) == folder]
    return {base_of(file.name): file for file in beside if base_of(file.name) in names}


def _rows(report: Report) -> dict[str, _Row]:
    """Id -> its row; errors are reported."""
    content = read_lines(report.file)
    if content is None:
        report.findings.append(why_unread(report.file))
    rows: dict[str, _Row] = {}
    for line, text in enumerate(content or (), start=1):
        number, *rest = text.split(maxsplit=1) or ("",)
        value = rest[0] if rest else ""
        if not number:
            continue
        if not value:
            report.add("table-row-invalid", "The row has an id and no value.", line)
        elif number in rows:
            report.add("table-row-invalid", f"The id {number[:40]} occurs twice.", line)
        rows.setdefault(number, _Row(line, value.strip()))
    return rows


def _listed(rows: Mapping[str, Mapping[str, _Row]], reports: Mapping[str, Report]) -> Iterator[ListedImage]:
    labels, names, splits = rows[_LABELS], rows[_CLASSES], rows.get(_SPLIT, {})
    for number, (line, path) in rows[_IMAGES].items():
        label, split = labels.get(number), splits.get(number)
        named = names.get(label.value) if label else None
        # Without boxes there is no frame that a declared size could decide.
        entry = ListedImage(reports[_IMAGES].file, path, line, coordinates="fractions")
        entry.label = clean_label(named.value) if named else None
        entry.split = _SPLITS.get(split.value) if split else None
        fault = class_name_fault(entry.label) if entry.label else None
        if label is None:
            reports[_IMAGES].add("class-id-unknown", f"The image {number[:40]} has no row in {_LABELS}.", line)
        elif not entry.label:
            reports[_LABELS].add("class-id-unknown", f"The class {label.value[:40]} is not in {_CLASSES}.", label.line)
        elif fault and named:
            reports[_CLASSES].add(*fault, named.line)
        if splits and entry.split is None:
            reports[_IMAGES].add("table-row-invalid", f"The image {number[:40]} has no 1 or 0 in {_SPLIT}.", line)
        entry.usable = bool(entry.label) and not fault and not (splits and entry.split is None)
        yield entry
