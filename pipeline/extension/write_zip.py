"""Writes the ZIP of a revision: images under their paths, one file with their annotations, and a log of the changes.

Images are stored uncompressed, so that a preparation reads them where they lie.
"""

import json
import zipfile
from collections.abc import Iterable
from pathlib import Path

from core.domain.findings import Finding
from pipeline.archive.source import EXTENSION_LOG
from pipeline.dataset.growth import Revision
from pipeline.dataset.model import DatasetImage
from pipeline.extension.parent import Parent
from pipeline.formats.revision import REVISION_FILE, RemovedImage, RevisionImage, head_lines, image_line
from pipeline.process.progress import StageReporter

_TIME = (1980, 1, 1, 0, 0, 0)  # of every entry: the same revision always is the same bytes
_MODE = 0o100644 << 16


def write_revision(
    revision: Revision, parent: Parent, log: Iterable[Finding], target: Path, steps: StageReporter
) -> None:
    """Images of `revision` come from their byte range, or from the parent's ZIP where they have its path there. Raises
    PreparationFailed."""
    images = sorted(revision.images, key=lambda image: image.path)
    with zipfile.ZipFile(target, "w") as archive, parent.archive.open("rb") as source:
        for done, image in enumerate(images, start=1):
            with archive.open(_entry(image.path, zipfile.ZIP_STORED), "w", force_zip64=True) as entry:
                if image.source.file == str(parent.archive):
                    entry.writelines(parent.blocks(source, image))
                else:
                    entry.writelines(image.source.byte_range.blocks())
            steps.tick(done, len(images))
        with archive.open(_entry(REVISION_FILE, zipfile.ZIP_DEFLATED), "w", force_zip64=True) as entry:
            removed = (
                RemovedImage(*content, split) for content, split in sorted(revision.removed.items(), key=_by_sha256)
            )
            for line in head_lines(revision.kind, revision.classes, removed):
                entry.write(line.encode())
            for image in images:
                entry.write(image_line(_line(image)).encode())
        with archive.open(_entry(EXTENSION_LOG, zipfile.ZIP_DEFLATED), "w") as entry:
            for finding in log:
                entry.write((json.dumps(finding.as_dict(), ensure_ascii=False) + "\n").encode())


def _by_sha256(entry: tuple[tuple[str, bytes | None], str]) -> str:
    return entry[0][0]


def _line(image: DatasetImage) -> RevisionImage:
    return RevisionImage(image.path, (image.width, image.height), image.given_split, image.boxes, image.label)


def _entry(name: str, method: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.compress_type = method
    entry.external_attr = _MODE
    entry.create_system = 3
    return entry
