"""Boxes in one cell of a table: `[x, y, w, h]`, a list of such lists, or `objects` as the hub's metadata.csv has it."""

import json
import re
from typing import Any, NamedTuple

from pipeline.formats.coordinates import exact
from pipeline.formats.json_stream import decimal_of
from pipeline.formats.table_columns import Shape

_PLAIN = re.compile(r"[\[(]?\s*([^\s,;\[\](){}]+(?:[\s,;]+[^\s,;\[\](){}]+){3})[\s,;]*[\])]?")
_KEYS: tuple[tuple[Shape, tuple[str, str, str, str]], ...] = (
    ("corners", ("xmin", "ymin", "xmax", "ymax")),
    ("corners", ("x1", "y1", "x2", "y2")),
    ("sides", ("x", "y", "width", "height")),
    ("sides", ("x", "y", "w", "h")),
)
_BOX_KEYS = ("bbox", "box", "boxes", "bboxes")
_CLASS_KEYS = ("categories", "category", "labels", "label", "classes", "class", "name")
_MAX_CELL_CHARS = 1 << 20


class CellBox(NamedTuple):
    """`numbers`: in 1/UNIT of `coordinates.exact`. `label` is empty, and `shape` None, where the cell states none."""

    numbers: tuple[int, int, int, int]
    label: str = ""
    shape: Shape | None = None


def boxes_of_cell(text: str) -> list[CellBox] | None:
    """None for a cell that is not a box, a list of boxes, or objects with boxes."""
    if match := _PLAIN.fullmatch(text.strip()):
        box = _box(re.split(r"[\s,;]+", match[1]))
        return [box] if box else None
    value = _parsed(text)
    if isinstance(value, dict):
        value = _objects(value)
    if not isinstance(value, list):
        return None
    boxes = [_box(each) if isinstance(each, list) else _labelled(each) for each in value]
    found = [box for box in boxes if box]
    return found if len(found) == len(boxes) else None


def labels_of_cell(text: str) -> list[str]:
    """`['ant', 'bee']` are two; any other text is one."""
    value = _parsed(text) if text.startswith("[") else text
    return [_text(each) for each in value] if isinstance(value, list) else [text]


def _parsed(text: str) -> Any:
    """JSON, or what Python prints for a list or a dict of plain values."""
    if len(text) > _MAX_CELL_CHARS:
        return None
    for form in (text, text.replace("'", '"').replace("None", "null")):
        try:
            return json.loads(form, parse_float=decimal_of)
        except (ValueError, RecursionError):
            continue
    return None


def _objects(value: dict[str, Any]) -> list[Any] | None:
    """`{"bbox": [...], "categories": [...]}` as a list of objects."""
    boxes = next((value[key] for key in _BOX_KEYS if isinstance(value.get(key), list)), None)
    classes = next((value[key] for key in _CLASS_KEYS if isinstance(value.get(key), list)), None)
    if boxes is None or classes is None or len(boxes) != len(classes):
        return None
    return [{"bbox": box, "label": label} for box, label in zip(boxes, classes, strict=True)]


def _labelled(value: Any) -> CellBox | None:
    if not isinstance(value, dict):
        return None
    label = next((_text(value[key]) for key in _CLASS_KEYS if key in value), "")
    for shape, keys in _KEYS:
        if all(key in value for key in keys):
            box = _box([value[key] for key in keys])
            return box._replace(label=label, shape=shape) if box else None
    sides: list[Any] = next((value[key] for key in _BOX_KEYS if isinstance(value.get(key), list)), [])
    box = _box(sides)
    return box._replace(label=label, shape="sides") if box else None


def _box(values: list[Any]) -> CellBox | None:
    numbers = [None if isinstance(value, bool) else exact(str(value)) for value in values]
    found = [number for number in numbers if number is not None]
    if len(numbers) != 4 or len(found) != 4:
        return None
    return CellBox((found[0], found[1], found[2], found[3]))


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
