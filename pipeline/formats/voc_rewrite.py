"""Rewrites the boxes, size and file name of a VOC annotation; everything else in it is kept."""

from pathlib import PurePosixPath
from typing import Any

from lxml import etree

from pipeline.dataset.model import RawBox, RepairedItem
from pipeline.formats.voc_xml import CORNERS, child_of, objects_of
from pipeline.formats.xml_encoding import readable_xml


def rewrite_annotation(content: bytes, repaired_item: RepairedItem) -> bytes:
    """Returns UTF-8. `content` was read before, so it is well-formed and each of its objects has one box."""
    xml = readable_xml(content)
    parser = etree.XMLParser(
        encoding=xml.encoding, resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False
    )
    root = etree.fromstring(xml.content, parser)
    item = repaired_item.item
    boxes = dict(zip(repaired_item.origins, item.boxes, strict=True))
    for number, element in enumerate(list(objects_of(root))):  # in the order in which they are read
        if number in boxes:
            _set_corners(element, boxes[number])
        else:
            element.getparent().remove(element)
    if item.size:
        size = _child(root, "size")
        _set(size, "width", str(item.size[0]))
        _set(size, "height", str(item.size[1]))
    _set(root, "filename", PurePosixPath(item.image.name).name)
    return bytes(etree.tostring(root, encoding="utf-8", xml_declaration=True))


def _set_corners(element: Any, box: RawBox) -> None:
    corners = child_of(element, "bndbox")
    # Back to 1-based inclusive pixels: the left edge 0 is pixel 1.
    for name, value in zip(CORNERS, (box.x1 + 1000, box.y1 + 1000, box.x2, box.y2), strict=True):
        _set(corners, name, f"{value / 1000:.3f}".rstrip("0").rstrip("."))


def _set(parent: Any, name: str, text: str) -> None:
    _child(parent, name).text = text


def _child(parent: Any, name: str) -> Any:
    found = child_of(parent, name)
    return etree.SubElement(parent, name) if found is None else found
