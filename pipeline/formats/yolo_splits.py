"""Finds the splits that a data.yaml names: folders or lists, by paths of another machine."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from core.domain.findings import Finding
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import SPLITS
from pipeline.formats.image_index import ImageIndex
from pipeline.formats.split_names import given_splits, read_list
from pipeline.formats.yolo_yaml import DataYaml


def yolo_splits(
    source: ExtractedArchive, images: list[SourceFile], data: DataYaml | None
) -> tuple[dict[str, str], list[Finding]]:
    """Image name -> split: by data.yaml if its paths exist in the archive, else by lists or folders."""
    if data is None or len(data.parts) < 2:
        return given_splits(source, images)
    splits, findings = splits_by_yaml(source, images, data)
    if len(set(splits.values())) > 1:
        return splits, findings
    fallback, more = given_splits(source, images)
    return fallback, findings + more


def splits_by_yaml(
    source: ExtractedArchive, images: list[SourceFile], data: DataYaml
) -> tuple[dict[str, str], list[Finding]]:
    """Image name -> split, by the folders and lists of `data` that are in the archive; findings for the others."""
    folders = {str(parent) for image in images for parent in PurePosixPath(image.name).parents}
    texts = {file.name: file for file in source.files if file.name.lower().endswith(".txt")}
    index = ImageIndex(images)
    split_of: dict[str, str] = {}  # folder -> split
    splits: dict[str, str] = {}
    findings: list[Finding] = []
    for split in SPLITS:
        for path, line in data.parts.get(split, ()):
            known = next((each for each in _candidates(path, data) if each in folders or each in texts), None)
            if known is None:
                detail = f"`{split}` names {path[:200]!r}; the archive has no such list or folder with images."
                findings.append(Finding.of("yaml-path-missing", data.file.name, detail, line=line))
            elif known in texts:
                found, unknown = read_list(texts[known], index)
                findings += unknown
                splits |= dict.fromkeys(found, split)
            elif known in split_of:
                first = split_of[known]
                detail = f"`{split}` names the same folder as `{first}`: {known}. It is used for {first}."
                findings.append(Finding.of("split-same-folder", data.file.name, detail, line=line))
            else:
                split_of[known] = split
    for image in images:
        parents = map(str, PurePosixPath(image.name).parents)
        assigned = next((split_of[folder] for folder in parents if folder in split_of), None)
        if assigned and image.name not in splits:
            splits[image.name] = assigned
    return splits, findings


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
