"""Annotations that no reader used: tables, JSON, XML and text that name images of the dataset (docs/decisions/0022).

They are an error where they would change labels or splits, since folders or missing labels would be taken for the
truth beside them. Only the first 64 KB of a file are read.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from core.domain.findings import Finding
from pipeline.archive.entry_names import base_of, suffix_of
from pipeline.archive.extract import SPLIT_LISTS, is_hidden
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import Dataset
from pipeline.formats.annotation_sniff import (
    ImageNames,
    SniffedFile,
    sniff_document,
    sniff_table,
)
from pipeline.formats.class_list_files import names_of_file
from pipeline.formats.image_roles import images_of_set
from pipeline.formats.sniff_texts import is_list_with_boxes, sniff_text
from pipeline.formats.yolo_labels import is_kitti_file, is_label_file

_TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson")
_DOCUMENTS = (".json", ".xml")
_MAX_FILES = 2000  # sniffed of each suffix: one file for each image repeats what the first ones show
_OTHER_KINDS = re.compile(
    r".*\.(xlsx?|ods|mat|pkl|pickle|npy|npz|h5|hdf5|parquet|db|sqlite3?|manifest|tfrecords?|record)"
)
_ANNOTATION_WORD = re.compile(r"annot|label|bbox|ground[-_ ]?truth|(?<![a-z])(gt|boxes)(?![a-z])|\.manifest$")
_CLASSES_WORD = re.compile(r"encoder|binarizer|map|names|classes")  # of lists of classes, which folders do not need
_MOST_TABLES = 5  # of other kinds; more are files of one image each, which give no classes (`annotation_0001.mat`)
_BEFORE_TABLES = frozenset({"readme.txt", "license.txt", "licence.txt", "requirements.txt"})


@dataclass(frozen=True, slots=True)
class _Unread:
    """`files`: one table, or all files of a kind that has one for each image."""

    files: list[SourceFile]
    sniffed: SniffedFile


def add_unread(source: ExtractedArchive, dataset: Dataset, used: set[str]) -> Dataset:
    """The dataset with findings about annotations that nothing read; images that these may be about are `broken`.

    `used`: annotation files of other formats that were read and compared.
    """
    reported = {finding.path for finding in dataset.findings if finding.code != "xml-not-voc"}
    known = {item.annotation for item in dataset.items} | dataset.used | used | reported
    findings: list[Finding] = []
    broken: set[str] = set()
    if dataset.format == "yolo":
        known |= {file.name for file in source.files if file.name not in known and _is_of_yolo(file)}
    for unread in _unread(source, known, {item.image.name: item.label for item in dataset.items}):
        affected = _affected(unread, dataset)
        if not affected and dataset.format == "coco" and unread.files[0].name.lower().endswith(".json"):
            continue  # captions and keypoints: reported as json-left-out
        findings.append(_finding(unread, dataset, len(affected)))
        broken |= affected
    if dataset.format == "folders" and (others := list(_of_other_kinds(source, dataset))):
        findings += others
        broken |= {item.image.name for item in dataset.items}
    return replace(dataset, findings=dataset.findings + findings, broken=dataset.broken | broken)


def unread_tables(source: ExtractedArchive) -> list[Finding]:
    """Errors for the annotations in an archive that no format describes."""
    labels: dict[str, str | None] = {image.name: None for image in images_of_set(source)}
    found = [each for each in _unread(source, set(), labels) if each.sniffed.holds]
    return [
        Finding.of("annotations-unread", each.files[0].name, f"{_what(each)}, which no reader of Darkroom reads.")
        for each in found
    ]


def _unread(source: ExtractedArchive, known: set[str | None], labels: dict[str, str | None]) -> Iterator[_Unread]:
    """Files that name images and hold labels or splits. `labels`: image -> the class of its folder."""
    names = ImageNames(labels)
    of_images: dict[str, list[SourceFile]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    every = {file.name for file in source.files}
    for file in source.files:
        suffix = suffix_of(file.name)
        if suffix not in (*_TABLES, *_DOCUMENTS):
            continue
        if (file.name in known or _is_other(file.name)) and not is_list_with_boxes(file):
            continue
        counts[suffix] += 1
        if counts[suffix] > _MAX_FILES:
            continue
        sniffed = (sniff_table if suffix in _TABLES else sniff_document)(file, names)
        if sniffed is None and suffix == ".txt":
            sniffed = sniff_text(file, names, every)
        if not sniffed:
            continue
        if sniffed.of_one:
            of_images[suffix].append(file)
        else:
            yield _Unread([file], sniffed)
    for files in of_images.values():
        about = frozenset(name for file in files for name in names.of_own_name(file.name))
        yield _Unread(files, SniffedFile(about, labels=True, of_one=True))


def _is_of_yolo(file: SourceFile) -> bool:
    """A class list, or labels of images outside the parts of a data.yaml: its reader has seen to both."""
    return names_of_file(file) is not None or (suffix_of(file.name) == ".txt" and is_label_file(file))


def _is_other(name: str) -> bool:
    return base_of(name).lower() in SPLIT_LISTS | _BEFORE_TABLES


def _affected(unread: _Unread, dataset: Dataset) -> set[str]:
    """Images whose label or split the file would change; empty where it repeats what is known."""
    sniffed = unread.sniffed
    if dataset.kind == "classification":
        wants = sniffed.labels or (sniffed.splits and not any(item.split for item in dataset.items))
        return {item.image.name for item in dataset.items} if wants else set()
    if sniffed.splits and not sniffed.labels:
        split = any(item.split for item in dataset.items)
        return set() if split else {item.image.name for item in dataset.items}
    bare = {item.image.name for item in dataset.items if item.annotation is None}
    return bare if sniffed.cut else bare & sniffed.images


def _finding(unread: _Unread, dataset: Dataset, affected: int) -> Finding:
    path = unread.files[0].name
    if not affected:
        detail = f"{_what(unread)}; the labels and splits of the dataset are read from {_read_from(dataset)}."
        return Finding.of("annotations-left-out", path, detail)
    detail = f"{_what(unread)}, which is not read; {counted(affected, 'image')} would get a label or a split from it."
    if dataset.kind == "classification":
        detail += f" {_doubt(dataset)}"
    return Finding.of("annotations-unread", path, detail)


def _of_other_kinds(source: ExtractedArchive, dataset: Dataset) -> Iterator[Finding]:
    """Errors for files such as `labels.xlsx` and `output.manifest`, whose content is never looked at."""
    found = [name for name in source.left_out if _is_named_as_annotations(name)]
    if len(found) > _MOST_TABLES:
        return
    for name in found:
        detail = f"The file is named as annotations are, and files of this kind are not read. {_doubt(dataset)}"
        yield Finding.of("annotations-unread", name, detail)


def _is_named_as_annotations(name: str) -> bool:
    base = base_of(name).lower()
    if is_hidden(name) or not _OTHER_KINDS.fullmatch(base):
        return False
    return _ANNOTATION_WORD.search(base) is not None and not _CLASSES_WORD.search(base)


def _doubt(dataset: Dataset) -> str:
    labels = sorted({item.label for item in dataset.items if item.label})[:3]
    return f"The folders {', '.join(labels)}, ... may not be the classes."


def _what(unread: _Unread) -> str:
    what = "labels" if unread.sniffed.labels else "splits"
    number = len(unread.sniffed.images)
    if unread.sniffed.of_one:
        files = counted(len(unread.files), "file")
        labels = "3D labels in the format of KITTI" if is_kitti_file(unread.files[0]) else "labels"
        return f"{files} like this one hold {labels}, each for one image"
    return f"The file gives {what} of {counted(number, 'image')}"


def _read_from(dataset: Dataset) -> str:
    return "folders" if dataset.kind == "classification" else dataset.format
