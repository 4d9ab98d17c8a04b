"""Splits given by an archive: by folders (`train/`, `valid/`, `test2017/`) or lists (`ImageSets/Main/train.txt`)."""

import re
from collections import Counter
from functools import lru_cache
from pathlib import PurePosixPath

from core.domain.findings import Finding
from pipeline.archive.entry_names import bare_of, base_of, folder_of
from pipeline.archive.extract import SPLIT_LISTS
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import SPLITS, common_folder
from pipeline.formats.image_index import ImageIndex, common_end, path_parts
from pipeline.formats.text import read_lines, why_unread

_FOLDER = re.compile(
    r"(train|val|valid|validation|dev|eval|evaluation|hold[-_]?out|test)"
    r"(?:ing)?[-_]?\d{0,4}(?:[-_](?:set|images|imgs|data))?"
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


def unknown_folders(images: list[SourceFile]) -> list[Finding]:
    """A warning that names the folders of images beside one that is named like a split, which are not."""
    counts: Counter[tuple[str, str]] = Counter()
    beside: set[str] = set()
    for image in images:
        parts = image.name.split("/")[:-1]
        named = next((at for at, part in enumerate(parts) if split_of_folder(part)), None)
        if named is not None:
            beside.add("/".join(parts[:named]))
        else:
            counts.update(("/".join(parts[:at]), part) for at, part in enumerate(parts))
    found = sorted(f"{above}/{part}".strip("/") for above, part in counts if above in beside)
    if not found:
        return []
    detail = f"{', '.join(found[:5])}: beside folders of a split, but not named like a part of one (train, val, test)."
    return [Finding.of("split-folder-unknown", found[0], detail)]


def given_splits(source: ExtractedArchive, images: list[SourceFile]) -> tuple[dict[str, str], list[Finding]]:
    """Image name -> split, by lists if the archive has any, else by folders."""
    lists = [file for file in source.files if base_of(file.name).lower() in SPLIT_LISTS]
    if lists:
        splits, findings = splits_by_list(lists, images)
        if splits:
            return splits, findings
    return splits_by_folder(images), unknown_folders(images)


def splits_by_list(lists: list[SourceFile], images: list[SourceFile]) -> tuple[dict[str, str], list[Finding]]:
    """Image name -> split, from text files named like a split. `ImageSets/Main` takes precedence over other folders."""
    main = [file for file in lists if PurePosixPath(file.name).parent.name.lower() == "main"]
    index = ImageIndex(images)
    listed: dict[str, dict[str, str]] = {}
    findings: list[Finding] = []
    for file in sorted(main or lists, key=lambda file: file.name):
        stem = PurePosixPath(file.name).stem.lower()
        split = "trainval" if stem == "trainval" else split_of_folder(stem)
        if split:
            found, unknown = read_list(file, index)
            findings += unknown
            listed.setdefault(split, {}).update(dict.fromkeys(found, file.name))
    if not any(listed.values()) or set(listed) <= {"trainval"}:
        return {}, []
    return _merge(listed, findings)


def read_list(file: SourceFile, index: ImageIndex) -> tuple[list[str], list[Finding]]:
    """(images named by the list, findings for lines that name none)."""
    found: list[str] = []
    findings: list[Finding] = []
    lines = read_lines(file)
    if lines is None:
        return [], [why_unread(file)]
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        names = _resolve(line.strip(), index, folder_of(file.name))
        found += names
        if len({folder_of(name) for name in names}) > 1:
            detail = (
                f"The list names {line.strip()[:200]!r}, which could be any of {', '.join(names[:5])}; all are used."
            )
            findings.append(Finding.of("split-list-ambiguous", file.name, detail, line=number))
        if not names:
            detail = f"The list names {line.strip()[:200]!r}, which is not in the archive."
            findings.append(Finding.of("split-list-unknown", file.name, detail, line=number))
    return found, findings


def _resolve(line: str, index: ImageIndex, folder: str) -> list[str]:
    """The images of a line: a stem, a file name or a path, optionally followed by a column (`2008_000002 -1`).

    Of several, those with the longest common end of paths, then those nearest to the list.
    """
    for text in (line, line.split()[0]):
        parts = path_parts(text)
        base = parts[-1] if parts else ""
        candidates = index.file(base) or index.stem(bare_of(base))
        if len(candidates) > 1 and len(parts) > 1:
            ends = [common_end((*parts[:-1], bare_of(base)), bare_of(image.name)) for image in candidates]
            candidates = [image for image, end in zip(candidates, ends, strict=True) if end == max(ends)]
        names = [image.name for image in candidates]
        if len(names) > 1:  # several datasets in one archive
            shared = [common_folder([name, f"{folder}/list"]).count("/") for name in names]
            names = [name for name, count in zip(names, shared, strict=True) if count == max(shared)]
        if names:
            return names
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
