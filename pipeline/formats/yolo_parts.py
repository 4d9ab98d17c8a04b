"""Images outside the parts that a data.yaml, or a darknet .data, names: no images of the dataset, as for trainers."""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from core.domain.findings import Finding
from pipeline.archive.entry_names import bare_of, base_of, folder_of
from pipeline.archive.plural import counted
from pipeline.archive.source import ExtractedArchive, SourceFile
from pipeline.dataset.model import common_folder
from pipeline.formats.image_roles import labelled_left_out
from pipeline.formats.split_lines import ImageLines
from pipeline.formats.yolo_splits import NamedPaths, parts_of_yaml, read_part_files


class _Part(NamedTuple):
    """`members`: images in a part that `file` names; `folder`: of the file and of these, with a slash at its end."""

    file: str
    folder: str
    members: frozenset[str]


def images_outside(source: ExtractedArchive, images: list[SourceFile]) -> tuple[list[SourceFile], list[Finding]]:
    """(images in none of the parts that a file above them names, findings)."""
    parts = list(_parts(source, images))
    if not parts:
        return [], []
    members = {name for part in parts for name in part.members}
    if len(parts) == 1:
        parts = [parts[0]._replace(folder="")]  # of several datasets in one archive, each file is about its own
    outside = [
        image
        for image in images
        if image.name not in members and any(image.name.startswith(part.folder) for part in parts)
    ]
    if not outside:
        return [], []
    are = counted(len(outside), "image lies", "images lie")
    detail = f"{are} in none of the parts that {parts[0].file} names, and left out, as trainers do."
    findings = [Finding.of("outside-parts-left-out", outside[0].name, detail)]
    kept = [image for image in images if image.name in members]
    texts = [file for file in source.files if file.name.lower().endswith(".txt")]
    left, held = _by_stem(outside), _by_stem(kept)
    own = [file.name for file in texts if _is_of(file, left, held)]
    findings += labelled_left_out([image.name for image in outside], own, f"lie outside the parts of {parts[0].file}")
    return outside, findings


def without_labels_of(
    outside: list[SourceFile], images: list[SourceFile], labels: list[SourceFile]
) -> list[SourceFile]:
    """`labels` without those of images `outside`. `images`: all others."""
    if not outside:
        return labels
    left, kept = _by_stem(outside), _by_stem(images)
    return [file for file in labels if not _is_of(file, left, kept)]


def _parts(source: ExtractedArchive, images: list[SourceFile]) -> Iterator[_Part]:
    paths = NamedPaths(source, images, ImageLines(images))
    for data in read_part_files(source):
        named = data.parts.keys() & {"train", "val"}
        if len(named) < 2:
            continue
        members = parts_of_yaml(paths, data).members
        if named <= set(members.values()):
            yield _Part(data.file.name, common_folder([data.file.name, *members]), frozenset(members))


def _by_stem(images: list[SourceFile]) -> dict[str, list[str]]:
    """Stem -> folders of the images with it."""
    found: dict[str, list[str]] = defaultdict(list)
    for image in images:
        found[bare_of(base_of(image.name))].append(folder_of(image.name))
    return found


def _is_of(file: SourceFile, left: dict[str, list[str]], kept: dict[str, list[str]]) -> bool:
    """Whether a label is that of an image left out: by stem, in the same folder or in one that differs in one part."""
    stem, folder = bare_of(base_of(file.name)), folder_of(file.name)
    if stem not in left:
        return False
    if stem not in kept:
        return True
    return any(_are_parallel(folder, each) for each in left[stem]) and not any(
        _are_parallel(folder, each) for each in kept[stem]
    )


def _are_parallel(left: str, right: str) -> bool:
    first, second = left.split("/"), right.split("/")
    return len(first) == len(second) and sum(a != b for a, b in zip(first, second, strict=True)) <= 1
