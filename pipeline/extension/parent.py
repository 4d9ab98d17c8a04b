"""The dataset that is extended: its images by its index, their bytes in its source ZIP."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from core.domain.errors import PreparationFailed
from pipeline.archive.extract import can_be_data, is_image
from pipeline.archive.inflate import blocks_of
from pipeline.archive.source import SourceFile
from pipeline.archive.zip_directory import BrokenArchive, Directory, ZipEntry, read_directory
from pipeline.dataset.growth import Revision
from pipeline.dataset.model import DatasetImage
from pipeline.dataset.placement import Content
from pipeline.formats.revision import REVISION_FILE, read_removed
from pipeline.index.read import read_images
from pipeline.index.schema import IndexedImage


@dataclass(frozen=True, slots=True)
class Parent:
    """`entries`: of the images in `archive`, by their paths. `verified`: see `pipeline.process.specs.ExtendSpec`."""

    archive: Path
    entries: dict[str, ZipEntry]
    revision: Revision
    verified: bool

    def has(self, image: DatasetImage) -> bool:
        """Whether the bytes of the image are those of its path in `archive`."""
        return image.source.file == str(self.archive)


def read_parent(
    archive: Path,
    index: Path,
    *,
    kind: str,
    classes: list[str],
    verified: bool,
    scratch: Path,
    directory: Directory | None = None,
) -> Parent:
    """`directory`: of `archive`, where it was read. Raises PreparationFailed where the ZIP is not the one that the
    index was made from."""
    try:
        with archive.open("rb") as file:
            entries = [entry for entry in (directory or read_directory(file)).entries if can_be_data(entry.name)]
            removed = _removed(file, entries, scratch)
    except BrokenArchive as error:
        raise PreparationFailed("The stored ZIP of the dataset cannot be read.") from error
    images = [_image(each, archive) for each in read_images(index)]
    by_name = {entry.name: entry for entry in entries if is_image(entry.name)}
    root = _root(archive, images, by_name)
    found = {image.path: by_name[root + image.path] for image in images}
    return Parent(archive, found, Revision(kind, images, classes, removed), verified)


def _removed(file: BinaryIO, entries: list[ZipEntry], scratch: Path) -> dict[Content, str]:
    """Only a ZIP of ours states it; by any other, nothing was taken out."""
    entry = next((each for each in entries if each.name == REVISION_FILE), None)
    if entry is None:
        return {}
    target = scratch / "parent.jsonl"
    with target.open("wb") as out:
        out.writelines(blocks_of(file, entry))
    found = read_removed(SourceFile(entry.name, str(target), entry.size, ""))
    return {Content(each.sha256, each.phash): each.split for each in found}


def _image(row: IndexedImage, archive: Path) -> DatasetImage:
    return DatasetImage(
        path=row.path,
        source=SourceFile(row.path, str(archive), row.bytes, row.sha256),
        width=row.width,
        height=row.height,
        format=row.format,
        converted=None,
        boxes=row.boxes,
        given_split=row.split,
        phash=row.phash,
        label=row.label,
    )


def _root(archive: Path, images: list[DatasetImage], entries: dict[str, ZipEntry]) -> str:
    """The folder of the ZIP that the paths are below, with a slash at its end.

    Of several that have all paths it is the one with the bytes of the images: another one may be that of images that a
    preparation left out, as those of a frozen test set. Raises PreparationFailed.
    """
    first = images[0].path
    roots = sorted(name[: -len(first)] for name in entries if f"/{name}".endswith(f"/{first}"))
    complete = [root for root in roots if all(root + image.path in entries for image in images)]
    if len(complete) > 1:
        complete = [root for root in complete if _has_bytes(archive, images, entries, root)]
    if not complete:
        raise PreparationFailed("The stored ZIP of the dataset lacks an image of its index.", image=first)
    return complete[0]


def _has_bytes(archive: Path, images: list[DatasetImage], entries: dict[str, ZipEntry], root: str) -> bool:
    with archive.open("rb") as file:
        return all(_sha256(file, entries[root + image.path]) == image.sha256 for image in images)


def _sha256(file: BinaryIO, entry: ZipEntry) -> str | None:
    digest = hashlib.sha256()
    try:
        for block in blocks_of(file, entry):
            digest.update(block)
    except BrokenArchive:
        return None
    return digest.hexdigest()
