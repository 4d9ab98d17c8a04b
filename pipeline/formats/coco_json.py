"""Reads one COCO JSON: images, categories, and the boxes of each image; findings with their line."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from core.domain.findings import FindingList
from pipeline.archive.plural import counted
from pipeline.archive.source import SourceFile
from pipeline.dataset.model import FRACTION, RawBox
from pipeline.formats.box_limits import require_boxes, require_boxes_of_image, require_entries
from pipeline.formats.box_shapes import BoxShapes
from pipeline.formats.coco_ids import AnnotationIds, Id, IdKinds
from pipeline.formats.json_stream import Element, JsonBroken, read_members
from pipeline.formats.text import MAX_COORDINATE, WrittenNames, class_name_fault, thousandths


@dataclass(slots=True)
class CocoImage:
    """`boxes`: (category id, box without its label). `split`: the value of this key."""

    file_name: str
    size: tuple[int, int] | None
    line: int
    boxes: list[tuple[Id, RawBox]] = field(default_factory=list)
    usable: bool = True
    split: object = None


@dataclass(slots=True)
class CocoFile:
    """`usable`: the file was read to its end. `fractions`: all boxes read so far lie within 0 .. 1, in 1/FRACTION."""

    file: SourceFile
    images: dict[Id, CocoImage] = field(default_factory=dict)
    names: dict[Id, str] = field(default_factory=dict)
    findings: FindingList = field(default_factory=FindingList)
    usable: bool = True
    boxes: int = 0
    taken: Counter[str] = field(default_factory=Counter)  # names of categories
    crowds: list[int] = field(default_factory=list)
    polygons: list[int] = field(default_factory=list)
    numbers: AnnotationIds = field(default_factory=AnnotationIds)
    fractions: bool = True
    ids: IdKinds = field(default_factory=IdKinds)


def parse_coco(file: SourceFile, written: WrittenNames) -> CocoFile:
    """`written`: shared by all files of the dataset."""
    coco = CocoFile(file)
    waiting: list[tuple[Id, Id, RawBox]] = []  # annotations may come before their images
    unusable: list[tuple[Id, int]] = []
    try:
        for element in read_members(file.byte_range.open()):
            if element.number is None:
                continue
            if element.key == "images":
                _read_image(coco, element)
            elif element.key == "categories":
                _read_category(coco, element, written)
            elif element.key == "annotations":
                _read_annotation(coco, element, waiting, unusable)
    except JsonBroken as broken:
        coco.usable = False
        _report(coco, broken.line, "json-invalid", f"The JSON cannot be read: {broken.detail}")
        for image in coco.images.values():
            image.boxes = []  # incomplete, and their categories may be in the unread rest
        return coco
    _resolve(coco, waiting, unusable)
    _refuse_mixed_units(coco)
    _refuse_corners(coco)
    coco.fractions = coco.fractions and any(image.boxes for image in coco.images.values())
    _note_once(coco)
    return coco


def _read_image(coco: CocoFile, element: Element) -> None:
    entry = element.value
    where = f"Image number {element.number}"
    number = coco.ids.read("image", entry.get("id"), element.line) if isinstance(entry, dict) else None
    if number is None or not isinstance(entry.get("file_name"), str):
        _report(coco, element.line, "json-entry-invalid", f"{where} has no `id` or no `file_name`.")
        return
    if number in coco.images:
        detail = f"{where}: {coco.images[number].file_name[:200]} already has the id {_printed(number)}."
        _report(coco, element.line, "json-id-twice", detail)
        coco.images[number].usable = False
        return
    width, height = (thousandths(_text(entry.get(name))) for name in ("width", "height"))
    size = (width // 1000, height // 1000) if width and height and min(abs(width), abs(height)) >= 1000 else None
    require_entries(coco.file, len(coco.images) + 1, element.line)
    coco.images[number] = CocoImage(entry["file_name"], size, element.line, split=entry.get("split"))


def _read_category(coco: CocoFile, element: Element, written: WrittenNames) -> None:
    entry = element.value
    number = coco.ids.read("category", entry.get("id"), element.line) if isinstance(entry, dict) else None
    if number is None:
        detail = f"Category number {element.number} has no `id`."
        _report(coco, element.line, "json-entry-invalid", detail)
        return
    text = entry.get("name")
    name = written.clean(text, coco.file.name, element.line) if isinstance(text, str) else ""
    if not name:
        _report(coco, element.line, "class-name-empty", f"The category {_printed(number)} has no name.")
    elif fault := class_name_fault(name):
        _report(coco, element.line, *fault)
    elif coco.names.get(number, name) != name:
        detail = f"Two categories have the id {_printed(number)}: {coco.names[number]!r} and {name!r}."
        _report(coco, element.line, "json-id-twice", detail)
        coco.taken[coco.names.pop(number)] -= 1  # it is unknown which one the annotations refer to
    else:
        if coco.taken[name]:
            detail = f"Two categories are named {name!r}; they become one class."
            _report(coco, element.line, "class-name-twice", detail)
        coco.taken[name] += coco.names.get(number) != name
        coco.names[number] = name


def _read_annotation(
    coco: CocoFile, element: Element, waiting: list[tuple[Id, Id, RawBox]], unusable: list[tuple[Id, int]]
) -> None:
    entry, line = element.value, element.line
    image = coco.ids.read("image", entry.get("image_id"), line) if isinstance(entry, dict) else None
    category = coco.ids.read("category", entry.get("category_id"), line) if isinstance(entry, dict) else None
    where = f"Annotation number {element.number}"
    if image is None or category is None:
        _report(coco, line, "json-entry-invalid", f"{where} has no `image_id` or no `category_id`.")
        if image is not None:
            unusable.append((image, line))
        return
    number = coco.ids.read("annotation", entry.get("id"), line)
    where += (
        f" (id {_printed(number)}, image {_printed(image)})" if number is not None else f" (image {_printed(image)})"
    )
    if number is not None:
        coco.numbers.add(number, line)
    if entry.get("iscrowd") in (1, True):
        coco.crowds.append(line)
        return
    box = _box(coco, entry, line, where)
    if box is not None and coco.fractions and not _is_fraction(box):
        box = _to_pixels(coco, box, waiting)
    coco.boxes += 1
    require_boxes(coco.file, coco.boxes, line)
    if box is None:
        unusable.append((image, line))
    elif image in coco.images:
        require_boxes_of_image(coco.file, len(coco.images[image].boxes) + 1, line)
        coco.images[image].boxes.append((category, box))
    else:
        waiting.append((image, category, box))


def _box(coco: CocoFile, entry: dict[str, Any], line: int, where: str) -> RawBox | None:
    values = entry.get("bbox")
    if not values and isinstance(entry.get("segmentation"), list):
        values = _around(entry["segmentation"])
        if values:
            coco.polygons.append(line)
    if not values:
        _report(coco, line, "box-missing", f"{where} has no `bbox`.")
        return None
    if not isinstance(values, list) or len(values) != 4:
        _report(coco, line, "box-not-a-number", f"{where}: `bbox` is not a list of four numbers.")
        return None
    numbers = [thousandths(_text(value)) for value in values]
    if None in numbers:
        wrong = str(values[numbers.index(None)])[:40]
        _report(coco, line, "box-not-a-number", f"{where}: {wrong!r} is not a valid coordinate.")
        return None
    x, y, width, height = (Decimal(_text(value)) for value in values)
    edges = (x, y, x + width, y + height)
    if max(edges) > MAX_COORDINATE:
        _report(coco, line, "box-not-a-number", f"{where}: the box reaches beyond {MAX_COORDINATE} px.")
        return None
    x1, y1, x2, y2 = (round(edge * FRACTION) if coco.fractions else _thousandths(edge) for edge in edges)
    return RawBox("", x1, y1, x2, y2, False, line)


def _is_fraction(box: RawBox) -> bool:
    """Whether the four numbers of a box in 1/FRACTION are: a rounding error beyond 1 is not a pixel."""
    numbers = (box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1)
    return min(box.x1, box.y1) >= 0 and max(numbers) <= FRACTION + FRACTION // 1000


def _to_pixels(coco: CocoFile, box: RawBox, waiting: list[tuple[Id, Id, RawBox]]) -> RawBox:
    """The first box beyond 1: it, and those before it, are in pixels after all."""
    coco.fractions = False
    for image in coco.images.values():
        image.boxes = [(category, _in_thousandths(each)) for category, each in image.boxes]
    waiting[:] = [(image, category, _in_thousandths(each)) for image, category, each in waiting]
    return _in_thousandths(box)


def _in_thousandths(box: RawBox) -> RawBox:
    x1, y1, x2, y2 = (_thousandths(Decimal(edge) / FRACTION) for edge in box[1:5])
    return box._replace(x1=x1, y1=y1, x2=x2, y2=y2)


def _thousandths(edge: Decimal) -> int:
    return int((edge * 1000).to_integral_value(ROUND_HALF_EVEN))


def _around(polygons: list[Any]) -> list[Decimal] | None:
    points = [value for polygon in polygons if isinstance(polygon, list) for value in polygon]
    numbers = [Decimal(_text(value)) for value in points if thousandths(_text(value)) is not None]
    if len(numbers) < 6 or len(numbers) != len(points) or len(numbers) % 2:
        return None
    left, top = min(numbers[0::2]), min(numbers[1::2])
    return [left, top, max(numbers[0::2]) - left, max(numbers[1::2]) - top]


def _resolve(coco: CocoFile, waiting: Iterable[tuple[Id, Id, RawBox]], unusable: Iterable[tuple[Id, int]]) -> None:
    for image, category, box in waiting:
        if image in coco.images:
            require_boxes_of_image(coco.file, len(coco.images[image].boxes) + 1, box.line)
            coco.images[image].boxes.append((category, box))
        else:
            detail = f"An annotation refers to the image {_printed(image)}, which is not listed in `images`."
            _report(coco, box.line, "json-image-unknown", detail)
    for listed in coco.images.values():
        for category, box in listed.boxes:
            if category not in coco.names:
                detail = f"The category {_printed(category)} is not listed in `categories`."
                _report(coco, box.line, "class-id-unknown", detail)
                listed.usable = False
        listed.boxes = [entry for entry in listed.boxes if entry[0] in coco.names]
    for number, line in coco.numbers.duplicates():
        detail = f"Another annotation already has the id {_printed(number)}."
        _report(coco, line, "json-annotation-twice", detail)
    for image, _ in unusable:
        if image in coco.images:
            coco.images[image].usable = False


def _refuse_mixed_units(coco: CocoFile) -> None:
    """Boxes with an area whose numbers lie within 0 .. 1, in a file in pixels: they are fractions, or no objects."""
    if coco.fractions:
        return
    for image in coco.images.values():
        for _, box in image.boxes:
            numbers = (box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1)
            if min(numbers[:2]) >= 0 and min(numbers[2:]) > 0 and max(numbers) <= 1000:
                detail = "This box lies within 0 .. 1, others of the file beyond: fractions and pixels are mixed."
                _report(coco, box.line, "box-units-mixed", detail)
                image.usable = False


def _refuse_corners(coco: CocoFile) -> None:
    """One error where most boxes of the file lie in their images as corners alone."""
    shapes = BoxShapes()
    for image in coco.images.values():
        size = (FRACTION, FRACTION) if coco.fractions else image.size
        unit = 1 if coco.fractions else 1000
        for _, box in image.boxes if size else ():
            sides = (box.x1 / unit, box.y1 / unit, (box.x2 - box.x1) / unit, (box.y2 - box.y1) / unit)
            shapes.add(coco.file.name, box.line or 0, sides, size or (1, 1))
    if why := shapes.why_unclear("sides"):
        _report(coco, shapes.first[1], "box-columns-unclear", f"Read as left, top, width, height, {why}")
        for image in coco.images.values():
            image.usable = image.usable and not image.boxes


def _note_once(coco: CocoFile) -> None:
    if mixed := coco.ids.mixed():
        _report(coco, mixed.text_line, "json-ids-mixed", mixed.detail)
    if coco.fractions:
        count = sum(len(image.boxes) for image in coco.images.values())
        detail = f"All {counted(count, 'box', 'boxes')} lie within 0 .. 1: they are read as fractions of the image."
        _report(coco, None, "boxes-as-fractions", detail)
    if coco.crowds:
        detail = f"{counted(len(coco.crowds), 'crowd annotation')} (`iscrowd`) left out."
        _report(coco, coco.crowds[0], "crowds-left-out", detail)
    if coco.polygons:
        detail = f"{counted(len(coco.polygons), 'polygon')} without a `bbox`: each is taken as the box around it."
        _report(coco, coco.polygons[0], "polygons-as-boxes", detail)
    used = {category for image in coco.images.values() for category, _ in image.boxes}
    unused = [name for number, name in coco.names.items() if number not in used]
    if used and unused:
        names = ", ".join(map(repr, unused[:10]))
        have = "has" if len(unused) == 1 else "have"
        _report(coco, None, "class-unused", f"{len(unused)} of {len(coco.names)} categories {have} no box: {names}.")


def _printed(number: Id | None) -> str:
    return str(number)[:40]


def _text(value: Any) -> str | int | Decimal:
    """A number as input of `thousandths`; an empty string, which it refuses, for anything else."""
    return value if isinstance(value, int | Decimal) and not isinstance(value, bool) else ""


def _report(coco: CocoFile, line: int | None, code: str, detail: str) -> None:
    coco.findings.add(code, coco.file.name, detail, line)
