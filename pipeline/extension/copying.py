"""Images of the parent's ZIP, copied into that of the revision in processes, beside what follows in this one."""

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from io import FileIO
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self
from zlib import crc32

from core.domain.errors import PreparationFailed
from pipeline.archive.byte_range import ByteRange
from pipeline.archive.inflate import blocks_of, write_at
from pipeline.archive.zip_directory import STORED, BrokenArchive, ZipEntry, locate_data
from pipeline.decode.child import end_with_parent
from pipeline.decode.process import PROCESS_LOCK, process_context

_BATCH = 32  # images that one task copies
_TICK_SECONDS = 0.25
Tick = Callable[[int, int], None]


class CopiedImage(NamedTuple):
    """`path`: in the revision, for messages; its bytes go to `at`. `sha256`: compared, where it is not empty."""

    path: str
    entry: ZipEntry
    at: int
    sha256: str


class _Batch(NamedTuple):
    archive: Path
    target: Path
    images: list[CopiedImage]


class ImageCopies:
    """Copies images of one ZIP into another, in up to `processes` processes, until its context is left."""

    def __init__(self, *, processes: int) -> None:
        self._pool = ProcessPoolExecutor(processes, process_context(), initializer=end_with_parent)
        self._batches: list[Future[int]] = []
        self._of_image: dict[str, Future[int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def begin(self, archive: Path, images: list[CopiedImage], target: Path) -> None:
        """Copy images of `archive` to their places in `target`."""
        for first in range(0, len(images), _BATCH):
            batch = _Batch(archive, target, images[first : first + _BATCH])
            with PROCESS_LOCK:
                copied = self._pool.submit(_copy, batch)
            self._batches.append(copied)
            self._of_image |= {image.path: copied for image in batch.images}

    def wait(self, tick: Tick) -> None:
        """Until all that was begun is done; `tick(done, total)` may raise to stop. Raises PreparationFailed for an
        image that cannot be read or is another one, OSError."""
        done = 0
        for batch in self._batches:
            while not batch.done():
                wait([batch], _TICK_SECONDS)
                tick(done, len(self._of_image))
            done += _result(batch)

    def wait_for(self, path: str, check: Callable[[], None]) -> None:
        """As `wait`, for one image of the revision, or for nothing where its bytes are not copied."""
        if copied := self._of_image.get(path):
            while not copied.done():
                wait([copied], _TICK_SECONDS)
                check()
            _result(copied)


def _result(copied: Future[int]) -> int:
    try:
        return copied.result()
    except BrokenProcessPool as error:
        detail = "A process that copied images was killed: for want of memory, perhaps."
        raise PreparationFailed(detail) from error


def _copy(batch: _Batch) -> int:
    with batch.archive.open("rb") as file, batch.target.open("r+b", buffering=0) as out:
        for image in batch.images:
            _copy_image(file, image, out)
    return len(batch.images)


def _copy_image(file: BinaryIO, image: CopiedImage, out: FileIO) -> None:
    """Raises PreparationFailed where its bytes are others than those that were prepared."""
    entry, digest = image.entry, hashlib.sha256()
    size = crc = 0
    try:
        if entry.method == STORED and not image.sha256 and (data_at := locate_data(file, entry)) is not None:
            out.seek(image.at)
            ByteRange(file.name, data_at, entry.size).copy_to(out)
            return
        for block in blocks_of(file, entry):
            write_at(out.fileno(), block, image.at + size)
            size += len(block)
            if image.sha256:
                digest.update(block)
                crc = crc32(block, crc)
    except BrokenArchive as error:
        raise PreparationFailed("The stored ZIP of the dataset cannot be read.", image=image.path) from error
    if size != entry.size or (image.sha256 and (digest.hexdigest(), crc) != (image.sha256, entry.crc)):
        detail = f"In the stored ZIP of the dataset, {image.path} is not the image that was prepared."
        raise PreparationFailed(detail, image=image.path)
