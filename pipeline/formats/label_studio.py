"""Label Studio JSON, also JSON-MIN: a list of tasks with regions in percent of the image."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from core.domain.findings import Finding
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive
from pipeline.dataset.model import Dataset, Item, RawBox, RepairedItem, root_of
from pipeline.formats.coordinates import UNIT, exact
from pipeline.formats.label_studio_exports import Annotations, Export, dataset_of_exports, read_exports, why_none
from pipeline.formats.label_studio_forms import LABELS, holds_regions
from pipeline.formats.listed import ListedImage
from pipeline.formats.text import WrittenNames, class_name_fault

NAME = "label-studio"
_FULL = 100 * UNIT

Edges = tuple[int, int, int, int]  # percent in 1/UNIT


@dataclass(slots=True)
class _Export(Export):
    """`rotated`, `polygons`: lines of what is read as the box around it."""

    rotated: list[int | None] = field(default_factory=list)
    polygons: list[int | None] = field(default_factory=list)


def matches(source: ExtractedArchive) -> str | None:
    return why_none(source, holds_regions, "regions")


def read(source: ExtractedArchive) -> Dataset:
    written = WrittenNames()
    exports = read_exports(source, holds_regions, _Export, partial(_annotate, written))
    for export in exports:
        _note_export(export)
    return dataset_of_exports(source, NAME, "detection", exports, written)


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:  # noqa: ARG001 - the protocol
    """One list of tasks with rectangles alone."""
    root = root_of(kept)
    tasks = [_task(number, item, root) for number, item in enumerate((item for item, *_ in kept if item.annotation), 1)]
    yield f"{root}annotations.json", json.dumps(tasks, indent=1, ensure_ascii=False).encode()


def _task(number: int, item: Item, root: str) -> dict[str, Any]:
    width, height = item.size or (1, 1)
    result = [
        {
            "id": f"{number}-{at}",
            "type": "rectanglelabels",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {
                "x": box.x1 / width / 10,
                "y": box.y1 / height / 10,
                "width": (box.x2 - box.x1) / width / 10,
                "height": (box.y2 - box.y1) / height / 10,
                "rotation": 0,
                "rectanglelabels": [box.label],
            },
        }
        for at, box in enumerate(item.boxes)
    ]
    data = {"image": item.image.name[len(root) :]} | ({"split": item.split} if item.split else {})
    return {"id": number, "data": data, "annotations": [{"id": number, "was_cancelled": False, "result": result}]}


def _annotate(written: WrittenNames, export: _Export, entry: ListedImage, done: Annotations) -> None:
    results = done[0].get("result")
    if len(done) > 1 or not isinstance(results, list):
        detail = f"The task of {entry.name[:200]!r} has {len(done)} annotations; keep one of them."
        export.report.add("image-annotated-twice", detail, entry.line)
        entry.usable = False
        return
    for region in _regions(results):
        box = _box(export, region, entry.line, written)
        if box:
            export.report.add_box(entry, box)
        else:
            entry.usable = False


def _regions(results: list[Any]) -> Iterator[dict[str, Any]]:
    """Those with labels, or with a shape that no result of the same id labels; choices and texts are no regions."""
    regions = [each for each in results if isinstance(each, dict) and isinstance(each.get("value"), dict)]
    labelled = {str(each.get("id")) for each in regions if _labels_of(each["value"]) is not None}
    for region in regions:
        value = region["value"]
        is_shape = any(key in value for key in ("x", "points", "rle", "format"))
        if _labels_of(value) is not None or (is_shape and str(region.get("id")) not in labelled):
            yield region


def _labels_of(value: dict[str, Any]) -> list[Any] | None:
    return next((value[key] for key in LABELS if isinstance(value.get(key), list)), None)


def _box(export: _Export, region: dict[str, Any], line: int | None, written: WrittenNames) -> RawBox | None:
    """None for an error, which is reported."""
    report, value = export.report, region["value"]
    labels = _labels_of(value) or []
    name = labels[0] if len(labels) == 1 and isinstance(labels[0], str) else ""
    label = written.clean(name, report.file.name, line)
    fault = class_name_fault(label) if label else ("class-name-empty", f"A region has {len(labels)} labels, not one.")
    if region.get("image_rotation") not in (None, 0):
        fault = "json-entry-invalid", "The image was rotated in Label Studio: label it upright."
    edges = _edges(region)
    if fault or edges is None:
        detail = f"A region of {label[:100]!r} ({str(region.get('type'))[:40]}) has no area, or not the numbers of one."
        report.add(*(fault or ("shape-without-box", detail)), line)
        return None
    if "points" in value or "radiusX" in value:
        export.polygons.append(line)
    elif value.get("rotation"):
        export.rotated.append(line)
    x1, y1, x2, y2 = (edge // 50 for edge in edges)
    return RawBox(label, x1, y1, x2, y2, False, line)


def _edges(region: dict[str, Any]) -> Edges | None:
    value = region["value"]
    rotation = _exact(value.get("rotation", 0))
    points = value.get("points")
    if isinstance(points, list):
        return _around(points)
    if rotation is None:
        return None
    if "radiusX" in value:
        x, y, across, down = (_exact(value.get(key)) for key in ("x", "y", "radiusX", "radiusY"))
        if x is None or y is None or across is None or down is None or rotation:
            return None
        return x - across, y - down, x + across, y + down
    x, y, width, height = (_exact(value.get(key)) for key in ("x", "y", "width", "height"))
    if x is None or y is None or width is None or height is None:
        return None
    if not rotation:
        return x, y, x + width, y + height
    return _rotated((x, y, width, height), rotation / UNIT, region)


def _rotated(sides: Edges, angle: float, region: dict[str, Any]) -> Edges | None:
    """The box around a rectangle that is turned by `angle` degrees about its upper left corner."""
    size = [_exact(region.get(key)) for key in ("original_width", "original_height")]
    if not size[0] or not size[1]:
        return None
    across, down = size[0] / _FULL, size[1] / _FULL  # px of one percent
    x, y, width, height = sides
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    corners = [(w * across, h * down) for w, h in ((0, 0), (width, 0), (0, height), (width, height))]
    columns = [round(x + (w * cos - h * sin) / across) for w, h in corners]
    rows = [round(y + (w * sin + h * cos) / down) for w, h in corners]
    return min(columns), min(rows), max(columns), max(rows)


def _around(points: list[Any]) -> Edges | None:
    pairs = [point for point in points if isinstance(point, list) and len(point) == 2]
    numbers = [_exact(value) for point in pairs for value in point]
    found = [number for number in numbers if number is not None]
    if len(pairs) < 3 or len(pairs) != len(points) or len(found) != len(numbers):
        return None
    return min(found[0::2]), min(found[1::2]), max(found[0::2]), max(found[1::2])


def _exact(value: Any) -> int | None:
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return exact(str(value)) if is_number else None


def _note_export(export: _Export) -> None:
    report = export.report
    if export.rotated:
        detail = f"{counted(len(export.rotated), 'rotated box', 'rotated boxes')}: "
        detail += "each is taken as the upright box around it."
        report.findings.append(Finding.of("rotated-as-boxes", report.file.name, detail, line=export.rotated[0]))
    if export.polygons:
        detail = f"{counted(len(export.polygons), 'polygon or ellipse', 'polygons or ellipses')}: "
        detail += "each is taken as the box around it."
        report.findings.append(Finding.of("polygons-as-boxes", report.file.name, detail, line=export.polygons[0]))
