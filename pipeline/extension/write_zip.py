"""Writes the ZIP of a revision: images under their paths, one file with their annotations, and a log of the changes.

Images are stored uncompressed, so that a preparation reads them where they lie.
"""

import json
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
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
_BATCH_BYTES, _BATCH_IMAGES = 2 << 20, 32  # read by one task
_AHEAD = 2  # batches for each thread, read and not yet written


def write_revision(
    revision: Revision, parent: Parent, log: Iterable[Finding], target: Path, steps: StageReporter, *, threads: int
) -> None:
    """Images of `revision` come from their byte range, or from the parent's ZIP where they have its path there. Raises
    PreparationFailed."""
    images = sorted(revision.images, key=lambda image: image.path)
    with zipfile.ZipFile(target, "w") as archive:
        done = 0
        for batch, contents in _contents(images, parent, threads):
            for image, blocks in zip(batch, contents, strict=True):
                with archive.open(_entry(image.path, zipfile.ZIP_STORED), "w", force_zip64=True) as entry:
                    entry.writelines(blocks)
            done += len(batch)
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


_Batch = list[DatasetImage]
_Contents = Iterable[Iterable[bytes]]


def _contents(images: list[DatasetImage], parent: Parent, threads: int) -> Iterator[tuple[_Batch, _Contents]]:
    """Batches in the order of `images`, each image in blocks. Reading, inflating and hashing release the interpreter's
    lock: threads do it ahead of the writing. An image larger than a batch is read while it is written instead."""
    pending: deque[tuple[_Batch, Future[list[list[bytes]]] | None]] = deque()
    read = partial(_read, parent)
    with ThreadPoolExecutor(threads) as pool:
        try:
            for batch in _batches(images):
                large = batch[0].source.bytes > _BATCH_BYTES
                pending.append((batch, None if large else pool.submit(read, batch)))
                if len(pending) > _AHEAD * threads:
                    yield _taken(parent, *pending.popleft())
            while pending:
                yield _taken(parent, *pending.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _batches(images: list[DatasetImage]) -> Iterator[_Batch]:
    batch: _Batch = []
    size = 0
    for image in images:
        if batch and (size + image.source.bytes > _BATCH_BYTES or len(batch) == _BATCH_IMAGES):
            yield batch
            batch, size = [], 0
        batch.append(image)
        size += image.source.bytes
    if batch:
        yield batch


def _read(parent: Parent, batch: _Batch) -> list[list[bytes]]:
    with parent.archive.open("rb") as file:
        return [
            list(parent.blocks(file, image) if parent.has(image) else image.source.byte_range.blocks())
            for image in batch
        ]


def _taken(parent: Parent, batch: _Batch, read: Future[list[list[bytes]]] | None) -> tuple[_Batch, _Contents]:
    return batch, map(partial(_streamed, parent), batch) if read is None else read.result()


def _streamed(parent: Parent, image: DatasetImage) -> Iterator[bytes]:
    if not parent.has(image):
        yield from image.source.byte_range.blocks()
        return
    with parent.archive.open("rb") as file:
        yield from parent.blocks(file, image)


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
