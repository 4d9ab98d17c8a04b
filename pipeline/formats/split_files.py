"""Finds the text lists that give a split, by the words of their names, and those that have no effect."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from core.domain.findings import Finding
from pipeline.archive.entry_names import bare_of, base_of, folder_of, suffix_of
from pipeline.archive.extract import is_hidden
from pipeline.archive.plural import counted
from pipeline.archive.source import SourceFile
from pipeline.dataset.model import HELD_OUT_SPLITS, common_folder
from pipeline.formats.class_lists import is_class_list
from pipeline.formats.split_lines import ImageLines, ImageList
from pipeline.formats.split_names import TRAINVAL, parts_in, split_of_file, split_of_folder
from pipeline.formats.split_sources import SplitSource
from pipeline.formats.text import why_unread

_SUFFIXES = (".txt", ".lst", ".list")
_NO_LISTS = frozenset({"readme", "license", "licence", "requirements", "notice", "changelog", "citation"})
_UNREAD_SUFFIXES = (
    ".npy",
    ".npz",
    ".pkl",
    ".pickle",
    ".mat",
    ".h5",
    ".hdf5",
    ".parquet",
    ".arrow",
    ".xlsx",
    ".xls",
    ".toml",
)
_MAX_FILES = 2000  # that are looked into: of files of labels there is one for each image
_SNIFFED = 40  # lines
_FLAGS = frozenset({"-1", "0", "1"})  # of VOC's lists for one class: `2008_000002 -1`


@dataclass(slots=True)
class SplitLists:
    """`main`, `others`: sources, those of `ImageSets/Main` first. `unclear`: lists whose names name no part or several.

    `strange`: lists of val or test that name no image of the dataset, or cannot be read. `used`: files that hold
    nothing but a split.
    """

    main: list[SplitSource] = field(default_factory=list)
    others: list[SplitSource] = field(default_factory=list)
    unclear: list[ImageList] = field(default_factory=list)
    strange: list[ImageList] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    used: set[str] = field(default_factory=set)


def read_split_lists(
    files: Sequence[SourceFile], images: Sequence[SourceFile], lines: ImageLines, named: Mapping[str, str]
) -> SplitLists:
    """`files`: without those of labels. `named`: lists that a data.yaml names -> the part that it names them for."""
    lists = SplitLists()
    root = common_folder([image.name for image in images])
    candidates = [file for file in files if _may_be_list(file.name)]
    exact = {(folder_of(file.name), part) for file in candidates if (part := _exact_part(file.name))}
    looked_into = 0
    for file in candidates:
        part = _exact_part(file.name) or part_of_list(file.name, root)
        if file.name in named and not (named[file.name] == "train" and part in HELD_OUT_SPLITS):
            continue
        if not _exact_part(file.name):
            looked_into += 1
            if looked_into > _MAX_FILES or not _is_worth_reading(lines.read(file, limit=_SNIFFED), part, exact):
                continue
        _add(lists, lines.read(file), part)
    if lists.main:
        lists.others = [_hint(source) for source in lists.others]
    return lists


def report_unused(
    lists: SplitLists, splits: Mapping[str, str], images: Sequence[str]
) -> Iterator[tuple[Finding, list[str]]]:
    """(a finding about a list without effect, the images that it may hold out and that would be trained on).

    `splits`: image name -> split, by all sources; an image in none of them is trained on.
    """
    for listed in lists.unclear:
        if len(listed.found) == len(images):
            continue  # a list of all images gives no split
        yield _unclear(listed, splits)
    undecided = [name for name in images if name not in splits]
    for listed in lists.strange:
        name = listed.file.name
        if not listed.is_read:
            yield why_unread(listed.file), undecided
        elif undecided and listed.names_files:
            none = "none of which is" if listed.unknown == listed.lines else "most of which are not"
            detail = f"The list names {counted(listed.lines, 'image')}, {none} in the archive; it may hold out "
            detail += f"{counted(len(undecided), 'image')} in no part of the split, such as {undecided[0]}."
            yield Finding.of("split-list-held-out", name, detail), undecided
        elif listed.lines:
            yield Finding.of("split-list-unused", name, "The list names no image of the archive; it has no effect."), []


def unread_splits(left_out: Iterable[str]) -> Iterator[Finding]:
    """Warnings about files that are not read, and that are named as lists of val or test are (`val.npy`)."""
    for name in left_out:
        part = split_of_file(_stem(name))
        if suffix_of(name) in _UNREAD_SUFFIXES and part in HELD_OUT_SPLITS and not is_hidden(name):
            detail = f"The file may give the images for {part}, but files of this kind are not read; it has no effect."
            yield Finding.of("split-list-unused", name, detail)


def part_of_list(name: str, root: str) -> str | None:
    """By the words of its name, or else by its folder (`test/files.txt`), where that is not around all images.

    `root`: the folder of all images.
    """
    stem = _stem(name)
    if parts_in(stem):
        return split_of_file(stem)
    folder = folder_of(name)
    return None if f"{root}/".startswith(f"{folder}/") else split_of_folder(base_of(folder))


def _may_be_list(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES) and _stem(name).lower() not in _NO_LISTS and not is_class_list(name)


def _stem(name: str) -> str:
    return bare_of(base_of(name))


def _exact_part(name: str) -> str | None:
    """Of a list that has no other word in its name: `val.txt`, `trainval.txt`, `test2007.txt`."""
    stem = _stem(name).lower()
    return TRAINVAL if stem == TRAINVAL else split_of_folder(stem)


def _is_worth_reading(head: ImageList, part: str | None, exact: Set[tuple[str, str]]) -> bool:
    if not head.is_read:
        return part in HELD_OUT_SPLITS
    if not head.is_of_images:
        return False
    columns = set(head.found.values())
    if part is None:  # with columns it is a table, which is another matter
        return columns == {""} or bool(head.column_splits())
    return not (columns <= _FLAGS and (folder_of(head.file.name), part) in exact)


def _add(lists: SplitLists, listed: ImageList, part: str | None) -> None:
    name = listed.file.name
    by_column = listed.column_splits()
    of = by_column or (dict.fromkeys(listed.found, part) if part else {})
    if not of:
        if part is None:
            lists.unclear.append(listed)
        elif part in HELD_OUT_SPLITS:
            lists.strange.append(listed)
        else:
            lists.findings += listed.findings
        return
    lists.findings += listed.findings
    if by_column or set(listed.found.values()) <= {""}:
        lists.used.add(name)
    is_main = base_of(folder_of(name)).lower() == "main"
    (lists.main if is_main else lists.others).append(SplitSource(name, name, of))


def _hint(source: SplitSource) -> SplitSource:
    """`ImageSets/Segmentation/val.txt` beside `ImageSets/Main/val.txt`."""
    of_task = base_of(folder_of(folder_of(source.path))).lower() == "imagesets"
    return SplitSource(source.name, source.path, source.of, is_hint=True) if of_task else source


def _unclear(listed: ImageList, splits: Mapping[str, str]) -> tuple[Finding, list[str]]:
    name, number = listed.file.name, counted(len(listed.found), "image")
    trained = sorted(image for image in listed.found if splits.get(image, "train") == "train")
    holds_out = not parts_in(_stem(name)).isdisjoint(HELD_OUT_SPLITS)
    if holds_out and trained:
        detail = (
            f"The list names {number}, and its name more than one part; {trained[0]}, for one, would be trained on."
        )
        return Finding.of("split-list-held-out", name, detail), trained
    detail = f"The list names {number}, but its name is not that of a part (train, val, test); it has no effect."
    return Finding.of("split-list-unused", name, detail), []
