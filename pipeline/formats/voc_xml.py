"""Parses one Pascal VOC annotation, without entities, network or DTD."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from lxml import etree

from core.domain import limits
from core.domain.findings import FindingList
from pipeline.archive.encodings import UnknownEncoding
from pipeline.archive.source import SourceFile
from pipeline.dataset.model import RawBox
from pipeline.formats.box_limits import require_boxes_of_image
from pipeline.formats.text import WrittenNames, class_name_fault, first_bad_line, thousandths
from pipeline.formats.voc_structure import structure_findings
from pipeline.formats.xml_encoding import readable_xml

_SNIFF_BYTES = 65_536
_ROOT = re.compile(rb"<annotation[\s>/]", re.IGNORECASE)
_NUMBERS = 1 << 14  # cached coordinates: the same few thousand values repeat, and each object takes 32 bytes
_SHORT = 16  # characters; longer numbers are not cached
_DTD = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)
_HAS_DTD = "The XML has a DTD or entities, which are never read."
CORNERS = ("xmin", "ymin", "xmax", "ymax")
_BOX_TAGS = frozenset(
    {*CORNERS, "bndbox", "bbox", "box", "robndbox", "rbox", "rect", "rectangle", "polygon", "points", "pt"}
)
_BOX_ATTRIBUTES = frozenset({*CORNERS, "xtl", "ytl", "x1", "y1", "left", "top", "bbox", "points"})


@dataclass(slots=True)
class VocAnnotation:
    """The content of one XML. `usable`: no error makes the boxes of its image unreliable.

    `overruled`: the encoding that it declares, where its bytes are UTF-8 instead; else empty.
    """

    file: SourceFile
    image_name: str = ""
    folder: str = ""
    size: tuple[int, int] | None = None
    size_line: int | None = None
    boxes: list[RawBox] = field(default_factory=list)
    findings: FindingList = field(default_factory=lambda: FindingList(most=limits.MAX_FINDINGS_OF_IMAGE))
    usable: bool = True
    overruled: str = ""


def is_voc(file: SourceFile) -> bool:
    """Whether `<annotation` is in the first 64 KB, in UTF-8 or UTF-16."""
    return _ROOT.search(file.byte_range.read(_SNIFF_BYTES).replace(b"\0", b"")) is not None


def parse_annotation(file: SourceFile, written: WrittenNames) -> VocAnnotation | None:
    """None where the XML is well-formed but not a VOC annotation. `written`: shared by the whole dataset."""
    annotation = VocAnnotation(file)
    root = _parse(annotation)
    if root is None:
        return annotation
    if tag_of(root) != "annotation":
        return None
    annotation.findings += structure_findings(root, file.name)
    annotation.image_name = _text(root, "filename").replace("\\", "/").rsplit("/", 1)[-1]
    annotation.folder = _text(root, "folder")
    _read_size(root, annotation)
    for count, element in enumerate(objects_of(root), start=1):
        require_boxes_of_image(file, count, element.sourceline)
        _read_object(element, annotation, written)
    if (element := _box_outside_objects(root)) is not None:
        detail = f"<{tag_of(element)}> gives a place in the image, but is in no <object>, which alone is read."
        _error(annotation, "xml-objects-unread", detail, element.sourceline)
    _refuse_fractions(annotation)
    return annotation


def objects_of(parent: Any) -> Iterator[Any]:
    """At any depth: some tools write `<objects><object>`. Not those inside another object."""
    for child in parent:
        if tag_of(child) == "object":
            yield child
        elif len(child):
            yield from objects_of(child)


def _box_outside_objects(parent: Any) -> Any | None:
    """The first element outside of all objects with the name of a box or corner, or such attributes."""
    for child in parent:
        tag = tag_of(child)
        if tag == "object":
            continue
        if tag in _BOX_TAGS or (child.attrib and not _BOX_ATTRIBUTES.isdisjoint(map(str.lower, child.attrib))):
            return child
        if len(child) and (found := _box_outside_objects(child)) is not None:
            return found
    return None


def _refuse_fractions(annotation: VocAnnotation) -> None:
    """Boxes of a file that all lie within 0 .. 1 and are not whole pixels are fractions of an image."""
    corners = [(box.x1 + 1000, box.y1 + 1000, box.x2, box.y2) for box in annotation.boxes]
    values = [value for each in corners for value in each]
    if values and all(0 <= value <= 1000 for value in values) and any(value % 1000 for value in values):
        detail = f"All {len(corners)} boxes lie within 0 .. 1: these look like fractions of the image, not pixels."
        _error(annotation, "box-fractions", detail, annotation.boxes[0].line)


def _parse(annotation: VocAnnotation) -> Any | None:
    source = annotation.file
    if source.bytes > limits.MAX_XML_BYTES:
        _error(annotation, "xml-too-large", f"The XML has {source.bytes} bytes; the limit is {limits.MAX_XML_BYTES}.")
        return None
    content = source.byte_range.read()
    if not content.strip():
        _error(annotation, "xml-empty", "The XML file is empty.")
        return None
    try:
        xml = readable_xml(content)
    except UnknownEncoding as error:
        _error(annotation, "xml-invalid", str(error), first_bad_line(content))
        return None
    annotation.overruled = xml.overruled
    if match := _DTD.search(xml.content):
        line = xml.content.count(b"\n", 0, match.start()) + 1
        _error(annotation, "xml-dtd", _HAS_DTD, line)
        return None
    try:
        root = etree.fromstring(xml.content, _parser(xml.encoding))
    except etree.XMLSyntaxError as error:
        _error(annotation, "xml-invalid", f"The XML is not well-formed: {error.msg}.", error.lineno)
        return None
    except (ValueError, LookupError) as error:
        _error(annotation, "xml-invalid", f"The XML cannot be read: {error}.")
        return None
    # The scan above only finds ASCII; a DTD in a code page without it is found here.
    if root.getroottree().docinfo.internalDTD is not None:
        _error(annotation, "xml-dtd", _HAS_DTD, 1)
        return None
    if _is_too_deep()(root):
        _error(annotation, "xml-too-deep", f"The XML has more than {limits.MAX_XML_DEPTH} levels.")
        return None
    return root


@lru_cache(maxsize=2)
def _parser(encoding: str | None) -> Any:
    """`encoding`: overrules the declared one."""
    return etree.XMLParser(
        encoding=encoding,
        resolve_entities=False,
        no_network=True,
        huge_tree=False,
        load_dtd=False,
        remove_comments=True,
        remove_pis=True,
    )


@lru_cache(maxsize=1)
def _is_too_deep() -> Any:
    return etree.XPath("boolean(" + "/*" * (limits.MAX_XML_DEPTH + 1) + ")")


def _read_size(root: Any, annotation: VocAnnotation) -> None:
    size = child_of(root, "size")
    if size is None:
        return
    annotation.size_line = size.sourceline
    width, height = (_number(_text(size, name)) for name in ("width", "height"))
    if width and height:  # a negative size is kept, so that it is reported as wrong
        annotation.size = (width // 1000, height // 1000)


def _read_object(element: Any, annotation: VocAnnotation, written: WrittenNames) -> None:
    line = element.sourceline
    children = _first_of_each_tag(element)
    name = children.get("name")
    label = "" if name is None else written.clean(name.text or "", annotation.file.name, name.sourceline)
    boxes = [child for child in element if tag_of(child) == "bndbox"]
    if not label:
        _error(annotation, "class-name-empty", "An object has no class name.", line)
    elif fault := class_name_fault(label):
        _error(annotation, *fault, line)
    if len(boxes) != 1:
        if boxes:
            _error(annotation, "box-several", f"An object has {len(boxes)} <bndbox>.", boxes[1].sourceline)
        else:
            rotated = "robndbox" in children
            detail = "An object has a rotated box (<robndbox> of roLabelImg) and no upright <bndbox>."
            _error(annotation, "box-missing", detail if rotated else "An object has no <bndbox>.", line)
        return
    corners = boxes[0]
    edges = _first_of_each_tag(corners)
    if len(edges) != len(corners) and (twice := _corner_twice(corners)) is not None:
        detail = f"A <bndbox> has more than one <{tag_of(twice)}>."
        _error(annotation, "box-corner-twice", detail, twice.sourceline)
        return
    texts = [_text_of(edges.get(name)) for name in CORNERS]
    numbers = [_number(text) for text in texts]
    if None in numbers:
        values = ", ".join(f"{name}={text[:40]!r}" for name, text in zip(CORNERS, texts, strict=True))
        _error(annotation, "box-not-a-number", f"A coordinate is not a number: {values}.", corners.sourceline)
        return
    xmin, ymin, xmax, ymax = (number for number in numbers if number is not None)
    if label:
        difficult = _text_of(children.get("difficult")).lower() in ("1", "true", "yes")
        # 1-based inclusive pixels: the first pixel's left edge is 0, the last one's right edge is its number.
        edges_of_box = (_left_edge(xmin), _left_edge(ymin), xmax, ymax)
        annotation.boxes.append(RawBox(label, *edges_of_box, difficult, corners.sourceline))


def _corner_twice(corners: Any) -> Any | None:
    """The first corner whose name occurred before in this box."""
    seen: set[str] = set()
    for child in corners:
        name = tag_of(child)
        if name in seen and name in CORNERS:
            return child
        seen.add(name)
    return None


def _number(text: str) -> int | None:
    """In 1/1000. None for anything that is not a valid coordinate."""
    return _short_number(text) if len(text) <= _SHORT else thousandths(text)


@lru_cache(maxsize=_NUMBERS)
def _short_number(text: str) -> int | None:
    if text.isascii() and text.isdigit() and len(text) <= 6:
        return int(text) * 1000
    return thousandths(text)


@lru_cache(maxsize=_NUMBERS)
def _left_edge(number: int) -> int:
    return number - 1000


def tag_of(element: Any) -> str:
    tag = element.tag
    return _local_name(tag) if isinstance(tag, str) else ""


@lru_cache(maxsize=256)
def _local_name(tag: str) -> str:
    """Without namespace, in lower case. Cached: an annotation repeats a dozen tags thousands of times."""
    return tag.rsplit("}", 1)[-1].lower()


def _first_of_each_tag(element: Any) -> dict[str, Any]:
    """Tag -> the child that `child_of` finds for it."""
    return {tag_of(child): child for child in reversed(element)}


def child_of(element: Any, name: str) -> Any | None:
    return next((child for child in element if tag_of(child) == name), None)


def _text(element: Any, name: str) -> str:
    return _text_of(child_of(element, name))


def _text_of(element: Any | None) -> str:
    return (element.text or "").strip() if element is not None else ""


def _error(annotation: VocAnnotation, code: str, detail: str, line: int | None = None) -> None:
    annotation.usable = False
    annotation.findings.add(code, annotation.file.name, detail, line)
