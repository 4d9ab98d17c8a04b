"""A revision: the ZIP that an extension writes, one JSON line for each image, read back exactly as it was.

The first line of `darkroom-dataset.jsonl` is `{"schema", "kind", "classes"}`, with the classes in the order of their
ids; then `{"removed", "phash", "split"}`, the sha256 and the rest of each image that was taken out, which keeps its
split if it comes back; then `{"path", "width", "height", "split"}` with `boxes`, as manifests have them ([class id, x1,
y1, x2, y2, difficult] in 1/1000 px of the upright image), or `label`, the class id of the whole image.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from core.domain import limits
from core.domain.findings import FindingList
from pipeline.archive.entry_names import base_of
from pipeline.archive.extract import is_image
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import SPLITS, Dataset, Item, RawBox, RepairedItem
from pipeline.formats.box_limits import require_boxes, require_boxes_of_image, require_entries
from pipeline.formats.json_lines import Record, read_records
from pipeline.formats.json_stream import JsonBroken
from pipeline.formats.text import class_name_fault, clean_label

REVISION_FILE = "darkroom-dataset.jsonl"
SCHEMA = "darkroom-dataset/1"
MAX_PIXEL = 1_000_000  # beyond the side of any accepted image
_BOX_VALUES = 6
_PHASH_DIGITS = 64


class RemovedImage(NamedTuple):
    """One that was taken out of an earlier revision."""

    sha256: str
    phash: bytes | None
    split: str


class RevisionImage(NamedTuple):
    """A line. `boxes`: as the manifest has them; `label`: None in detection."""

    path: str
    size: tuple[int, int]
    split: str | None
    boxes: tuple[tuple[int, ...], ...] = ()
    label: int | None = None


@dataclass(slots=True)
class _Lines:
    """What was read: by the path of the image, and the paths whose line cannot be used."""

    file: SourceFile
    classes: tuple[str, ...] = ()
    of: dict[str, tuple[int, RevisionImage]] = field(default_factory=dict)
    unusable: set[str] = field(default_factory=set)
    findings: FindingList = field(default_factory=FindingList)
    is_whole: bool = True
    boxes: int = 0

    def add(self, code: str, detail: str, line: int) -> None:
        self.findings.add(code, self.file.name, detail, line)


def revision_file(source: ExtractedArchive) -> SourceFile | None:
    return next((file for file in source.files if base_of(file.name) == REVISION_FILE), None)


def missing_in(source: ExtractedArchive, kind: str) -> str | None:
    """None where the archive is a revision of this kind; else what is missing."""
    file = revision_file(source)
    if file is None:
        return f"no {REVISION_FILE}."
    head = read_head(file)
    if head is None:
        return f"{file.name} does not begin with a line of the schema {SCHEMA}."
    return None if head["kind"] == kind else f"{file.name} is of the kind {head['kind']}."


def read_head(file: SourceFile) -> Record | None:
    """The first line; None where it is not that of a revision."""
    try:
        head = next(read_records(file), (0, {}))[1]
    except JsonBroken:
        return None
    kinds = ("detection", "classification")
    valid = head.get("schema") == SCHEMA and head.get("kind") in kinds and isinstance(head.get("classes"), list)
    return head if valid else None


def read_revision(source: ExtractedArchive, name: str, kind: str) -> Dataset:
    """Of an archive for which `missing_in` returned None. Raises LimitReached."""
    file = revision_file(source)
    assert file is not None  # noqa: S101 - for the type checker
    lines = _read(file, kind)
    root = file.name[: -len(REVISION_FILE)]
    images = [each for each in source.files if is_image(each.name)]
    items = tuple(_item(each, lines, root) for each in images)
    lost = lines.of.keys() - {each.name[len(root) :] for each in images if each.name.startswith(root)}
    for path in sorted(lost):
        lines.add("json-image-unknown", f"The image {path[:200]} is not in the archive.", lines.of[path][0])
    broken = {item.image.name for item in items if item.image.name[len(root) :] in lines.unusable}
    if not lines.is_whole:
        broken = {item.image.name for item in items}
    labels = {box.label for item in items for box in item.boxes} | {item.label for item in items}
    order = tuple(name for name in lines.classes if name in labels)
    return Dataset(kind, name, items, lines.findings, frozenset(broken), len(lost), frozenset({file.name}), order)


def read_removed(file: SourceFile) -> list[RemovedImage]:
    """The images that were taken out of earlier revisions. Nothing for a file that cannot be read so far."""
    removed = []
    try:
        for _, record in islice(read_records(file), 1, limits.MAX_LISTED_IMAGES):
            if "removed" not in record:
                break
            sha256, phash, split = record["removed"], record.get("phash"), record.get("split")
            if isinstance(sha256, str) and split in SPLITS and (phash is None or _is_phash(phash)):
                removed.append(RemovedImage(sha256, bytes.fromhex(phash) if phash else None, split))
    except JsonBroken:
        return []
    return removed


def head_lines(kind: str, classes: Sequence[str], removed: Iterable[RemovedImage] = ()) -> Iterator[str]:
    yield _text({"schema": SCHEMA, "kind": kind, "classes": list(classes)})
    for each in removed:
        yield _text({"removed": each.sha256, "phash": each.phash and each.phash.hex(), "split": each.split})


def image_line(image: RevisionImage) -> str:
    width, height = image.size
    marks = (
        {"boxes": [[*box[:5], int(box[5])] for box in image.boxes]} if image.label is None else {"label": image.label}
    )
    return _text({"path": image.path, "width": width, "height": height, "split": image.split, **marks})


def rewritten(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:
    """The same file for the items that a repair keeps."""
    file = revision_file(source)
    assert file is not None  # noqa: S101 - for the type checker
    head = read_head(file)
    assert head is not None  # noqa: S101 - as above
    root = file.name[: -len(REVISION_FILE)]
    classes = [clean_label(str(each)) for each in head["classes"]]
    ids = {name: number for number, name in reversed(list(enumerate(classes)))}
    lines = [*head_lines(head["kind"], classes, read_removed(file))]
    for item, *_ in kept:
        boxes = tuple((ids[b.label], b.x1, b.y1, b.x2, b.y2, int(b.difficult)) for b in item.boxes)
        label = ids[item.label] if item.label else None
        if item.annotation:
            lines.append(
                image_line(RevisionImage(item.image.name[len(root) :], item.size or (0, 0), item.split, boxes, label))
            )
    yield file.name, "".join(lines).encode()


def _read(file: SourceFile, kind: str) -> _Lines:
    lines = _Lines(file)
    try:
        records = read_records(file)
        head = next(records)[1]
        lines.classes = _classes(lines, head["classes"])
        for number, record in records:
            require_entries(file, len(lines.of) + 1, number)
            if "removed" not in record:
                _add(lines, number, record, kind)
    except JsonBroken as broken:
        lines.is_whole = False
        lines.add("json-invalid", f"The JSON Lines cannot be read: {broken.detail}", broken.line)
    return lines


def _classes(lines: _Lines, stated: list[Any]) -> tuple[str, ...]:
    """With an empty name in the place of one that cannot be used."""
    names = []
    for each in stated:
        name = clean_label(each) if isinstance(each, str) else ""
        fault = class_name_fault(name) if name else ("class-name-empty", "A class has no name.")
        if fault is None and name in names:
            fault = "class-name-twice", f"Two classes are named {name!r}."
        if fault:
            lines.add(*fault, 1)
        names.append("" if fault and fault[0] != "class-name-twice" else name)
    return tuple(names)


def _add(lines: _Lines, number: int, record: Record, kind: str) -> None:
    path = record.get("path")
    if not isinstance(path, str) or not path:
        lines.is_whole = False  # it may be about any image
        return lines.add("json-entry-invalid", "The line has no `path`.", number)
    if path in lines.of:
        lines.unusable.add(path)
        return lines.add("image-annotated-twice", f"The image {path[:200]} has a line already.", number)
    image, fault = _image(lines, number, record, kind)
    lines.of[path] = (number, image)
    if fault:
        lines.unusable.add(path)
        lines.add(*fault, number)
    return None


def _image(lines: _Lines, number: int, record: Record, kind: str) -> tuple[RevisionImage, tuple[str, str] | None]:
    path, split = record["path"], record.get("split")
    size = record.get("width"), record.get("height")
    empty = RevisionImage(path, (0, 0), None)
    if not all(_is_whole(value, 1, MAX_PIXEL) for value in size):
        return empty, ("json-entry-invalid", "`width` and `height` are not whole numbers of pixels.")
    if split is not None and split not in SPLITS:
        return empty, ("json-entry-invalid", "`split` is none of train, val and test.")
    image = RevisionImage(path, (int(size[0] or 0), int(size[1] or 0)), split)
    if kind == "classification":
        label = record.get("label")
        if not _is_class(lines, label):
            return image, ("class-id-unknown", "`label` is not the number of a class.")
        return image._replace(label=label), None
    boxes = record.get("boxes")
    if not isinstance(boxes, list):
        return image, ("json-entry-invalid", "`boxes` is not a list.")
    require_boxes_of_image(lines.file, len(boxes), number)
    lines.boxes += len(boxes)
    require_boxes(lines.file, lines.boxes, number)
    if not all(_is_box(each) for each in boxes):
        return image, ("box-not-a-number", "A box is not a list of six whole numbers.")
    if not all(_is_class(lines, each[0]) for each in boxes):
        return image, ("class-id-unknown", "A box has the number of no class.")
    return image._replace(boxes=tuple(map(tuple, boxes))), None


def _is_phash(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{_PHASH_DIGITS}}}", value) is not None


def _is_whole(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _is_class(lines: _Lines, value: Any) -> bool:
    return _is_whole(value, 0, len(lines.classes) - 1) and bool(lines.classes[value])


def _is_box(value: Any) -> bool:
    edge = 1000 * MAX_PIXEL
    return isinstance(value, list) and len(value) == _BOX_VALUES and all(_is_whole(each, -edge, edge) for each in value)


def _item(image: SourceFile, lines: _Lines, root: str) -> Item:
    path = image.name[len(root) :] if image.name.startswith(root) else ""
    found = lines.of.get(path)
    if found is None:
        return Item(image, coordinates="edges")
    number, entry = found
    boxes = tuple(
        RawBox(lines.classes[each[0]], each[1], each[2], each[3], each[4], bool(each[5]), number)
        for each in entry.boxes
    )
    return Item(
        image,
        boxes=boxes,
        split=entry.split,
        annotation=lines.file.name,
        size=entry.size if min(entry.size) else None,
        size_line=number,
        label=None if entry.label is None else lines.classes[entry.label],
        coordinates="edges",
    )


_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))  # `json.dumps` makes one for each line


def _text(value: dict[str, Any]) -> str:
    return _encoder.encode(value) + "\n"
