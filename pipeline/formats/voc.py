"""Pascal VOC: one XML for each image, in any folder.

Coordinates are read as 1-based inclusive pixels, floats included (VOC development kit, `VOCxml.m`): the left edge
is xmin - 1, the right edge xmax.
"""

from collections.abc import Iterator, Sequence

from core.domain.findings import Finding, FindingList
from pipeline.archive.entry_names import bare_of, base_of
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import Dataset, Item, RepairedItem
from pipeline.formats.box_limits import require_boxes
from pipeline.formats.image_index import canonical
from pipeline.formats.image_roles import images_of_set
from pipeline.formats.pairs import Pairs, pair, pair_findings
from pipeline.formats.split_lists import split_lists
from pipeline.formats.text import WrittenNames
from pipeline.formats.voc_rewrite import rewrite_annotation
from pipeline.formats.voc_xml import VocAnnotation, is_voc, parse_annotation

NAME = "voc"


def matches(source: ExtractedArchive) -> str | None:
    documents = [file for file in source.files if file.name.lower().endswith(".xml")]
    if not documents:
        return "no XML files in the archive."
    if not any(is_voc(file) for file in documents):
        return f"{counted(len(documents), 'XML file')}, none with <annotation> as its root."
    return None


def read(source: ExtractedArchive) -> Dataset:
    findings = FindingList()
    boxes = 0
    annotations: list[VocAnnotation] = []
    written = WrittenNames()
    for file in source.files:
        if file.name.lower().endswith(".xml"):
            annotation = parse_annotation(file, written)
            if annotation is None:
                detail = "The root of this XML is not <annotation>; it is left out."
                findings.append(Finding.of("xml-not-voc", file.name, detail))
            else:
                annotations.append(annotation)
                boxes += len(annotation.boxes)
                require_boxes(file, boxes)
                findings += annotation.findings
                annotation.findings.clear()  # not needed again: there may be 1,000 of each of 100,000 files
    findings += written.findings()
    findings += _encoding_findings(annotations)
    images = images_of_set(source)
    pairs = pair(annotations, images)
    findings += pair_findings(pairs, source)
    findings += _name_findings(annotations, pairs)
    by_image = {pairs.of[a.file.name].name: a for a in annotations if a.file.name in pairs.of}
    items = tuple(_item(image, by_image.get(image.name)) for image in images)
    broken = pairs.broken | {image for image, annotation in by_image.items() if not annotation.usable}
    return Dataset("detection", NAME, items, findings, frozenset(broken), lost=len(pairs.lost))


def rewrite(source: ExtractedArchive, kept: Sequence[RepairedItem]) -> Iterator[tuple[str, bytes]]:
    """XML unchanged where nothing was repaired, else with new corners, size and file name; lists for a given split."""
    files = {file.name: file for file in source.files}
    for each in kept:
        if each.item.annotation:
            content = files[each.item.annotation].byte_range.read()
            yield each.item.annotation, rewrite_annotation(content, each) if each.changed else content
    yield from split_lists(kept)


def _item(image: SourceFile, annotation: VocAnnotation | None) -> Item:
    if annotation is None:
        return Item(image)
    boxes = tuple(annotation.boxes)
    annotation.boxes.clear()  # not needed again: 100,000 lists would stay beside the tuples
    return Item(
        image,
        boxes=boxes,
        annotation=annotation.file.name,
        size=annotation.size,
        size_line=annotation.size_line,
    )


def _encoding_findings(annotations: list[VocAnnotation]) -> Iterator[Finding]:
    """One for the whole set: a program writes the same declaration into every file."""
    overruled = [annotation for annotation in annotations if annotation.overruled]
    if overruled:
        first = overruled[0]
        files = counted(len(overruled), "XML file declares", "XML files declare")
        detail = f"{files} another encoding than that of the bytes, here {first.overruled}: all are read as UTF-8."
        yield Finding.of("xml-encoding", first.file.name, detail, line=1)


def _name_findings(annotations: list[VocAnnotation], pairs: Pairs[VocAnnotation]) -> Iterator[Finding]:
    for annotation in annotations:
        image = pairs.of.get(annotation.file.name)
        if image is None or not annotation.image_name:
            continue
        base = base_of(image.name)
        if canonical(annotation.image_name) not in (canonical(base), bare_of(canonical(base))):
            detail = f"<filename> is {annotation.image_name[:200]!r}, but the annotation is used for {base}."
            yield Finding.of("filename-differs", annotation.file.name, detail)
