"""The dataset that is extended: its images by its index, their bytes in its source ZIP."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from core.domain.errors import PreparationFailed
from pipeline.archive.extract import can_be_data, is_image
from pipeline.archive.inflate import blocks_of
from pipeline.archive.source import SourceFile
from pipeline.archive.zip_directory import BrokenArchive, ZipEntry, read_directory
from pipeline.dataset.growth import Revision
from pipeline.dataset.model import DatasetImage
from pipeline.dataset.placement import Content
from pipeline.formats.revision import REVISION_FILE, read_removed
from pipeline.index.read import read_images
from pipeline.index.schema import IndexedImage


@dataclass(frozen=True, slots=True)
class Parent:
    """`entries`: of the images in `archive`, by their paths."""

    archive: Path
    entries: dict[str, ZipEntry]
    revision: Revision

    def blocks(self, file: BinaryIO, path: str) -> Iterator[bytes]:
        """The bytes of an image; `file` is the opened archive. Raises BrokenArchive."""
        return blocks_of(file, self.entries[path])


def read_parent(archive: Path, index: Path, *, kind: str, classes: list[str], scratch: Path) -> Parent:
    """Raises PreparationFailed where the ZIP is not the one that the index was made from."""
    try:
        with archive.open("rb") as file:
            entries = [entry for entry in read_directory(file)[0] if can_be_data(entry.name)]
            removed = _removed(file, entries, scratch)
    except BrokenArchive as error:
        raise PreparationFailed("The stored ZIP of the dataset cannot be read.") from error
    images = [_image(each, archive) for each in read_images(index)]
    by_name = {entry.name: entry for entry in entries if is_image(entry.name)}
    root = _root([image.path for image in images], by_name)
    found = {image.path: by_name[root + image.path] for image in images}
    return Parent(archive, found, Revision(kind, images, classes, removed))


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


def _root(paths: list[str], names: dict[str, ZipEntry]) -> str:
    """The folder of the ZIP that the paths are below, with a slash at its end; of several the shortest."""
    first = paths[0]
    roots = [name[: -len(first)] for name in names if name == first or name.endswith(f"/{first}")]
    for root in sorted(roots, key=len):
        if all(root + path in names for path in paths):
            return root
    raise PreparationFailed("The stored ZIP of the dataset lacks an image of its index.", image=first)
