"""Splits given by an archive: by folders (`train/`, `valid/`, `test2017/`) or lists (`ImageSets/Main/train.txt`)."""

import re
from collections import defaultdict
from functools import lru_cache
from pathlib import PurePosixPath

from core.domain.findings import Finding
from pipeline.archive.entry_names import bare_of, base_of
from pipeline.archive.extract import SPLIT_LISTS
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import SPLITS, common_folder
from pipeline.formats.text import read_lines, why_unread

_FOLDER = re.compile(
    r"(train|val|valid|validation|dev|eval|evaluation|hold[-_]?out|test)(?:ing)?[-_]?\d{0,4}(?:[-_](?:set|images|imgs|data))?"
)
_CANONICAL = {"valid": "val", "validation": "val", "dev": "val", "eval": "val", "evaluation": "val", "holdout": "val"}


@lru_cache(maxsize=4096)
def split_of_folder(name: str) -> str | None:
    """`Train`, `training`, `test2017` -> train, train, test; anything else -> None."""
    match = _FOLDER.fullmatch(name.lower())
    return _CANONICAL.get(re.sub("[-_]", "", match[1]), match[1]) if match else None


def splits_by_folder(images: list[SourceFile]) -> dict[str, str]:
    """Image name -> split, from the first folder below the common root that is named like a split.

    Empty where fewer than two splits are named: a single `train/` around everything is not a split.
    """
    names = [image.name for image in images]
    root = len(common_folder(names))
    splits: dict[str, str] = {}
    for name in names:
        folders = name[root:].split("/")[:-1]
        split = next((found for folder in folders if (found := split_of_folder(folder))), None)
        if split:
            splits[name] = split
    return splits if len(set(splits.values())) > 1 else {}


def given_splits(source: ExtractedArchive, images: list[SourceFile]) -> tuple[dict[str, str], list[Finding]]:
    """Image name -> split, by lists if the archive has any, else by folders."""
    lists = [file for file in source.files if base_of(file.name).lower() in SPLIT_LISTS]
    if lists:
        splits, findings = splits_by_list(lists, images)
        if splits:
            return splits, findings
    return splits_by_folder(images), []


def splits_by_list(lists: list[SourceFile], images: list[SourceFile]) -> tuple[dict[str, str], list[Finding]]:
    """Image name -> split, from text files named like a split. `ImageSets/Main` takes precedence over other folders."""
    main = [file for file in lists if PurePosixPath(file.name).parent.name.lower() == "main"]
    by_stem = stems_of(images)
    listed: dict[str, dict[str, str]] = {}
    findings: list[Finding] = []
    for file in sorted(main or lists, key=lambda file: file.name):
        stem = PurePosixPath(file.name).stem.lower()
        split = "trainval" if stem == "trainval" else split_of_folder(stem)
        if split:
            found, unknown = read_list(file, by_stem)
            findings += unknown
            listed.setdefault(split, {}).update(dict.fromkeys(found, file.name))
    if not any(listed.values()) or set(listed) <= {"trainval"}:
        return {}, []
    return _merge(listed, findings)


def stems_of(images: list[SourceFile]) -> dict[str, list[str]]:
    by_stem: dict[str, list[str]] = defaultdict(list)
    for image in images:
        by_stem[bare_of(base_of(image.name))].append(image.name)
    return by_stem


def read_list(file: SourceFile, by_stem: dict[str, list[str]]) -> tuple[list[str], list[Finding]]:
    """(images named by the list, findings for lines that name none)."""
    found: list[str] = []
    findings: list[Finding] = []
    folder = str(PurePosixPath(file.name).parent)
    lines = read_lines(file)
    if lines is None:
        return [], [why_unread(file)]
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        names = _resolve(line.strip(), by_stem, folder)
        found += names
        if not names:
            detail = f"The list names {line.strip()[:200]!r}, which is not in the archive."
            findings.append(Finding.of("split-list-unknown", file.name, detail, line=number))
    return found, findings


def _resolve(line: str, by_stem: dict[str, list[str]], folder: str) -> list[str]:
    """The images of a line: a stem, a file name or a path, optionally followed by a column (`2008_000002 -1`)."""
    for text in (line, line.split()[0]):
        wanted = PurePosixPath(text.replace("\\", "/"))
        candidates = by_stem.get(wanted.name) or by_stem.get(wanted.stem) or []
        if len(candidates) > 1:
            exact = [name for name in candidates if f"/{name}".endswith(f"/{wanted}")]
            # Several datasets in one archive: a list is about the images nearest to it.
            candidates = exact or [name for name in candidates if len(common_folder([name, folder])) > 1] or candidates
        if candidates:
            return candidates
    return []


def _merge(listed: dict[str, dict[str, str]], findings: list[Finding]) -> tuple[dict[str, str], list[Finding]]:
    """Images of `trainval` that are not in val go to train; an image in two other lists is a conflict."""
    trainval = listed.get("trainval", {})
    splits: dict[str, str] = {}
    for split in SPLITS:  # an image in several lists goes to the last: a test image that is trained on tests nothing
        for name, file in listed.get(split, {}).items():
            before = splits.get(name) or ("train" if split == "test" and name in trainval else None)
            if before:
                detail = f"{name} is listed for {before} and for {split}; it is used for {split} only."
                findings.append(Finding.of("split-conflict", file, detail))
            splits[name] = split
    return dict.fromkeys(trainval, "train") | splits, findings
