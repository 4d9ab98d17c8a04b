"""Finds the parts that a data.yaml, or a darknet .data, names: folders or lists, by paths of another machine."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from core.domain.findings import Finding
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import HELD_OUT_SPLITS, SPLITS
from pipeline.formats.image_index import canonical
from pipeline.formats.split_lines import ImageLines
from pipeline.formats.split_sources import SplitSource
from pipeline.formats.text import read_lines
from pipeline.formats.yolo_yaml import DataYaml, find_yaml, read_yaml

_DARKNET_SUFFIX = ".data"
_DARKNET_KEYS = {"train": "train", "valid": "val", "val": "val", "validation": "val", "test": "test"}
_LIST_SUFFIXES = (".txt", ".lst", ".list")


@dataclass(slots=True)
class YamlParts:
    """`sources`: one for each list, and one for all folders. `lists`: file -> the part that it is named for.

    `is_partly_unread`: a list for val or test cannot be read.
    """

    data: DataYaml
    sources: list[SplitSource] = field(default_factory=list)
    lists: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    is_partly_unread: bool = False

    @property
    def members(self) -> dict[str, str]:
        """Image -> split; of several the one that is held out."""
        order = {split: number for number, split in enumerate(SPLITS)}
        found: dict[str, str] = {}
        for source in self.sources:
            for name, split in source.of.items():
                found[name] = max(split, found.get(name, "train"), key=order.__getitem__)
        return found


class NamedPaths:
    """The folders with images and the text lists of an archive, by name."""

    def __init__(self, source: ExtractedArchive, images: list[SourceFile], lines: ImageLines) -> None:
        self.images, self.lines = images, lines
        self._source = source

    @cached_property
    def texts(self) -> dict[str, SourceFile]:
        return {file.name: file for file in self._source.files if file.name.lower().endswith(_LIST_SUFFIXES)}

    @cached_property
    def _canonical(self) -> dict[str, str]:
        return {canonical(name): name for name in (*sorted(self.texts), *sorted(_folders_above(self.images)))}

    @cached_property
    def _folded(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for name, known in self._canonical.items():
            found[name.casefold()].append(known)
        return found

    def find(self, path: str, data: DataYaml) -> tuple[str | None, bool]:
        """(the folder or list that a path means, whether its name differs in upper and lower case)."""
        wanted = [canonical(each) for each in _candidates(path, data)]
        if known := next((self._canonical[each] for each in wanted if each in self._canonical), None):
            return known, False
        folded = (self._folded.get(each.casefold(), ()) for each in wanted)
        first = next((names for names in folded if names), ())
        return (first[0], True) if len(first) == 1 else (None, False)


def read_part_files(source: ExtractedArchive) -> Iterator[DataYaml]:
    """Every data.yaml, then every darknet .data."""
    yield from (data for file in find_yaml(source.files) if not (data := read_yaml(file)).is_model)
    yield from (_read_darknet(file) for file in source.files if is_darknet(file.name))


def is_darknet(name: str) -> bool:
    return name.lower().endswith(_DARKNET_SUFFIX)


def parts_of_yaml(paths: NamedPaths, data: DataYaml) -> YamlParts:
    """The parts of `data` that are in the archive; findings about the others. Its lists count before its folders."""
    parts = YamlParts(data)
    split_of: dict[str, str] = {}  # folder -> split
    for split in SPLITS:
        for path, line in data.parts.get(split, ()):
            known, other_case = paths.find(path, data)
            if known is None:
                detail = f"`{split}` names {path[:200]!r}; the archive has no such list or folder with images."
                parts.findings.append(Finding.of("yaml-path-missing", data.file.name, detail, line=line))
                continue
            if other_case:
                detail = f"`{split}` names {path[:200]!r}; {known} is used, which differs in upper and lower case."
                parts.findings.append(Finding.of("yaml-path-case", data.file.name, detail, line=line))
            taken = parts.lists if known in paths.texts else split_of
            if known in taken:
                first = taken[known]
                detail = f"`{split}` names the same path as `{first}`: {known}. It is used for {first}."
                parts.findings.append(Finding.of("split-same-folder", data.file.name, detail, line=line))
                continue
            taken[known] = split
            if known in paths.texts:
                _add_list(parts, paths, known, split)
    listed = parts.members
    in_folders = {name: split for name, split in _in_folders(paths.images, split_of) if name not in listed}
    if in_folders:
        parts.sources.append(SplitSource(data.file.name, data.file.name, in_folders))
    return parts


def _add_list(parts: YamlParts, paths: NamedPaths, known: str, split: str) -> None:
    listed = paths.lines.read(paths.texts[known])
    parts.findings += listed.findings
    parts.is_partly_unread |= not listed.is_read and split in HELD_OUT_SPLITS
    if listed.found:
        name = f"{parts.data.file.name} ({known})"
        parts.sources.append(SplitSource(name, parts.data.file.name, dict.fromkeys(listed.found, split)))


def _folders_above(images: list[SourceFile]) -> set[str]:
    found: set[str] = set()
    for image in images:
        folder = image.name
        while folder:
            folder = folder.rpartition("/")[0]
            if folder in found:
                break
            found.add(folder)
    return {folder or "." for folder in found}


def _in_folders(images: list[SourceFile], split_of: dict[str, str]) -> Iterator[tuple[str, str]]:
    if not split_of:
        return
    of_folder: dict[str, str | None] = {}
    for image in images:
        folder = image.name.rpartition("/")[0]
        if folder not in of_folder:
            parents = map(str, PurePosixPath(image.name).parents)
            of_folder[folder] = next((split_of[each] for each in parents if each in split_of), None)
        if split := of_folder[folder]:
            yield image.name, split


def _read_darknet(file: SourceFile) -> DataYaml:
    """Lines of `train = data/train.txt`."""
    data = DataYaml(file)
    for number, line in enumerate(read_lines(file) or (), start=1):
        key, _, path = (text.strip() for text in line.partition("="))
        if path and key.lower() in _DARKNET_KEYS:
            data.parts.setdefault(_DARKNET_KEYS[key.lower()], []).append((path, number))
    return data


def _candidates(path: str, data: DataYaml) -> Iterator[str]:
    """The likeliest first: below `path:`, below the folder of the YAML and its parents, then shorter ends of the path.

    Roboflow writes `../train/images` beside `train/`; absolute paths are those of the author's disk.
    """
    parts, root = _parts(path), _parts(data.root)
    bases = [parent.parts for parent in PurePosixPath(data.file.name).parents]
    for wanted in (root + parts, *(parts[at:] for at in range(len(parts)))):
        for base in bases:
            yield str(PurePosixPath(*base, *wanted))


def _parts(path: str) -> tuple[str, ...]:
    parts: list[str] = []
    for part in path.replace("\\", "/").split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", "..") and not part.endswith(":"):
            parts.append(part)
    return tuple(parts)
