"""LabelMe: one JSON for each image, with rectangles, polygons and circles in pixels of the image."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import isqrt
from typing import Any

from core.domain.findings import Finding, FindingList
from pipeline.archive.entry_names import base_of, folder_of
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import Dataset, Item, RawBox, RepairedItem
from pipeline.formats.box_limits import add_box, limited
from pipeline.formats.image_roles import images_of_set
from pipeline.formats.json_stream import JsonBroken, read_members
from pipeline.formats.listed import Report
from pipeline.formats.pairs import pair, pair_findings
from pipeline.formats.split_lists import split_lists
from pipeline.formats.text import WrittenNames, class_name_fault, thousandths

NAME = "labelme"
_KEYS = (b'"shapes"', b'"imagePath"')
_AREAS = frozenset({"rectangle", "polygon", "mask", "rotation"})
_VERSION = "5.5.0"  # of LabelMe, in rewritten files

Point = tuple[int, int]  # in 1/1000 px


@dataclass(slots=True)
class _Annotation:
    file: SourceFile
    report: Report
    image_name: str = ""
    folder: str = ""
    width: int | None = None
    height: int | None = None
    boxes: list[RawBox] = field(default_factory=list)
    polygons: int = 0
    usable: bool = True

    @property
    def size(self) -> tuple[int, int] | None:
        return (self.width // 1000, self.height // 1000) if self.width and self.height else None


def matches(source: ExtractedArchive) -> str | None:
    documents = [file for file in source.files if file.name.lower().endswith(".json")]
    if not documents:
        return "no JSON files in the archive."
    if not any(map(_is_labelme, documents)):
        return f"{counted(len(documents), 'JSON file')}, none with `shapes` and `imagePath`."
    return None


def read(source: ExtractedArchive) -> Dataset:
    written = WrittenNames()
    files = [file for file in source.files if file.name.lower().endswith(".json") and _is_labelme(file)]
    findings = FindingList()
    annotations: list[_Annotation] = []
    for annotation in limited(_parse(file, written) for file in files):
        annotations.append(annotation)
        findings += annotation.report.findings
        annotation.report.findings.clear()
    images = images_of_set(source)
    pairs = pair(annotations, images)
    findings += [*written.findings(), *_polygon_note(annotations), *pair_findings(pairs, source)]
    by_image = {pairs.of[each.file.name].name: each for each in annotations if each.file.name in pairs.of}
    items = tuple(_item(image, by_image.get(image.name)) for image in images)
    broken = pairs.broken | {image for image, annotation in by_image.items() if not annotation.usable}
    return Dataset("detection", NAME, items, findings, frozenset(broken), lost=len(pairs.lost))


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:
    """The JSON unchanged where nothing was repaired, else with rectangles alone and without the image's bytes."""
    files = {file.name: file for file in source.files}
    for item, changed, _ in kept:
        if item.annotation:
            content = _document(item) if changed else files[item.annotation].byte_range.read()
            yield item.annotation, content
    yield from split_lists(kept)


def _is_labelme(file: SourceFile) -> bool:
    return all(file.byte_range.contains(_KEYS))


def _parse(file: SourceFile, written: WrittenNames) -> _Annotation:
    annotation = _Annotation(file, Report(file))
    try:
        for element in read_members(file.byte_range.open()):
            value = element.value
            if element.key == "shapes" and element.number is not None:
                _read_shape(annotation, value, element.line, written)
            elif element.key == "imagePath" and isinstance(value, str):
                path = value.replace("\\", "/")
                annotation.image_name, annotation.folder = base_of(path), base_of(folder_of(path))
            elif element.key == "imageWidth":
                annotation.width = thousandths(_number(value))
            elif element.key == "imageHeight":
                annotation.height = thousandths(_number(value))
    except JsonBroken as broken:
        annotation.report.add("json-invalid", f"The JSON cannot be read: {broken.detail}", broken.line)
        annotation.usable = False
        annotation.boxes = []
    return annotation


def _read_shape(annotation: _Annotation, shape: Any, line: int, written: WrittenNames) -> None:
    report = annotation.report
    name = shape.get("label") if isinstance(shape, dict) else None
    label = written.clean(name, report.file.name, line) if isinstance(name, str) else ""
    fault = class_name_fault(label) if label else ("class-name-empty", "A shape has no label.")
    edges = _edges(shape) if isinstance(shape, dict) else None
    if fault or edges is None:
        kind = str(shape.get("shape_type"))[:40] if isinstance(shape, dict) else "no object"
        detail = f"A shape of {label[:100]!r} ({kind}) has no area, or not the points of one."
        report.add(*(fault or ("shape-without-box", detail)), line)
        annotation.usable = False
        return
    annotation.polygons += len(shape["points"]) > 2
    add_box(annotation, RawBox(label, *edges, False, line))


def _edges(shape: dict[str, Any]) -> tuple[int, int, int, int] | None:
    """The box around the shape; None for one without an area."""
    points = _points(shape.get("points"))
    kind = shape.get("shape_type") or "polygon"  # older versions have polygons alone, without a type
    if points is None:
        return None
    if kind == "circle" and len(points) == 2:
        (x, y), (to_x, to_y) = points
        squared = (to_x - x) ** 2 + (to_y - y) ** 2
        radius = isqrt(squared) + (isqrt(squared) ** 2 != squared)
        return x - radius, y - radius, x + radius, y + radius
    if kind not in _AREAS or len(points) < (3 if kind == "polygon" else 2):
        return None
    across, down = [x for x, _ in points], [y for _, y in points]
    return min(across), min(down), max(across), max(down)


def _points(value: Any) -> list[Point] | None:
    if not isinstance(value, list) or not value:
        return None
    points: list[Point] = []
    for point in value:
        if not isinstance(point, list) or len(point) != 2:
            return None
        x, y = (thousandths(_number(each)) for each in point)
        if x is None or y is None:
            return None
        points.append((x, y))
    return points


def _number(value: Any) -> int | Decimal | str:
    """A number as input of `thousandths`; an empty string, which it refuses, for anything else."""
    return value if isinstance(value, int | Decimal) and not isinstance(value, bool) else ""


def _polygon_note(annotations: list[_Annotation]) -> Iterator[Finding]:
    count = sum(annotation.polygons for annotation in annotations)
    if count:
        first = next(annotation.file.name for annotation in annotations if annotation.polygons)
        detail = f"{counted(count, 'polygon')}: each is taken as the box around it."
        yield Finding.of("polygons-as-boxes", first, detail)


def _item(image: SourceFile, annotation: _Annotation | None) -> Item:
    if annotation is None:
        return Item(image, coordinates="edges")
    return Item(
        image,
        boxes=tuple(annotation.boxes),
        annotation=annotation.file.name,
        size=annotation.size,
        coordinates="edges",
    )


def _document(item: Item) -> bytes:
    width, height = item.size or (0, 0)
    shapes: list[dict[str, Any]] = [
        {
            "label": box.label,
            "points": [[box.x1 / 1000, box.y1 / 1000], [box.x2 / 1000, box.y2 / 1000]],
            "group_id": None,
            "shape_type": "rectangle",
            "flags": {},
        }
        for box in item.boxes
    ]
    document: dict[str, Any] = {
        "version": _VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": base_of(item.image.name),
    }
    document |= {"imageData": None, "imageHeight": height, "imageWidth": width}
    return json.dumps(document, indent=1, ensure_ascii=False).encode()
