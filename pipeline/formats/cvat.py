"""CVAT XML for images: one file with the shapes of all images, in pixels."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from core.domain.findings import Finding
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import Dataset, Item, RawBox, RepairedItem, root_of
from pipeline.formats.box_limits import require_entries
from pipeline.formats.listed import ListedImage, Report, dataset_of, match_listed, split_of_value
from pipeline.formats.text import WrittenNames, class_name_fault, thousandths

NAME = "cvat"
MAX_BYTES = 512 * 1024**2  # a million boxes of 300 bytes, twice
_HEAD_BYTES = 65_536
_ROOT = re.compile(rb"<annotations[\s>]")
_DTD = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)
_OVERLAP = 16  # bytes of a block that are searched with the next one
_SHAPES = frozenset({"box", "polygon", "polyline", "points", "ellipse", "mask", "cuboid", "skeleton"})
_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_MASK = ("left", "top", "width", "height")
_ELLIPSE = ("cx", "cy", "rx", "ry")

Edges = tuple[int, int, int, int]  # in 1/1000 px


@dataclass(slots=True)
class _Document:
    """`rotated`, `polygons`: lines of the shapes that are replaced by the boxes around them."""

    report: Report
    listed: list[ListedImage] = field(default_factory=list)
    rotated: list[int] = field(default_factory=list)
    polygons: list[int] = field(default_factory=list)
    is_whole: bool = True


def matches(source: ExtractedArchive) -> str | None:
    documents = [file for file in source.files if file.name.lower().endswith(".xml")]
    if not documents:
        return "no XML files in the archive."
    found = [file for file in documents if _is_cvat(file)]
    if any(_has_images(file) for file in found):
        return None
    if found:
        return f"{found[0].name} is CVAT for video, without <image>: export the task as CVAT for images."
    return f"{counted(len(documents), 'XML file')}, none with <annotations> as its root."


def read(source: ExtractedArchive) -> Dataset:
    written = WrittenNames()
    files = [file for file in source.files if file.name.lower().endswith(".xml")]
    documents = [_read_document(file, written) for file in files if _is_cvat(file) and _has_images(file)]
    findings = [*written.findings(), *(each for document in documents for each in document.report.findings)]
    listed = [entry for document in documents for entry in document.listed]
    matched = match_listed(listed, source)
    is_whole = all(document.is_whole for document in documents)
    return dataset_of(source, NAME, "detection", matched, findings, is_whole=is_whole)


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:  # noqa: ARG001 - the protocol
    """One annotations.xml with boxes alone."""
    root = root_of(kept)
    document = etree.Element("annotations")
    etree.SubElement(document, "version").text = "1.1"
    for number, item in enumerate(item for item, *_ in kept if item.annotation):
        _add_image(document, number, item, root)
    yield f"{root}annotations.xml", bytes(etree.tostring(document, encoding="utf-8", xml_declaration=True))


def _add_image(document: Any, number: int, item: Item, root: str) -> None:
    width, height = item.size or (0, 0)
    stated = {"id": str(number), "name": item.image.name[len(root) :], "width": str(width), "height": str(height)}
    image = etree.SubElement(document, "image", stated | ({"subset": item.split} if item.split else {}))
    for box in item.boxes:
        edges = (f"{edge / 1000:.3f}" for edge in (box.x1, box.y1, box.x2, box.y2))
        etree.SubElement(image, "box", {"label": box.label, **dict(zip(_CORNERS, edges, strict=True))})


def _is_cvat(file: SourceFile) -> bool:
    return _ROOT.search(file.byte_range.read(_HEAD_BYTES).replace(b"\0", b"")) is not None


def _has_images(file: SourceFile) -> bool:
    return any(file.byte_range.contains((b"<image ", "<image ".encode("utf-16-le"), "<image ".encode("utf-16-be"))))


def _read_document(file: SourceFile, written: WrittenNames) -> _Document:
    document = _Document(Report(file))
    if refusal := _refusal(file):
        document.is_whole = False
        document.report.add(*refusal)
        return document
    try:
        for image in _images(file):
            _read_image(document, image, written)
    except etree.XMLSyntaxError as error:
        document.is_whole = False
        document.report.add("xml-invalid", f"The XML is not well-formed: {error.msg}.", error.lineno)
    _note_document(document)
    return document


def _refusal(file: SourceFile) -> tuple[str, str, int | None] | None:
    if file.bytes > MAX_BYTES:
        return "xml-too-large", f"The XML has {file.bytes} bytes; the limit is {MAX_BYTES}.", None
    rest = b""
    for block in file.byte_range.blocks():
        text = rest + block.replace(b"\0", b"")  # UTF-16 as well
        if _DTD.search(text):
            return "xml-dtd", "The XML has a DTD or entities, which are never read.", 1
        rest = text[-_OVERLAP:]
    return None


def _images(file: SourceFile) -> Iterator[Any]:
    """Each <image> directly below the root, which is dropped from memory after it."""
    with file.byte_range.open() as stream:
        found = etree.iterparse(
            stream,
            events=("end",),
            tag="image",
            resolve_entities=False,
            no_network=True,
            huge_tree=False,
            load_dtd=False,
            remove_comments=True,
            remove_pis=True,
        )
        for _, element in found:
            parent = element.getparent()
            if parent is not None and parent.getparent() is None:
                yield element
                element.clear()
                while element.getprevious() is not None:
                    del parent[0]


def _read_image(document: _Document, image: Any, written: WrittenNames) -> None:
    line, name = image.sourceline, image.get("name") or ""
    if not name:
        document.report.add("xml-invalid", "An <image> has no name.", line)
        document.is_whole = False
        return
    width, height = (thousandths(image.get(side) or "") for side in ("width", "height"))
    size = (width // 1000, height // 1000) if width and height and min(width, height) >= 1000 else None
    split = split_of_value(image.get("subset") or "")
    entry = ListedImage(document.report.file, name, line, size, split=split)
    document.listed.append(entry)
    require_entries(document.report.file, len(document.listed), line)
    for shape in image:
        if shape.tag in _SHAPES:
            box = _read_shape(document, shape, written)
            if box:
                document.report.add_box(entry, box)
            else:
                entry.usable = False


def _read_shape(document: _Document, shape: Any, written: WrittenNames) -> RawBox | None:
    """None for an error, which is reported."""
    report, line = document.report, shape.sourceline
    label = written.clean(shape.get("label") or "", report.file.name, line)
    fault = class_name_fault(label) if label else ("class-name-empty", f"A <{shape.tag}> has no label.")
    edges = _edges(shape)
    if fault or edges is None:
        detail = f"A <{shape.tag}> of {label[:100]!r} has no area, or not the numbers of one."
        report.add(*(fault or ("shape-without-box", detail)), line)
        return None
    if shape.tag != "box":
        document.polygons.append(line)
    if _angle(shape):
        document.rotated.append(line)
    return RawBox(label, *edges, False, line)


def _edges(shape: Any) -> Edges | None:
    """The upright box around the shape; None for one without an area."""
    if shape.tag == "polygon":
        return _around_points(shape.get("points") or "")
    names = {"box": _CORNERS, "mask": _MASK, "ellipse": _ELLIPSE}.get(shape.tag)
    angle = _angle(shape)
    if names is None or angle is None:
        return None
    numbers = [thousandths(shape.get(name) or "") for name in names]
    if None in numbers:
        return None
    first, second, third, fourth = (number for number in numbers if number is not None)
    if shape.tag == "mask":
        return first, second, first + third, second + fourth
    if shape.tag == "box":
        return _rotated((first, second, third, fourth), angle) if angle else (first, second, third, fourth)
    turned = math.radians(angle)
    across = math.hypot(third * math.cos(turned), fourth * math.sin(turned))
    down = math.hypot(third * math.sin(turned), fourth * math.cos(turned))
    return round(first - across), round(second - down), round(first + across), round(second + down)


def _angle(shape: Any) -> float | None:
    """In degrees; None for anything but a number."""
    angle = thousandths(shape.get("rotation") or "0")
    return None if angle is None else (angle / 1000) % 360


def _rotated(edges: Edges, angle: float) -> Edges:
    """The box around `edges` turned by `angle` degrees about their centre."""
    left, top, right, bottom = edges
    turned = math.radians(angle)
    cos, sin = abs(math.cos(turned)), abs(math.sin(turned))
    across = ((right - left) * cos + (bottom - top) * sin) / 2
    down = ((right - left) * sin + (bottom - top) * cos) / 2
    x, y = (left + right) / 2, (top + bottom) / 2
    return round(x - across), round(y - down), round(x + across), round(y + down)


def _around_points(text: str) -> Edges | None:
    """`x,y;x,y;x,y`."""
    points = [point.split(",") for point in text.split(";")]
    if len(points) < 3 or any(len(point) != 2 for point in points):
        return None
    numbers = [thousandths(value) for point in points for value in point]
    if None in numbers:
        return None
    across = [number for number in numbers[0::2] if number is not None]
    down = [number for number in numbers[1::2] if number is not None]
    return min(across), min(down), max(across), max(down)


def _note_document(document: _Document) -> None:
    report = document.report
    if document.rotated:
        detail = f"{counted(len(document.rotated), 'rotated shape')}: each is taken as the upright box around it."
        report.findings.append(Finding.of("rotated-as-boxes", report.file.name, detail, line=document.rotated[0]))
    if document.polygons:
        detail = f"{counted(len(document.polygons), 'polygon, mask or ellipse', 'polygons, masks or ellipses')}: "
        detail += "each is taken as the box around it."
        report.findings.append(Finding.of("polygons-as-boxes", report.file.name, detail, line=document.polygons[0]))
