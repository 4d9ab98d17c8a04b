"""Which files of a hub's dataset hold the splits that are wanted. By names and the dataset's card; nothing is opened.

The card (the front matter of its README, which the hub gives as JSON) wins where it names files; else their folders
and names tell, as `data/train-00000-of-00002.parquet` or `train/cat/1.jpg` do.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from core.domain.errors import HubSetUnusable
from core.domain.limits import MAX_NAME_BYTES
from pipeline.archive import IMAGE_SUFFIXES
from pipeline.params.hub_set import FOLDERS, HubSet

TABLE = ".parquet"
IMPORTED_FILE = "imported.zip"  # what a child makes of the files
MAX_FILES = 20_000  # each is a request; with 50 ms for one, 17 minutes
_MAX_PATTERN = 300


@dataclass(frozen=True, slots=True)
class HubFile:
    """`sha256` of what the hub keeps as a large file, `git_sha1` of its git object for the rest."""

    name: str
    bytes: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file, and the split that it belongs to."""

    split: str
    file: HubFile

    @property
    def is_table(self) -> bool:
        return self.file.name.lower().endswith(TABLE)


def wanted_files(files: Sequence[HubFile], card: Mapping[str, Any], asked: HubSet) -> list[Wanted]:
    """Tables where there are some, else pictures; in the order of their names. Raises HubSetUnusable."""
    usable = [file for file in files if _is_usable(file.name)]
    by_card = _by_card(usable, card, asked)
    found = by_card if by_card is not None else list(_by_name(usable, asked))
    if any(each.is_table for each in found):
        found = [each for each in found if each.is_table]
    missing = [split for split in asked.splits if not any(each.split == split for each in found)]
    if missing:
        raise HubSetUnusable(
            f"It has no parquet files and no pictures in folders of classes for the split {missing[0]}.",
            repository=asked.repository,
            splits=missing,
        )
    if len(found) > MAX_FILES:
        raise HubSetUnusable(f"It is {len(found)} files; at most {MAX_FILES} are fetched.", files=len(found))
    return sorted(found, key=lambda each: (asked.splits.index(each.split), each.file.name))


def names_of_card(card: Mapping[str, Any], subset: str | None) -> dict[str, list[str]]:
    """Column -> class names, from the card's `dataset_info`, for tables that do not say it themselves."""
    told = card.get("dataset_info")
    infos = [info for info in (told if isinstance(told, list) else [told]) if isinstance(info, dict)]
    chosen = [info for info in infos if subset and info.get("config_name") == subset] or infos[:1]
    features = chosen[0].get("features") if chosen else None
    found: dict[str, list[str]] = {}
    for feature in features if isinstance(features, list) else []:
        dtype = feature.get("dtype") if isinstance(feature, dict) else None
        label = dtype.get("class_label") if isinstance(dtype, dict) else None
        names = label.get("names") if isinstance(label, dict) else None
        if isinstance(names, dict):  # {"0": "cat", ...}
            names = [names.get(str(number)) for number in range(len(names))]
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            found[str(feature.get("name"))] = names
    return found


def _is_usable(name: str) -> bool:
    """A table or a picture, under a name that is a path below its folder."""
    path = PurePosixPath(name)
    if not name or name.startswith("/") or ".." in path.parts or len(name.encode()) > MAX_NAME_BYTES:
        return False
    return name.isprintable() and (path.suffix.lower() == TABLE or path.suffix.lower() in IMAGE_SUFFIXES)


def _by_card(files: Sequence[HubFile], card: Mapping[str, Any], asked: HubSet) -> list[Wanted] | None:
    """None where the card names no files. Raises HubSetUnusable where it has several subsets and none is meant."""
    told = card.get("configs")
    configs = [config for config in told if isinstance(config, dict)] if isinstance(told, list) else []
    named = {str(config.get("config_name")): config for config in configs if config.get("data_files")}
    if not named:
        return None
    patterns = list(_patterns(_chosen(named, asked)["data_files"]))
    found: dict[str, Wanted] = {}
    for split in asked.splits:
        for file in files:
            if any(own == split and _matches(file.name, pattern) for own, pattern in patterns):
                found.setdefault(file.name, Wanted(split, file))
    return list(found.values())


def _chosen(named: Mapping[str, dict[str, Any]], asked: HubSet) -> dict[str, Any]:
    if asked.subset is not None:
        if asked.subset not in named:
            raise _which(f"It has no subset {asked.subset}.", named)
        return named[asked.subset]
    defaults = [config for name, config in named.items() if config.get("default") is True or name == "default"]
    if not defaults and len(named) > 1:
        raise _which("It has several subsets: name one as `subset`.", named)
    return defaults[0] if defaults else next(iter(named.values()))


def _which(detail: str, names: Mapping[str, Any]) -> HubSetUnusable:
    return HubSetUnusable(detail, subsets=sorted(names)[:100])


def _patterns(told: Any) -> Iterator[tuple[str, str]]:
    """(split, pattern) of what a card says: one pattern, several, or several for each split."""
    for entry in told if isinstance(told, list) else [told]:
        split, paths = (entry.get("split"), entry.get("path")) if isinstance(entry, dict) else ("train", entry)
        for path in paths if isinstance(paths, list) else [paths]:
            if isinstance(split, str) and isinstance(path, str) and len(path) <= _MAX_PATTERN:
                yield split, path.removeprefix("./")


def _matches(name: str, pattern: str) -> bool:
    """Part by part; `**` is any number of folders. Takes no longer than one is long times the other."""
    parts = name.split("/")
    reached = {0}
    for part in pattern.split("/"):
        if part == "**":
            reached = set(range(min(reached), len(parts) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(parts) and fnmatchcase(parts[at], part)}
        if not reached:
            return False
    return len(parts) in reached


def _by_name(files: Sequence[HubFile], asked: HubSet) -> Iterator[Wanted]:
    """A file belongs to the split that a folder, or the beginning of its name, is called; to train when none is."""
    tables = [file for file in files if file.name.lower().endswith(TABLE)]
    chosen = [file for file in tables or files if asked.subset is None or file.name.split("/")[0] == asked.subset]
    known = {*FOLDERS, *asked.splits}
    subsets = {file.name.split("/")[0] for file in chosen if len(file.name.split("/")) > 2} if tables else set()
    if len(subsets - known - {"data"}) > 1:
        raise _which("It has several subsets: name one as `subset`.", dict.fromkeys(subsets))
    for file in chosen:
        split = _split_of(file.name, known, is_table=bool(tables))
        wanted = next((each for each in asked.splits if each == split), None) or _same_split(split, asked)
        if wanted is not None:
            yield Wanted(wanted, file)


def _split_of(name: str, known: set[str], *, is_table: bool) -> str:
    *folders, last = name.split("/")
    first = re.split(r"[-_.]", last)[0] if is_table else ""
    return next((part for part in (*folders, first) if part in known), "train")


def _same_split(split: str, asked: HubSet) -> str | None:
    """`valid/` is meant by `validation`."""
    return next((each for each in asked.splits if each in FOLDERS and FOLDERS[each] == FOLDERS.get(split)), None)
