"""Which files of a hub's dataset hold the splits that are wanted. By names and the dataset's card; nothing is opened.

The card (the front matter of its README, which the hub gives as JSON) wins where it names files; else their folders
and names tell, as `data/train-00000-of-00002.parquet` or `train/cat/1.jpg` do.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from core.domain.errors import HubSetUnusable
from core.domain.limits import MAX_DEPTH, MAX_NAME_BYTES
from pipeline.archive.extract import IMAGE_SUFFIXES
from pipeline.dataset.model import common_folder
from pipeline.formats.split_names import split_of_folder
from pipeline.hub.patterns import Pattern, may_match
from pipeline.params.hub_set import FOLDERS, HubSet

TABLE = ".parquet"
IMPORTED_FILE = "imported.zip"  # what a child makes of the files
MAX_FILES = 20_000  # each is a request; with 50 ms for one, 17 minutes
MAX_PATTERNS = 1_000  # of a card, for the splits that are asked for; the hub's own cards have one for each split
MAX_TRIES = 5_000_000  # patterns times files: half a minute, minutes at worst. 200,000 files may have 25 patterns

Check = Callable[[], None]
Home = tuple[str, ...]  # the folders that an image lies in


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


def wanted_files(
    files: Sequence[HubFile], card: Mapping[str, Any], asked: HubSet, check: Check = lambda: None
) -> list[Wanted]:
    """Tables where there are some, else images; in the order of their names. `check()` may raise to stop.

    Raises HubSetUnusable.
    """
    usable = [file for file in files if _is_usable(file.name)]
    by_card = _by_card(usable, card, asked, check)
    found = by_card if by_card is not None else list(_by_name(usable, asked))
    if any(each.is_table for each in found):
        found = [each for each in found if each.is_table]
    missing = [split for split in asked.splits if not any(each.split == split for each in found)]
    if missing:
        raise HubSetUnusable(
            f"It has no parquet files and no images in folders of classes for the split {missing[0]}.",
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
    """A table or an image, under a name that is a path below its folder."""
    if not name or not name.isprintable() or len(name.encode()) > MAX_NAME_BYTES:  # half a surrogate has no bytes
        return False
    path = PurePosixPath(name)
    if name.startswith("/") or ".." in path.parts or name.count("/") > MAX_DEPTH:
        return False
    return path.suffix.lower() == TABLE or path.suffix.lower() in IMAGE_SUFFIXES


def _by_card(files: Sequence[HubFile], card: Mapping[str, Any], asked: HubSet, check: Check) -> list[Wanted] | None:
    """None where the card names no files. Raises HubSetUnusable where it has several subsets and none is meant, and
    for more patterns than are matched."""
    told = card.get("configs")
    configs = [config for config in told if isinstance(config, dict)] if isinstance(told, list) else []
    named = {str(config.get("config_name")): config for config in configs if config.get("data_files")}
    if not named:
        return None
    patterns: dict[str, list[Pattern]] = {split: [] for split in asked.splits}
    for number, (split, pattern) in enumerate(_patterns(_chosen(named, asked)["data_files"], asked), start=1):
        if number > MAX_PATTERNS or number * len(files) > MAX_TRIES:
            detail = f"Its card names more patterns of files than are matched with {len(files)} files."
            raise HubSetUnusable(detail, limit=min(MAX_PATTERNS, MAX_TRIES // max(1, len(files))))
        check()
        patterns[split].append(Pattern(pattern))
    found: dict[str, Wanted] = {}
    for split, own in patterns.items():
        for file in files:
            check()
            parts = file.name.split("/")
            if any(pattern.matches(parts) for pattern in own):
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


def _patterns(told: Any, asked: HubSet) -> Iterator[tuple[str, str]]:
    """(split, pattern) of what a card says: one pattern, several, or several for each split. Of those asked for."""
    for entry in told if isinstance(told, list) else [told]:
        split, paths = (entry.get("split"), entry.get("path")) if isinstance(entry, dict) else ("train", entry)
        for path in paths if isinstance(paths, list) else [paths]:
            if split in asked.splits and isinstance(path, str) and may_match(path):
                yield split, path.removeprefix("./")


def _by_name(files: Sequence[HubFile], asked: HubSet) -> Iterator[Wanted]:
    """A file belongs to the split that a folder, or a word of a table's name, is called.

    To train where no file names a split. Where one does, a file that names none (`holdout-0.parquet`) is in none.
    """
    tables = [file for file in files if file.name.lower().endswith(TABLE)]
    chosen = [file for file in tables or files if asked.subset is None or file.name.split("/")[0] == asked.subset]
    known = {*FOLDERS, *asked.splits}
    subsets = {file.name.split("/")[0] for file in chosen if len(file.name.split("/")) > 2} if tables else set()
    if len(subsets - known - {"data"}) > 1:
        raise _which("It has several subsets: name one as `subset`.", dict.fromkeys(subsets))
    classes = set() if tables else _classes_called_so(chosen, known)
    named = [_split_of(file.name, known, classes, is_table=bool(tables)) for file in chosen]
    default = None if any(named) else "train"
    for file, split in zip(chosen, named, strict=True):
        wanted = _asked_as(split or default, asked)
        if wanted is not None:
            yield Wanted(wanted, file)


def _split_of(name: str, known: set[str], classes: set[Home], *, is_table: bool) -> str | None:
    *folders, last = name.split("/")
    words = re.split(r"[-_. ]", PurePosixPath(last).stem) if is_table else []
    if tuple(folders) in classes:
        return None
    return next((split for part in (*folders, *words) if (split := _split_called(part, known))), None)


def _split_called(part: str, known: set[str]) -> str | None:
    """`Train` and `train2017` are train."""
    return part if part in known else split_of_folder(part)


def _classes_called_so(files: Sequence[HubFile], known: set[str]) -> set[Home]:
    """A class `test` beside `cat/` and `dog/`: folders called like a split that are none, of images."""
    homes = {tuple(file.name.split("/")[:-1]) for file in files}
    depth = common_folder([file.name for file in files]).count("/") + 1
    beside = {home: _split_called(home[-1], known) for home in homes if len(home) == depth}
    enough = sum(split is None for split in beside.values()) > 1
    return {home for home, split in beside.items() if split} if enough else set()


def _asked_as(split: str | None, asked: HubSet) -> str | None:
    """`valid/` is meant by `validation`."""
    if split in asked.splits:
        return split
    return next((each for each in asked.splits if split in FOLDERS and FOLDERS.get(each) == FOLDERS[split]), None)
