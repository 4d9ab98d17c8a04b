"""The reasons to refuse an archive, found in its end alone, before gigabytes are sent.

The directory is read and validated by the functions that extraction uses. What only the entries contain is checked
after the upload: their local headers, checksums, and actual sizes.
"""

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from posixpath import splitext
from typing import Any, BinaryIO

from core.domain.findings import Finding
from pipeline.archive.contents import describe_contents
from pipeline.archive.extract import can_be_data, is_image
from pipeline.archive.first_bytes import HEAD_BYTES
from pipeline.archive.plural import counted
from pipeline.archive.zip_directory import BrokenArchive, ZipEntry, read_directory
from pipeline.archive.zip_rules import validate_directory
from pipeline.formats.class_folders import assign_folders
from pipeline.hub.files import TABLE
from pipeline.hub.uploaded_tables import holds_tables

_MAX_FOLDERS = 1000  # of images, that are tried as classes; more are tried after the upload


class MoreBytesNeeded(Exception):
    """The bytes do not reach back to the start of the directory. `bytes`: how many of the file's end do."""

    def __init__(self, needed: int) -> None:
        self.bytes = needed
        super().__init__(needed)


class ArchiveEnd(io.RawIOBase):
    """A file of `total` bytes of which only the last ones are present. Reading before them raises MoreBytesNeeded."""

    def __init__(self, end: BinaryIO, total: int) -> None:
        self._end = end
        self._total = total
        self._starts = total - end.seek(0, io.SEEK_END)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._total}[whence]
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        if self._at < self._starts and size != 0:
            raise MoreBytesNeeded(self._total - self._at)
        self._end.seek(self._at - self._starts)
        data = self._end.read(size)
        self._at += len(data)
        return data


def inspect_archive_end(file: BinaryIO, total: int) -> dict[str, Any]:
    """Findings and the archive's contents, as JSON values. `file` may be an ArchiveEnd. Raises MoreBytesNeeded."""
    entries: list[ZipEntry] = []
    try:
        entries, directory_at = read_directory(file, _head(file))
        findings = validate_directory(entries, directory_at)
    except BrokenArchive as error:
        findings = [error.finding]
    files = [entry for entry in entries if not entry.is_folder]
    data = [entry for entry in files if can_be_data(entry.name)]
    names = [entry.name for entry in data]
    guess = guess_format(names)
    all_names = [entry.name for entry in files]
    if holds_tables(all_names):
        count = sum(_suffix(name) == TABLE for name in all_names)
        guess = {"name": "parquet", "why": counted(count, "Parquet file")}
    elif not findings and (findings := list(_no_format(names, all_names))):
        guess["name"] = None
    return {
        "accepted": not findings,
        "findings": [finding.as_dict() for finding in findings],
        "counts": dict(sorted(Counter(finding.code for finding in findings).items())),
        "bytes": total,
        "entries": len(entries),
        "images": sum(is_image(entry.name) for entry in data),
        "data_files": len(data),
        "data_bytes": sum(entry.size for entry in data),
        "left_out": len(files) - len(data),
        "format": guess,
        "needed_bytes": None,
    }


def _head(file: BinaryIO) -> bytes | None:
    """The first bytes; None where only the end of the file is present."""
    try:
        file.seek(0)
        return file.read(HEAD_BYTES)
    except MoreBytesNeeded:
        return None


def guess_format(names: list[str]) -> dict[str, str | None]:
    """{name, why}: the format that the names of the data files suggest. Their content decides, after the upload."""
    suffixes = Counter(map(_suffix, names))
    image_names = [name for name in names if is_image(name)]
    images, of_images = len(image_names), counted(len(image_names), "image")
    folders = {name.rpartition("/")[0] for name in image_names}
    stems = {_stem(name) for name in image_names}
    labels = sum(_suffix(name) == ".txt" and _stem(name) in stems for name in names)
    if not images:
        return {"name": None, "why": "no images"}
    if count := suffixes[".xml"]:
        return {"name": "voc", "why": f"{counted(count, 'XML file')} and {of_images}"}
    if labels:
        return {"name": "yolo", "why": f"{counted(labels, 'text file')} named as one of {of_images}"}
    if count := suffixes[".json"]:
        return {"name": "coco", "why": f"{counted(count, 'JSON file')} and {of_images}"}
    if count := suffixes[".csv"] + suffixes[".tsv"]:
        return {"name": "csv", "why": f"{counted(count, 'table')} and {of_images}"}
    if len(folders) > 1:
        return {"name": "folders", "why": f"{images} images in {len(folders)} folders, and no annotations"}
    return {"name": None, "why": f"{of_images} in one folder, and no annotations"}


def _no_format(names: list[str], files: list[str]) -> Iterator[Finding]:
    """One where no format can fit: no images, or nothing beside them and fewer than two folders of classes.

    `names`: those of `files` that can be data.
    """
    folders = Counter(name.rpartition("/")[0] for name in names if is_image(name))
    if not folders:
        detail = describe_contents(files)
    elif folders.total() < len(names) or len(folders) > _MAX_FOLDERS or len(_classes(folders)) > 1:
        return
    else:
        detail = f"{counted(len(names), 'image')}, no annotations, and fewer than two folders that could be classes."
    yield Finding.of("formats-none", "", detail)


def _classes(folders: Mapping[str, int]) -> set[str]:
    """Names of the classes that folders of images may be."""
    assignments = assign_folders({tuple(filter(None, folder.split("/"))): count for folder, count in folders.items()})
    return {each.label for each in assignments.values() if each.label}


def _suffix(name: str) -> str:
    """As pathlib has it, without an object for each of 300,000 names."""
    return splitext(name.rpartition("/")[2])[1].lower()


def _stem(name: str) -> str:
    return splitext(name.rpartition("/")[2])[0]
