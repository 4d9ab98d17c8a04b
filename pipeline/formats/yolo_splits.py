"""Where the parts of a split lie that a data.yaml names: folders or lists, written for another machine's disk."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from core.domain.findings import Finding
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import SPLITS
from pipeline.formats.split_names import given_splits, read_list, stems_of
from pipeline.formats.yolo_yaml import DataYaml


def yolo_splits(
    source: ExtractedArchive, images: list[SourceFile], data: DataYaml | None
) -> tuple[dict[str, str], list[Finding]]:
    """Image name -> split: by data.yaml where its paths exist, else by lists or folders."""
    if data is None or len(data.parts) < 2:
        return given_splits(source, images)
    splits, findings = _by_yaml(source, images, data)
    if len(set(splits.values())) > 1:
        return splits, findings
    fallback, more = given_splits(source, images)
    return fallback, findings + more


def _by_yaml(
    source: ExtractedArchive, images: list[SourceFile], data: DataYaml
) -> tuple[dict[str, str], list[Finding]]:
    folders = {str(parent) for image in images for parent in PurePosixPath(image.name).parents}
    texts = {file.name: file for file in source.files if file.name.lower().endswith(".txt")}
    stems = stems_of(images)
    homes: dict[str, str] = {}  # folder -> split
    splits: dict[str, str] = {}
    findings: list[Finding] = []
    for split in SPLITS:
        for path, line in data.parts.get(split, ()):
            place = next((place for place in _places(path, data) if place in folders or place in texts), None)
            if place is None:
                detail = f"`{split}` names {path[:200]!r}; the archive has no such list or folder with images."
                findings.append(Finding.of("yaml-path-missing", data.file.name, detail, line=line))
            elif place in texts:
                found, unknown = read_list(texts[place], stems)
                findings += unknown
                splits |= dict.fromkeys(found, split)
            elif place in homes:
                detail = f"`{split}` names the same folder as `{homes[place]}`: {place}. It is used for {homes[place]}."
                findings.append(Finding.of("split-same-folder", data.file.name, detail, line=line))
            else:
                homes[place] = split
    for image in images:
        home = next((homes[str(folder)] for folder in PurePosixPath(image.name).parents if str(folder) in homes), None)
        if home and image.name not in splits:
            splits[image.name] = home
    return splits, findings


def _places(path: str, data: DataYaml) -> Iterator[str]:
    """From the likeliest on: below `path:`, below the yaml's folder and its parents, then ever shorter ends of it.

    `../train/images` beside `train/` is what Roboflow writes; absolute paths are those of its author's disk.
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
