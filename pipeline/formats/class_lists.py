"""Finds and reads the lists of class names of a YOLO archive: data.yaml, classes.txt, *.names, *.labels."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePosixPath

from core.domain.findings import Finding
from pipeline.archive.entry_names import base_of
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.formats.class_list_files import counted_from_0, names_of_file, names_of_lines, used_numbers
from pipeline.formats.text import class_name_fault, clean_label, read_lines, why_unread
from pipeline.formats.yolo_yaml import DataYaml, find_yaml, read_yaml

_LIST = re.compile(
    r"(_?classes|classes[_-]?names|class([_-]?(names?|list|labels))?|predefined[_-]?classes|label[_-]?(names|list)"
    r"|obj[_-]?names|labels?|names|categories)\.txt|.*\.names|.*\.labels",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(r"predefined[_-]?classes\.txt", re.IGNORECASE)  # what labelImg offers, not what was used
_COMMENT = re.compile(r"\s*(#+|//)\s")
_DARKNET_SUFFIX = ".data"


@dataclass(slots=True)
class ClassList:
    """`names`: by class number, with the `lines` that they are on. `usable`: every name could be read."""

    file: SourceFile
    names: Mapping[int, str]
    lines: Mapping[int, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    usable: bool = True
    is_yaml: bool = False

    @property
    def is_template(self) -> bool:
        return _TEMPLATE.fullmatch(base_of(self.file.name)) is not None


def read_yamls(source: ExtractedArchive) -> tuple[list[DataYaml], list[Finding]]:
    """(every YAML about a dataset, the likeliest first; notes on those that describe a model)."""
    read = [read_yaml(file) for file in find_yaml(source.files)]
    of_data = [data for data in read if not data.is_model]
    first = next((data for data in of_data if not data.usable or data.names or data.parts), None)
    if first is not None:
        of_data.sort(key=lambda data: data is not first)
    return of_data, [_of_model(data) for data in read if data.is_model]


def _of_model(data: DataYaml) -> Finding:
    detail = "The file describes a model (`backbone`, `head`), not a dataset; it is left out."
    return Finding.of("yaml-model", data.file.name, detail)


def is_class_list(name: str) -> bool:
    """By its name alone."""
    return _LIST.fullmatch(base_of(name)) is not None


def read_class_lists(source: ExtractedArchive, yamls: Sequence[DataYaml], labels: set[str]) -> list[ClassList]:
    """Every list that holds a name or cannot be read. `labels`: names of label files, which are no lists."""
    texts = {file.name: file for file in source.files if file.name not in labels and is_class_list(file.name)}
    texts |= {file.name: file for file in _named_by_darknet(source) if file.name not in labels}
    used = cache(lambda: used_numbers(file for file in source.files if file.name in labels))
    found = [ClassList(data.file, data.names, usable=data.usable, is_yaml=True) for data in yamls]
    found += [_read(file, used) for _, file in sorted(texts.items())]
    found = [each for each in found if each.names or not each.usable]
    others = [file for file in source.files if file.name not in labels and file.name not in texts]
    return found + list(_of_other_forms(others, found, used))


def _of_other_forms(
    files: Iterable[SourceFile], known: Sequence[ClassList], used: Callable[[], set[int]]
) -> Iterator[ClassList]:
    """Lists by the words of their names; beside `known` ones, only those that share a name with them and differ."""
    for file in files:
        names = names_of_file(file)
        if names is None or any(_agrees(names, each.names) for each in known):
            continue
        if known and not any(set(names.values()) & set(each.names.values()) for each in known):
            continue
        yield _numbered_list(file, names, {number: None for number in names}, used)


def _agrees(names: Mapping[int, str], known: Mapping[int, str]) -> bool:
    """Counted from 0 or from 1."""
    return any(
        all(known.get(number - first, name) == name for number, name in names.items()) for first in {0, min(names)}
    )


def _numbered_list(
    file: SourceFile, names: Mapping[int, str], lines: Mapping[int, int | None], used: Callable[[], set[int]]
) -> ClassList:
    counted = counted_from_0(dict(names), used)
    if counted is None:
        detail = (
            f"The list counts from 1 to {max(names)}, and labels with neither 0 nor {max(names)} may count from 0 or 1."
        )
        return ClassList(file, {}, findings=[Finding.of("class-list-unclear", file.name, detail)], usable=False)
    shift = min(names) - min(counted)
    return _checked(file, counted, {number - shift: line for number, line in lines.items() if line})


def _named_by_darknet(source: ExtractedArchive) -> Iterator[SourceFile]:
    """The file of `names = data/coffee.names` in a *.data: the one with the longest common end."""
    for file in source.files:
        if not file.name.lower().endswith(_DARKNET_SUFFIX):
            continue
        for line in read_lines(file) or ():
            key, _, path = (text.strip() for text in line.partition("="))
            if key == "names" and path:
                wanted = PurePosixPath(path.replace("\\", "/"))
                same = [each for each in source.files if base_of(each.name) == wanted.name]
                yield from sorted(same, key=lambda each: -_common_end(each.name, str(wanted)))[:1]


def _common_end(left: str, right: str) -> int:
    pairs = zip(reversed(left.split("/")), reversed(right.split("/")), strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(left.count("/"), right.count("/")) + 1)


def _read(file: SourceFile, used: Callable[[], set[int]]) -> ClassList:
    lines = read_lines(file)
    if lines is None:
        return ClassList(file, {}, findings=[why_unread(file)], usable=False)
    if numbered := names_of_lines(lines):
        at = [number for number, line in enumerate(lines, start=1) if line.strip()]
        return _numbered_list(file, numbered, dict(zip(numbered, at, strict=True)), used)
    comments = [number for number, line in enumerate(lines, start=1) if _COMMENT.match(line)]
    if comments:
        detail = f"Line {comments[0]} looks like a comment, but each line is the name of a class. Remove the comment."
        unclear = Finding.of("class-list-unclear", file.name, detail, line=comments[0])
        return ClassList(file, {}, findings=[unclear], usable=False)
    names = dict(enumerate(lines))
    return _checked(file, names, {number: number + 1 for number in names})


def _checked(file: SourceFile, texts: Mapping[int, str], lines: Mapping[int, int]) -> ClassList:
    names = {number: name for number, text in texts.items() if (name := clean_label(text))}
    found = ClassList(file, names, lines=lines)
    for number, name in list(names.items()):
        if fault := class_name_fault(name):
            found.findings.append(Finding.of(fault[0], file.name, fault[1], line=lines.get(number)))
            del names[number]
    found.usable = bool(names) or not found.findings  # else numbers would be taken for names
    return found


def duplicate_names(names: Mapping[int, str]) -> list[str]:
    return sorted(name for name, count in Counter(names.values()).items() if count > 1)
