"""YOLO: one label file for each image, with or without a data.yaml that names the classes."""

from collections.abc import Iterator, Mapping, Sequence, Set

import yaml

from core.domain.findings import Finding, FindingList
from pipeline.archive.entry_names import bare_of, base_of
from pipeline.archive.extract import SPLIT_LISTS
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import SPLITS, Dataset, Item, RepairedItem, root_of
from pipeline.formats.class_list_files import likely_lists, unread_lists, used_numbers
from pipeline.formats.class_lists import is_class_list, read_class_lists, read_yamls
from pipeline.formats.image_roles import images_of_set
from pipeline.formats.pairs import pair, pair_findings
from pipeline.formats.yolo_classes import ClassNames
from pipeline.formats.yolo_labels import YoloLabels, is_label_file, read_labels
from pipeline.formats.yolo_parts import images_outside, without_labels_of
from pipeline.formats.yolo_yaml import DataYaml

NAME = "yolo"


def matches(source: ExtractedArchive) -> str | None:
    texts = [file for file in source.files if file.name.lower().endswith(".txt")]
    if not texts:
        return "no text files in the archive."
    labels = _label_files(source)
    if not any(is_label_file(file) for file in labels):
        return f"{counted(len(texts), 'text file')}, none beginning with a line of a class and four numbers."
    return None


def read(source: ExtractedArchive) -> Dataset:
    findings = FindingList()
    outside, of_parts = images_outside(source, images_of_set(source))
    findings += of_parts
    left_out = {image.name for image in outside}
    images = [image for image in images_of_set(source) if image.name not in left_out]
    yamls, of_models = read_yamls(source)
    findings += of_models
    data = yamls[0] if yamls else None
    files = without_labels_of(outside, images, _label_files(source))
    names = _class_names(source, yamls, files, findings)
    columns = data.keypoint_columns if data else 0
    labels, of_columns = read_labels(files, names.of, keypoint_columns=columns)
    for each in labels:
        findings += each.findings
    findings += of_columns
    pairs = pair(labels, images)
    findings += pair_findings(pairs, source)
    by_image = {pairs.of[each.file.name].name: each for each in labels if each.file.name in pairs.of}
    items = tuple(_item(image, by_image.get(image.name)) for image in images)
    findings += _unused_names(names.all, items)
    broken = pairs.broken | {
        name for name, each in by_image.items() if not each.usable or each.file.name in names.doubtful
    }
    return Dataset("detection", NAME, items, findings, frozenset(broken), lost=len(pairs.lost))


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:
    """Label files of centred boxes unchanged where nothing was repaired; a data.yaml with the names, lists of splits.

    Lines of polygons, keypoints and the like are written as boxes: what their columns are was decided from all files
    and data.yaml, and those that remain might be read as something else.
    """
    yamls, _ = read_yamls(source)
    files_of_labels = _label_files(source)
    read = _class_names(source, yamls, files_of_labels, [])
    labels, _ = read_labels(files_of_labels, read.of)
    centred = {each.file.name for each in labels if each.usable and not each.odd}
    names = read.all or _numbered(kept)
    numbers = {name: number for number, name in sorted(names.items(), reverse=True)}
    files = {file.name: file for file in source.files}
    for each in kept:
        item = each.item
        if item.annotation is None:
            continue
        file = files[item.annotation]
        if each.changed or file.name not in centred or not read.has_numbers_of_all(file.name):
            yield file.name, _lines(item, numbers).encode()
        else:
            yield file.name, file.byte_range.read()
    root = root_of(kept)
    given = {item.split for item, *_ in kept} - {None}
    rest = "train" if given else None  # images of no part are trained on, while those outside of all parts are left out
    yield f"{root}data.yaml", _yaml_of(names, given | {rest}).encode()
    for split in SPLITS:
        listed = [item.image.name[len(root) :] for item, *_ in kept if (item.split or rest) == split]
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
        return (name not in SPLIT_LISTS and not is_class_list(name)) or is_label_file(file)
    if is_class_list(name) and not is_label_file(file):
        return False
    if name in SPLIT_LISTS or name.startswith(("readme", "license")):
        return False
    return any(part.lower().startswith("label") for part in file.name.split("/")[:-1]) or is_label_file(file)


def _class_names(
    source: ExtractedArchive, yamls: Sequence[DataYaml], labels: Sequence[SourceFile], findings: list[Finding]
) -> ClassNames:
    lists = read_class_lists(source, yamls, {file.name for file in labels})
    names = ClassNames(lists, labels)
    for data in yamls:
        findings += data.findings
    for each in lists:
        findings += each.findings
    findings += names.findings
    findings += names.name_findings()
    if not lists:
        findings += _without_names(source, yamls, labels, names)
    return names


def _without_names(
    source: ExtractedArchive, yamls: Sequence[DataYaml], labels: Sequence[SourceFile], names: ClassNames
) -> Iterator[Finding]:
    """No list names the classes: an error where a file is named as one is, and cannot be read."""
    unread = unread_lists(source.left_out)
    yield from unread
    if unread:
        names.doubtful |= {file.name for file in labels}
    detail = "No data.yaml or list such as classes.txt names the classes; their numbers are used as names."
    of_labels = {file.name for file in labels}
    others = [
        file for file in source.files if file.name not in of_labels and base_of(file.name).lower() not in SPLIT_LISTS
    ]
    if likely := likely_lists(others, max(used_numbers(labels), default=0) + 1):
        detail += f" {likely[0]} has as many lines: if it names the classes, call it classes.txt."
    yield Finding.of("class-names-missing", yamls[0].file.name if yamls else "", detail)


def _item(image: SourceFile, labels: YoloLabels | None) -> Item:
    if labels is None:
        return Item(image, coordinates="fractions")
    return Item(image, boxes=tuple(labels.boxes), annotation=labels.file.name, coordinates="fractions")


def _unused_names(names: Mapping[int, str], items: Sequence[Item]) -> Iterator[Finding]:
    used = {box.label for item in items for box in item.boxes}
    unused = [name for name in dict.fromkeys(names.values()) if name not in used]
    if used and unused:
        have = "has" if len(unused) == 1 else "have"
        detail = f"{len(unused)} of {len(names)} named classes {have} no box: {', '.join(map(repr, unused[:10]))}."
        yield Finding.of("class-unused", "", detail)


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


def _yaml_of(names: Mapping[int, str], given: Set[str | None]) -> str:
    # No `path`: ultralytics takes the folder of data.yaml, but a relative `path` from the current folder.
    content: dict[str, object] = {split: f"{split}.txt" for split in SPLITS if split in given}
    content["names"] = dict(sorted(names.items()))
    return str(yaml.safe_dump(content, allow_unicode=True, sort_keys=False))
