"""Writes the ZIP of a revision: images under their paths, one file with their annotations, and a log of the changes.

Images are stored uncompressed, so that a preparation reads them where they lie.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from core.domain.errors import PreparationFailed
from core.domain.findings import Finding
from pipeline.archive.source import EXTENSION_LOG, SourceFile
from pipeline.archive.zip_writer import ZipWriter
from pipeline.dataset.growth import Revision
from pipeline.dataset.model import DatasetImage
from pipeline.extension.copying import CopiedImage, ImageCopies
from pipeline.extension.parent import Parent
from pipeline.formats.revision import REVISION_FILE, RemovedImage, RevisionImage, head_lines, image_line
from pipeline.process.progress import StageReporter


def write_revision(
    revision: Revision,
    parent: Parent,
    log: Iterable[Finding],
    target: Path,
    steps: StageReporter,
    *,
    copies: ImageCopies,
) -> dict[str, SourceFile]:
    """All of it but the bytes of those images that have their path in the parent's ZIP, which `copies` begins to
    write. The others come from their byte range. Returns all images as they lie in it, by their names. Raises
    PreparationFailed."""
    images = sorted(revision.images, key=lambda image: image.path)
    kept = [image for image in images if parent.has(image)]
    added = [image for image in images if not parent.has(image)]
    with ZipWriter(target) as archive:
        places = {image.path: _reserve(archive, image, parent) for image in kept}
        kept.sort(key=lambda image: (image.given_split or "", image.path))  # as a prepared set has them
        copies.begin(parent.archive, [places[image.path] for image in kept], target)
        written = {image.path: _placed(image, target, places[image.path]) for image in kept}
        for done, image in enumerate(added, start=1):
            if archive.add_range(image.path, image.source.byte_range) != image.sha256:
                raise PreparationFailed(f"The bytes of {image.path} have changed since they were read.")
            size = image.source.bytes
            written[image.path] = SourceFile(image.path, str(target), size, image.sha256, archive.end - size)
            steps.tick(done, len(added))
        _add_lines(archive, REVISION_FILE, _revision_lines(revision, images))
        found = (json.dumps(finding.as_dict(), ensure_ascii=False) + "\n" for finding in log)
        _add_lines(archive, EXTENSION_LOG, found)
    return written


def _reserve(archive: ZipWriter, image: DatasetImage, parent: Parent) -> CopiedImage:
    entry = parent.entries[image.source.name]
    at = archive.reserve(image.path, entry.size, entry.crc)
    return CopiedImage(image.path, entry, at, "" if parent.verified else image.sha256)


def _placed(image: DatasetImage, target: Path, copied: CopiedImage) -> SourceFile:
    return SourceFile(image.path, str(target), copied.entry.size, image.sha256, copied.at)


def _revision_lines(revision: Revision, images: Iterable[DatasetImage]) -> Iterator[str]:
    removed = (RemovedImage(*content, split) for content, split in sorted(revision.removed.items(), key=_by_sha256))
    yield from head_lines(revision.kind, revision.classes, removed)
    for image in images:
        yield image_line(_line(image))


def _add_lines(archive: ZipWriter, name: str, lines: Iterable[str]) -> None:
    waiting = archive.folder / name
    with waiting.open("w", encoding="utf-8") as file:
        file.writelines(lines)
    archive.add_file(name, waiting)
    waiting.unlink()


def _by_sha256(entry: tuple[tuple[str, bytes | None], str]) -> str:
    return entry[0][0]


def _line(image: DatasetImage) -> RevisionImage:
    return RevisionImage(image.path, (image.width, image.height), image.given_split, image.boxes, image.label)
