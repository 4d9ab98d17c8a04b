"""Text files of labels whose rows do not each name an image: blocks below a name, lists with boxes, tables of ids."""

import re

from pipeline.archive.entry_names import base_of, folder_of
from pipeline.archive.extract import is_image
from pipeline.archive.source import SourceFile
from pipeline.formats.annotation_sniff import ImageNames, SniffedFile, text_of

_LIST = re.compile(r".*(?:train|val|test).*\.txt", re.IGNORECASE)
_BOXES_IN_LIST = re.compile(r"\.\w{3,4}[ \t]+-?\d+(?:\.\d+)?(?:,-?\d+(?:\.\d+)?){3,}")  # `a.jpg 1,2,30,40,0 ...`
_NUMBERS = re.compile(r"-?\d+(?:\.\d+)?(?:[\s,]+-?\d+(?:\.\d+)?)*\s*,?")
_ID_TABLES = {"train_test_split.txt": "splits", "image_class_labels.txt": "labels"}
_IDS = "images.txt"  # names the images of these ids
_TRACKS = ("gt", "gt.txt")  # folder and file of the MOT challenge: rows of a frame, a track and a box


def is_list_with_boxes(file: SourceFile) -> bool:
    """A list of images with their boxes in the same lines, as some trainers of YOLO read it: no list of a split."""
    if not _LIST.fullmatch(base_of(file.name)):
        return False
    lines = [line for line in text_of(file)[0].split("\n") if line.strip()]
    return 2 * sum(_BOXES_IN_LIST.search(line) is not None for line in lines) > len(lines)


def sniff_text(file: SourceFile, names: ImageNames, beside: set[str]) -> SniffedFile | None:
    """`beside`: names of all files of the archive."""
    base, folder = base_of(file.name), folder_of(file.name)
    if meaning := _ID_TABLES.get(base) if f"{folder}/{_IDS}".removeprefix("./") in beside else None:
        return SniffedFile(frozenset(names.labels), labels=meaning == "labels", splits=meaning == "splits")
    if (base_of(folder), base) == _TRACKS:
        above = folder_of(folder)
        images = frozenset(name for name in names.labels if above == "." or name.startswith(f"{above}/"))
        return SniffedFile(images, labels=True) if images else None
    return _sniff_blocks(*text_of(file), names)


def _sniff_blocks(text: str, cut: bool, names: ImageNames) -> SniffedFile | None:
    """Lines with the name of an image alone, and lines of numbers below them, as WIDER FACE has it."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    found = [name for line in lines if is_image(line) and (name := names.named(line))]
    rows = [line for line in lines if _NUMBERS.fullmatch(line)]
    boxes = [row for row in rows if len(re.split(r"[\s,]+", row)) >= 4]
    if len(found) < 2 or not boxes or len(found) + len(rows) < 0.9 * len(lines):
        return None
    return SniffedFile(frozenset(found), labels=True, cut=cut)
