"""Selects the files of a hub's dataset that hold the requested splits, by names and the card; no file is opened.

The card (the front matter of its README, which the hub returns as JSON) takes precedence where it names files; else
folders and names decide, as in `data/train-00000-of-00002.parquet` or `train/cat/1.jpg`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from core.domain.errors import HubSetUnusable
from core.domain.limits import MAX_DEPTH, MAX_NAME_BYTES
from pipeline.archive.extract import IMAGE_SUFFIXES
from pipeline.dataset.model import HUGGINGFACE_SPLITS, common_folder
from pipeline.formats.class_folders import Folder
from pipeline.formats.split_names import split_of_folder
from pipeline.hub.patterns import Pattern, may_match
from pipeline.params.hub_set import SPLIT_FOLDERS, HubSet

TABLE = ".parquet"
_LABEL_TABLES = (
    ".csv",
    ".tsv",
    ".jsonl",
    ".ndjson",
)  # the hub's own reader takes labels from a metadata file, not folders
IMPORTED_FILE = "imported.zip"  # written by the child process
MAX_FILES = 20_000  # each is one request: 17 minutes at 50 ms
MAX_PATTERNS = 1_000  # of a card, for the requested splits; the hub's own cards have one for each split
MAX_MATCHES = 5_000_000  # patterns times files: half a minute, minutes at worst; 25 patterns for 200,000 files


@dataclass(frozen=True, slots=True)
class HubFile:
    """`sha256`: of files in the hub's large file storage; `git_sha1`: of the git object, for the others."""

    name: str
    bytes: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None


@dataclass(frozen=True, slots=True)
class SplitFile:
    """A file and the split that it belongs to."""

    split: str
    file: HubFile

    @property
    def is_table(self) -> bool:
        return self.file.name.lower().endswith(TABLE)


def select_files(
    files: Sequence[HubFile], card: Mapping[str, Any], requested: HubSet, check: Callable[[], None] = lambda: None
) -> list[SplitFile]:
    """Tables if the dataset has any, else images; sorted by name within each split. `check()` may raise to stop.

    Raises HubSetUnusable, also for images in folders beside a table that may give their labels.
    """
    usable = [file for file in files if _is_usable(file.name)]
    label_tables = sorted(file.name for file in files if file.name.lower().endswith(_LABEL_TABLES))
    by_card = _by_card(usable, card, requested, check)
    found = by_card if by_card is not None else list(_by_name(usable, requested))
    if any(each.is_table for each in found):
        found = [each for each in found if each.is_table]
    elif found and label_tables:
        raise HubSetUnusable(
            f"The labels may be in {label_tables[0]}, which is not read, so the folders are not taken for classes. If "
            "they are, upload the images as a ZIP without the table.",
            files=label_tables[:20],
        )
    missing = [split for split in requested.splits if not any(each.split == split for each in found)]
    if missing:
        raise HubSetUnusable(
            f"The dataset has no parquet files and no images in class folders for the split {missing[0]}.",
            repository=requested.repository,
            splits=missing,
        )
    if len(found) > MAX_FILES:
        raise HubSetUnusable(f"The dataset has {len(found)} files; at most {MAX_FILES} are fetched.", files=len(found))
    return sorted(found, key=lambda each: (requested.splits.index(each.split), each.file.name))


def select_tables(files: Sequence[HubFile], card: Mapping[str, Any]) -> list[SplitFile]:
    """The tables of train, validation and test that there are, by name within each split.

    Raises HubSetUnusable where there are several subsets.
    """
    requested = HubSet(repository="upload", splits=tuple(HUGGINGFACE_SPLITS.values()))
    usable = [file for file in files if _is_usable(file.name)]
    found = _by_card(usable, card, requested, lambda: None) or list(_by_name(usable, requested))
    tables = [each for each in found if each.is_table]
    return sorted(tables, key=lambda each: (requested.splits.index(each.split), each.file.name))


def names_of_card(card: Mapping[str, Any], subset: str | None) -> dict[str, list[str]]:
    """Column -> class names, from `dataset_info` of the card, for tables that do not have them."""
    entry = card.get("dataset_info")
    infos = [info for info in (entry if isinstance(entry, list) else [entry]) if isinstance(info, dict)]
    chosen = [info for info in infos if subset and info.get("config_name") == subset] or infos[:1]
    features = chosen[0].get("features") if chosen else None
    found: dict[str, list[str]] = {}
    for feature in features if isinstance(features, list) else []:
        if isinstance(feature, dict):
            found.update(_names_of_feature(feature, ""))
    return found


def _names_of_feature(feature: Mapping[str, Any], within: str) -> Iterator[tuple[str, list[str]]]:
    """(column, class names); `objects.category` for what is in the lists of a column."""
    name = f"{within}{feature.get('name')}"
    for key in ("dtype", "sequence", "list"):
        kind = feature.get(key)
        label = kind.get("class_label") if isinstance(kind, dict) else None
        names = label.get("names") if isinstance(label, dict) else None
        if isinstance(names, dict):  # {"0": "cat", ...}
            names = [names.get(str(number)) for number in range(len(names))]
        if isinstance(names, list) and all(isinstance(each, str) for each in names):
            yield name, names
    for key in ("sequence", "struct", "list"):
        inner = feature.get(key)
        for each in inner if isinstance(inner, list) and not within else []:
            if isinstance(each, dict):
                yield from _names_of_feature(each, f"{name}.")


def _is_usable(name: str) -> bool:
    """Whether it is a table or an image, with a relative path within the repository."""
    # isprintable() excludes lone surrogates, which encode() refuses.
    if not name or not name.isprintable() or len(name.encode()) > MAX_NAME_BYTES:
        return False
    path = PurePosixPath(name)
    if name.startswith("/") or ".." in path.parts or name.count("/") > MAX_DEPTH:
        return False
    return path.suffix.lower() == TABLE or path.suffix.lower() in IMAGE_SUFFIXES


def _by_card(
    files: Sequence[HubFile], card: Mapping[str, Any], requested: HubSet, check: Callable[[], None]
) -> list[SplitFile] | None:
    """None where the card names no files. Raises HubSetUnusable where it has several subsets and none is requested, and
    for too many patterns."""
    entries = card.get("configs")
    configs = [config for config in entries if isinstance(config, dict)] if isinstance(entries, list) else []
    named = {str(config.get("config_name")): config for config in configs if config.get("data_files")}
    if not named:
        return None
    patterns: dict[str, list[Pattern]] = {split: [] for split in requested.splits}
    for number, (split, pattern) in enumerate(_patterns(_chosen(named, requested)["data_files"], requested), start=1):
        if number > MAX_PATTERNS or number * len(files) > MAX_MATCHES:
            detail = f"The card of the dataset names too many file patterns for its {len(files)} files."
            raise HubSetUnusable(detail, limit=min(MAX_PATTERNS, MAX_MATCHES // max(1, len(files))))
        check()
        patterns[split].append(Pattern(pattern))
    found: dict[str, SplitFile] = {}
    for split, own in patterns.items():
        for file in files:
            check()
            parts = file.name.split("/")
            if any(pattern.matches(parts) for pattern in own):
                found.setdefault(file.name, SplitFile(split, file))
    return list(found.values())


def _chosen(named: Mapping[str, dict[str, Any]], requested: HubSet) -> dict[str, Any]:
    if requested.subset is not None:
        if requested.subset not in named:
            raise _ambiguous(f"The dataset has no subset {requested.subset}.", named)
        return named[requested.subset]
    defaults = [config for name, config in named.items() if config.get("default") is True or name == "default"]
    if not defaults and len(named) > 1:
        raise _ambiguous("The dataset has several subsets: name one as `subset`.", named)
    return defaults[0] if defaults else next(iter(named.values()))


def _ambiguous(detail: str, names: Mapping[str, Any]) -> HubSetUnusable:
    return HubSetUnusable(detail, subsets=sorted(names)[:100])


def _patterns(data_files: Any, requested: HubSet) -> Iterator[tuple[str, str]]:
    """(split, pattern) for the requested splits. `data_files`: one pattern, a list, or a list for each split."""
    for entry in data_files if isinstance(data_files, list) else [data_files]:
        split, paths = (entry.get("split"), entry.get("path")) if isinstance(entry, dict) else ("train", entry)
        for path in paths if isinstance(paths, list) else [paths]:
            if split in requested.splits and isinstance(path, str) and may_match(path):
                yield split, path.removeprefix("./")


def _by_name(files: Sequence[HubFile], requested: HubSet) -> Iterator[SplitFile]:
    """By the first folder, or word in the name of a table, that is named like a split.

    If no file names a split, all are train. If one does, a file that names none (`holdout-0.parquet`) is left out.
    """
    tables = [file for file in files if file.name.lower().endswith(TABLE)]
    chosen = [
        file for file in tables or files if requested.subset is None or file.name.split("/")[0] == requested.subset
    ]
    known = {*SPLIT_FOLDERS, *requested.splits}
    subsets = {file.name.split("/")[0] for file in chosen if len(file.name.split("/")) > 2} if tables else set()
    if len(subsets - known - {"data"}) > 1:
        raise _ambiguous("The dataset has several subsets: name one as `subset`.", dict.fromkeys(subsets))
    classes = set() if tables else _classes_named_like_splits(chosen, known)
    named = [_split_of(file.name, known, classes, is_table=bool(tables)) for file in chosen]
    default = None if any(named) else "train"
    for file, split in zip(chosen, named, strict=True):
        name = _requested_name(split or default, requested)
        if name is not None:
            yield SplitFile(name, file)


def _split_of(name: str, known: set[str], classes: set[Folder], *, is_table: bool) -> str | None:
    *folders, last = name.split("/")
    words = re.split(r"[-_. ]", PurePosixPath(last).stem) if is_table else []
    if tuple(folders) in classes:
        return None
    return next((split for part in (*folders, *words) if (split := _split_named(part, known))), None)


def _split_named(part: str, known: set[str]) -> str | None:
    """`Train` and `train2017` are train."""
    return part if part in known else split_of_folder(part)


def _classes_named_like_splits(files: Sequence[HubFile], known: set[str]) -> set[Folder]:
    """Image folders named like a split that are classes: `test/` beside `cat/` and `dog/`."""
    folders = {tuple(file.name.split("/")[:-1]) for file in files}
    depth = common_folder([file.name for file in files]).count("/") + 1
    beside = {folder: _split_named(folder[-1], known) for folder in folders if len(folder) == depth}
    several = sum(split is None for split in beside.values()) > 1
    return {folder for folder, split in beside.items() if split} if several else set()


def _requested_name(split: str | None, requested: HubSet) -> str | None:
    """The requested name of a split: `validation` for `valid/`; None for one that is not requested."""
    if split in requested.splits:
        return split
    folder = SPLIT_FOLDERS.get(split or "")
    return next((each for each in requested.splits if folder and SPLIT_FOLDERS.get(each) == folder), None)
