"""COCO JSON: images, annotations and categories in one file for all images, or in one file for each split."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from core.domain.findings import Finding, FindingList
from pipeline.archive.encodings import encoding_of
from pipeline.archive.entry_names import bare_of, base_of
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import SPLITS, Dataset, Item, RawBox, RepairedItem, root_of
from pipeline.formats.coco_json import CocoFile, CocoImage, parse_coco
from pipeline.formats.coco_sums import without_sums
from pipeline.formats.image_roles import images_of_set
from pipeline.formats.listed_pairs import ListedEntry, pair_listed
from pipeline.formats.split_annotations import parts_of_files
from pipeline.formats.split_names import parts_in, split_of_folder
from pipeline.formats.text import WrittenNames

NAME = "coco"
_KEYS = (b'"images"', b'"annotations"', b'"categories"')
_OTHER_TASKS = ("captions", "person_keypoints", "keypoints", "stuff", "panoptic", "image_info")
_HEAD = 4096  # bytes that decide the encoding


def matches(source: ExtractedArchive) -> str | None:
    documents = [file for file in source.files if file.name.lower().endswith(".json")]
    if not documents:
        return "no JSON files in the archive."
    if not any(_keys_in(file) == len(_KEYS) for file in documents):
        return f"{counted(len(documents), 'JSON file')}, none with `images`, `annotations` and `categories`."
    return None


def read(source: ExtractedArchive) -> Dataset:
    findings = FindingList()
    images = images_of_set(source)
    files, doubtful, of_sums = without_sums(_documents(source, findings), images)
    findings += of_sums
    findings += _refuse_mixed_units(files)
    splits = parts_of_files({coco.file.name for coco in files})
    entries = [(coco, entry) for coco in files for entry in coco.images.values()]

    def entry_of(number: int) -> ListedEntry:
        coco, entry = entries[number]
        return ListedEntry(coco.file.name, entry.file_name, entry.line, splits.get(coco.file.name))

    pairs = pair_listed(len(entries), entry_of, source)
    for coco in files:
        findings += coco.findings
    findings += pairs.findings
    of = {name: entries[number] for name, number in pairs.of.items()}
    findings += _unknown_parts(files)
    items = tuple(_item(image, of.get(image.name)) for image in images)
    broken = doubtful | pairs.doubtful | {name for name, (_, entry) in of.items() if not entry.usable}
    if not all(coco.usable for coco in files):
        broken |= {image.name for image in images}  # the unread rest of the file may be about any of them
    return Dataset("detection", NAME, items, findings, frozenset(broken), lost=pairs.lost)


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:  # noqa: ARG001 - the protocol
    """One JSON for each split, or one for all. Ids are new; only boxes are kept of what COCO can hold."""
    root = root_of(kept)
    names = sorted({box.label for item, *_ in kept for box in item.boxes})
    described = [item for item, *_ in kept if item.annotation]
    rest = "train" if any(item.split for item in described) else None  # images of no part are trained on
    for split in (None, *SPLITS):
        items = [item for item in described if (item.split or rest) == split]
        if items:
            content = _document(items, names, root)
            yield f"{root}annotations/instances_{split or 'default'}.json", json.dumps(content, indent=1).encode()


def _keys_in(file: SourceFile) -> int:
    """How many of the three keys occur anywhere in the file."""
    encoding = encoding_of(file.byte_range.read(_HEAD))
    if encoding.startswith("utf-16"):
        forms = (tuple(key.decode().encode(wide) for key in _KEYS) for wide in ("utf-16-le", "utf-16-be"))
        return max(sum(file.byte_range.contains(keys)) for keys in forms)
    return sum(file.byte_range.contains(_KEYS))


def _documents(source: ExtractedArchive, findings: list[Finding]) -> list[CocoFile]:
    """COCO's own archive has captions and keypoints of the same images: there only instances_*.json are read. An
    instances.json of no part beside a train.json is not of that archive.

    A file with two of the keys may be truncated, which is an error; a complete one (captions) has no boxes.
    """
    keys = {file.name: _keys_in(file) for file in source.files if file.name.lower().endswith(".json")}
    whole = [file for file in source.files if keys.get(file.name) == len(_KEYS)]
    instances = [file for file in whole if base_of(file.name).lower().startswith("instances")]
    if not all(_names_part(file) for file in instances):
        instances += [file for file in whole if _names_part(file) and file not in instances]
    written = WrittenNames()
    read = [parse_coco(file, written) for file in instances or whole]
    findings += written.findings()
    halves = (parse_coco(file, WrittenNames()) for file in source.files if keys.get(file.name) == 2)
    read += [coco for coco in halves if not coco.usable]
    taken = {coco.file.name for coco in read}
    left = [name for name, count in keys.items() if count >= 2 and name not in taken]
    if left:
        files = counted(len(left), "JSON file was", "JSON files were")
        detail = f"{files} left out, without boxes of their own: {', '.join(left[:5])}."
        findings.append(Finding.of("json-left-out", left[0], detail))
    return read


def _refuse_mixed_units(files: list[CocoFile]) -> Iterator[Finding]:
    """An error for each file whose boxes are fractions, where those of another one are in pixels."""
    with_boxes = [coco for coco in files if any(image.boxes for image in coco.images.values())]
    in_pixels = next((coco for coco in with_boxes if not coco.fractions), None)
    for coco in with_boxes:
        if in_pixels and coco.fractions:
            line = next(box.line for image in coco.images.values() for _, box in image.boxes)
            detail = (
                f"All boxes lie within 0 .. 1, those of {in_pixels.file.name} beyond: fractions and pixels are mixed."
            )
            yield Finding.of("box-units-mixed", coco.file.name, detail, line=line)
            for image in coco.images.values():
                image.usable = False


def _unknown_parts(files: list[CocoFile]) -> Iterator[Finding]:
    for coco in files:
        stated = [entry.split for entry in coco.images.values() if isinstance(entry.split, str)]
        if unknown := [value for value in stated if value and split_of_folder(value) is None]:
            detail = f"{counted(len(unknown), 'image has', 'images have')} a part of the split that is unknown: "
            yield Finding.of("split-value-unknown", coco.file.name, f"{detail}{unknown[0][:40]!r}.")


def _names_part(file: SourceFile) -> bool:
    base = base_of(file.name)
    return bool(parts_in(bare_of(base))) and not base.lower().startswith(_OTHER_TASKS)


def _item(image: SourceFile, matched: tuple[CocoFile, CocoImage] | None) -> Item:
    if matched is None:
        return Item(image, coordinates="edges")
    coco, entry = matched
    boxes = tuple(box._replace(label=coco.names[category]) for category, box in entry.boxes)
    entry.boxes = []  # not needed again: there may be a million boxes
    return Item(
        image,
        boxes=boxes,
        split=split_of_folder(entry.split) if isinstance(entry.split, str) else None,
        annotation=coco.file.name,
        size=entry.size,
        size_line=entry.line,
        coordinates="fractions" if coco.fractions else "edges",
    )


def _document(items: list[Item], names: list[str], root: str) -> dict[str, Any]:
    ids = {name: number for number, name in enumerate(names, start=1)}
    images = [_image_entry(number, item, root) for number, item in enumerate(items, start=1)]
    boxes = [(number, box) for number, item in enumerate(items, start=1) for box in item.boxes]
    return {
        "images": images,
        "annotations": [_box_entry(at, number, box, ids) for at, (number, box) in enumerate(boxes, start=1)],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
    }


def _image_entry(number: int, item: Item, root: str) -> dict[str, Any]:
    width, height = item.size or (0, 0)
    return {"id": number, "file_name": item.image.name[len(root) :], "width": width, "height": height}


def _box_entry(at: int, image: int, box: RawBox, ids: dict[str, int]) -> dict[str, Any]:
    wide, high = box.x2 - box.x1, box.y2 - box.y1
    return {
        "id": at,
        "image_id": image,
        "category_id": ids[box.label],
        "bbox": [box.x1 / 1000, box.y1 / 1000, wide / 1000, high / 1000],
        "area": wide * high / 1e6,
        "iscrowd": 0,
    }
