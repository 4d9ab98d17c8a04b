"""Decides the split that an archive gives, from all that states one (docs/decisions/0022)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from core.domain.findings import Finding, Severity
from pipeline.archive.entry_names import folder_of
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import Dataset, Item, common_folder
from pipeline.formats.split_annotations import sources_of_files, unknown_files
from pipeline.formats.split_files import SplitLists, read_split_lists, report_unused, unread_splits
from pipeline.formats.split_folders import splits_by_folder, unknown_folders
from pipeline.formats.split_lines import ImageLines
from pipeline.formats.split_sources import SplitSource, merge_sources
from pipeline.formats.split_tables import read_split_tables
from pipeline.formats.yolo_splits import NamedPaths, is_darknet, parts_of_yaml, read_part_files
from pipeline.params.formats import REVISIONS

KEEP = "keep"
_FOLDERS = "folders"  # the format whose folders are classes and parts, by rules of its own


@dataclass(frozen=True, slots=True)
class GivenSplit:
    """`items` with their splits. `doubtful`: images that a source may hold out; `listed`: those that a data.yaml or a
    list names; `used`: files that give nothing but a split."""

    items: tuple[Item, ...]
    findings: list[Finding] = field(default_factory=list)
    doubtful: frozenset[str] = frozenset()
    listed: frozenset[str] = frozenset()
    used: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Evidence:
    """`ranks`: the sources, the strongest first; `naming`: those of them that are a data.yaml or a list.

    `is_partly_unread`: a list that a data.yaml names for val or test cannot be read.
    """

    ranks: list[list[SplitSource]]
    naming: list[SplitSource]
    lists: SplitLists
    findings: list[Finding]
    used: set[str]
    is_partly_unread: bool


def give_split(source: ExtractedArchive, dataset: Dataset, option: str = KEEP) -> GivenSplit:
    """What a stronger source leaves open, a weaker one decides; where they disagree, that is reported.

    In their order: a column of the labels, the names of their files, data.yaml, .data, lists and tables of a split,
    folders. `option`: `split` of PrepareOptions; where it is not `keep`, the given split has no effect.
    """
    if dataset.format in REVISIONS:
        return GivenSplit(dataset.items)
    images = [item.image for item in dataset.items]
    evidence = _gather(source, dataset, images)
    merged = merge_sources(evidence.ranks, len(images))
    findings = [*evidence.findings, *merged.findings, *_unknown_folders(dataset, merged.of)]
    findings += unread_splits(source.left_out)
    doubtful = merged.doubtful
    for finding, names in _without_effect(evidence.lists, dataset, merged.of):
        findings.append(finding)
        doubtful.update(names)
    if evidence.is_partly_unread:
        doubtful.update(item.image.name for item in dataset.items if item.image.name not in merged.of)
    if option != KEEP:
        findings = [
            each for each in findings if not (each.severity is Severity.ERROR and each.code.startswith("split-"))
        ]
        doubtful = set()
    items = tuple(_with_split(item, merged.of.get(item.image.name)) for item in dataset.items)
    listed = frozenset(name for each in evidence.naming for name in each.of)
    return GivenSplit(items, findings, frozenset(doubtful), listed, frozenset(evidence.used))


def _gather(source: ExtractedArchive, dataset: Dataset, images: list[SourceFile]) -> _Evidence:
    lines = ImageLines(images)
    labels = {item.annotation for item in dataset.items}
    files = [file for file in source.files if file.name not in labels]
    paths = NamedPaths(source, images, lines)
    yamls = [parts_of_yaml(paths, data) for data in read_part_files(source)]
    of_yamls = [each for parts in yamls if not is_darknet(parts.data.file.name) for each in parts.sources]
    of_darknet = [each for parts in yamls if is_darknet(parts.data.file.name) for each in parts.sources]
    lists = read_split_lists(files, images, lines, {name: part for each in yamls for name, part in each.lists.items()})
    tables = read_split_tables(files, lines, root=common_folder([image.name for image in images]))
    lists.strange += tables.strange
    ranks = [
        _stated(dataset),
        sources_of_files(dataset.format, dataset.items),
        of_yamls,
        of_darknet,
        lists.main,
        [*lists.others, *tables.sources],
        _of_folders(dataset, images),
    ]
    yamls = [parts for parts in yamls if parts.sources or parts.data.file.name not in tables.used]
    findings = [finding for parts in yamls[:1] for finding in parts.findings]
    others = [parts for parts in yamls[1:] if parts.sources or parts.is_partly_unread]
    findings += [finding for parts in others for finding in parts.findings]
    naming = [*of_yamls, *of_darknet, *lists.main, *lists.others]
    is_partly_unread = any(parts.is_partly_unread for parts in yamls)
    return _Evidence(ranks, naming, lists, findings + lists.findings, tables.used | lists.used, is_partly_unread)


def _stated(dataset: Dataset) -> list[SplitSource]:
    """A column of the labels' table, or the subset of an image in their file."""
    if dataset.format == _FOLDERS:
        return []
    of: dict[str, dict[str, str]] = {}
    for item in dataset.items:
        if item.split and item.annotation:
            of.setdefault(item.annotation, {})[item.image.name] = item.split
    return [SplitSource(f"{name} (its own column)", name, stated) for name, stated in of.items()]


def _of_folders(dataset: Dataset, images: Sequence[SourceFile]) -> list[SplitSource]:
    """One for each part, named by its first folder."""
    if dataset.format == _FOLDERS:
        of = {item.image.name: item.split for item in dataset.items if item.split}
    else:
        of = splits_by_folder(images)
    found: dict[str, dict[str, str]] = {}
    for name, split in of.items():
        found.setdefault(split, {})[name] = split
    return [SplitSource(f"the folder {folder_of(next(iter(part)))}/", "", part) for part in found.values()]


def _unknown_folders(dataset: Dataset, splits: Mapping[str, str]) -> list[Finding]:
    if dataset.format == _FOLDERS:
        places = {item.image.name: _without_class(item) for item in dataset.items if item.label}
    else:
        places = {item.image.name: item.image.name for item in dataset.items}
    return unknown_folders(list(places.values()), [place for name, place in places.items() if name not in splits])


def _without_class(item: Item) -> str:
    """`train/cat/old/1.jpg` of the class cat -> `train/1.jpg`."""
    *folders, base = item.image.name.split("/")
    at = len(folders) - 1 - folders[::-1].index(item.label or "")
    return "/".join((*folders[:at], base))


def _without_effect(
    lists: SplitLists, dataset: Dataset, splits: Mapping[str, str]
) -> Iterator[tuple[Finding, list[str]]]:
    """(a finding about what states a split and had no effect, the images that it may hold out)."""
    yield from unknown_files(dataset.format, dataset.items, splits)
    yield from report_unused(lists, splits, [item.image.name for item in dataset.items])


def _with_split(item: Item, split: str | None) -> Item:
    if item.split == split:
        return item
    # dataclasses.replace() takes ten times as long, and there may be 100,000 items.
    return Item(
        item.image,
        boxes=item.boxes,
        split=split,
        annotation=item.annotation,
        size=item.size,
        size_line=item.size_line,
        label=item.label,
        coordinates=item.coordinates,
    )
