"""YOLO: one label file for each image, with or without a data.yaml that names the classes."""

from collections.abc import Iterator, Mapping, Sequence

import yaml

from core.domain.findings import Finding
from pipeline.archive.entry_names import bare_of, base_of
from pipeline.archive.extract import SPLIT_LISTS
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import SPLITS, Dataset, Item, RepairedItem, root_of
from pipeline.formats.image_roles import images_of_set
from pipeline.formats.pairs import Pairs, pair, pair_findings
from pipeline.formats.text import class_name_fault, clean_label, read_lines
from pipeline.formats.yolo_labels import YoloLabels, duplicate_names, is_label_file, odd_findings, parse_labels
from pipeline.formats.yolo_parts import images_outside, without_labels_of
from pipeline.formats.yolo_splits import yolo_splits
from pipeline.formats.yolo_yaml import DataYaml, find_yaml, read_yaml

NAME = "yolo"
_DARKNET_LABELS = "_darknet.labels"  # written by Roboflow beside the images of each split
_CLASS_LISTS = frozenset(
    {"classes.txt", "_classes.txt", "obj.names", "class_names.txt", "predefined_classes.txt", _DARKNET_LABELS}
)


def matches(source: ExtractedArchive) -> str | None:
    texts = [file for file in source.files if file.name.lower().endswith(".txt")]
    if not texts:
        return "no text files in the archive."
    labels = _label_files(source)
    if not any(is_label_file(file) for file in labels):
        return f"{counted(len(texts), 'text file')}, none beginning with a line of a class and four numbers."
    return None


def read(source: ExtractedArchive) -> Dataset:
    findings: list[Finding] = []
    outside, of_parts = images_outside(source, images_of_set(source))
    findings += of_parts
    left_out = {image.name for image in outside}
    images = [image for image in images_of_set(source) if image.name not in left_out]
    data = _data_yaml(source, findings)
    names = _names(source, data, findings)
    columns = data.keypoint_columns if data else 0
    files = without_labels_of(outside, images, _label_files(source))
    labels = [parse_labels(file, names, keypoint_columns=columns) for file in files]
    for each in labels:
        findings += each.findings
    findings += odd_findings(labels)
    pairs = pair(labels, images)
    findings += pair_findings(pairs)
    splits, split_findings = yolo_splits(source, images, data)
    findings += split_findings
    by_image = {pairs.of[each.file.name].name: each for each in labels if each.file.name in pairs.of}
    items = tuple(_item(image, by_image.get(image.name), splits.get(image.name)) for image in images)
    findings += _unused_names(names, items)
    broken = _broken(items, by_image, pairs, data)
    return Dataset("detection", NAME, items, findings, broken, lost=len(pairs.lost))


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:
    """Label files unchanged where nothing was repaired; a data.yaml with the names and lists for a given split."""
    data = _data_yaml(source, [])
    names = _names(source, data, []) or _numbered(kept)
    numbers = {name: number for number, name in sorted(names.items(), reverse=True)}
    files = {file.name: file for file in source.files}
    for each in kept:
        item = each.item
        if item.annotation is None:
            continue
        if each.changed:
            yield item.annotation, _lines(item, numbers).encode()
        else:
            yield item.annotation, files[item.annotation].byte_range.read()
    root = root_of(kept)
    yield f"{root}data.yaml", _yaml_of(names, kept).encode()
    for split in SPLITS:
        listed = [item.image.name[len(root) :] for item, *_ in kept if item.split == split]
        if listed:
            yield f"{root}{split}.txt", "".join(f"./{name}\n" for name in listed).encode()


def _label_files(source: ExtractedArchive) -> list[SourceFile]:
    """Text files named like an image, in a folder of labels, or with the content of a label file."""
    stems = {bare_of(base_of(image.name)) for image in images_of_set(source)}
    return [file for file in source.files if file.name.lower().endswith(".txt") and _may_be_labels(file, stems)]


def _may_be_labels(file: SourceFile, stems: set[str]) -> bool:
    base = base_of(file.name)
    name = base.lower()
    if bare_of(base) in stems:
        return (name not in SPLIT_LISTS and name not in _CLASS_LISTS) or is_label_file(file)
    if name in SPLIT_LISTS or name in _CLASS_LISTS or name.startswith(("readme", "license")):
        return False
    return any(part.lower().startswith("label") for part in file.name.split("/")[:-1]) or is_label_file(file)


def _data_yaml(source: ExtractedArchive, findings: list[Finding]) -> DataYaml | None:
    found = [read_yaml(file) for file in find_yaml(source.files)]
    if not found:
        return None
    data = found[0]
    findings += data.findings
    for other in found[1:]:
        if other.names != data.names:
            detail = f"This file names other classes than {data.file.name}, which is the one that is read."
            findings.append(Finding.of("yaml-several", other.file.name, detail))
    return data


def _names(source: ExtractedArchive, data: DataYaml | None, findings: list[Finding]) -> Mapping[int, str]:
    """Class number -> name, by data.yaml or a list of classes; empty where the archive has only numbers."""
    names: Mapping[int, str] = data.names if data else {}
    where = data.file.name if data else ""
    if not names and (data is None or data.usable):
        lists = [file for file in source.files if base_of(file.name).lower() in _CLASS_LISTS]
        file = min(lists, key=lambda file: base_of(file.name).lower() == _DARKNET_LABELS, default=None)
        if file:
            where = file.name
            lines = [clean_label(line) for line in read_lines(file) or ()]
            faults = {number: fault for number, name in enumerate(lines) if (fault := class_name_fault(name))}
            for number, (code, detail) in faults.items():
                findings.append(Finding.of(code, where, detail, line=number + 1))
            names = {number: name for number, name in enumerate(lines) if name and number not in faults}
        else:
            detail = "No data.yaml or classes.txt names the classes; their numbers are used as names."
            findings.append(Finding.of("class-names-missing", where, detail))
    for name in duplicate_names(names):
        detail = f"Two class numbers have the name {name[:100]!r}; they become one class."
        findings.append(Finding.of("class-name-twice", where, detail))
    return names


def _item(image: SourceFile, labels: YoloLabels | None, split: str | None) -> Item:
    if labels is None:
        return Item(image, split=split, coordinates="fractions")
    return Item(image, boxes=tuple(labels.boxes), split=split, annotation=labels.file.name, coordinates="fractions")


def _unused_names(names: Mapping[int, str], items: Sequence[Item]) -> Iterator[Finding]:
    used = {box.label for item in items for box in item.boxes}
    unused = [name for name in dict.fromkeys(names.values()) if name not in used]
    if used and unused:
        have = "has" if len(unused) == 1 else "have"
        detail = f"{len(unused)} of {len(names)} named classes {have} no box: {', '.join(map(repr, unused[:10]))}."
        yield Finding.of("class-unused", "", detail)


def _broken(
    items: Sequence[Item], by_image: Mapping[str, YoloLabels], pairs: Pairs[YoloLabels], data: DataYaml | None
) -> frozenset[str]:
    if data and not data.usable:
        return frozenset(item.image.name for item in items)  # the names of their classes are unknown
    return frozenset(pairs.broken | {name for name, labels in by_image.items() if not labels.usable})


def _numbered(kept: Sequence[RepairedItem]) -> dict[int, str]:
    """Without class names, each label is its number."""
    return {int(label): label for label in {box.label for item, *_ in kept for box in item.boxes}}


def _lines(item: Item, numbers: Mapping[str, int]) -> str:
    if item.size is None:
        raise ValueError("a repaired item has a size")
    wide, high = item.size[0] * 1000, item.size[1] * 1000
    return "".join(
        f"{numbers[box.label]} {(box.x1 + box.x2) / 2 / wide:.9f} {(box.y1 + box.y2) / 2 / high:.9f} "
        f"{(box.x2 - box.x1) / wide:.9f} {(box.y2 - box.y1) / high:.9f}\n"
        for box in item.boxes
    )


def _yaml_of(names: Mapping[int, str], kept: Sequence[RepairedItem]) -> str:
    given = {item.split for item, *_ in kept}
    content: dict[str, object] = {"path": "."}
    content |= {split: f"{split}.txt" for split in SPLITS if split in given}
    content["names"] = dict(sorted(names.items()))
    return str(yaml.safe_dump(content, allow_unicode=True, sort_keys=False))
