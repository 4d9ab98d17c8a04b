"""Thumbnails: rendered when they are first asked for, kept in the store beside the set, and read from there."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import structlog
from starlette.concurrency import run_in_threadpool

from api.images.renderer import Chunks, Renderer
from api.uploads.temporary import TemporaryFile
from core.db.tables import DatasetRow
from core.domain.errors import DarkroomError, ImageNotRendered, Unavailable
from core.domain.keys import thumbnail_key
from core.services.context import Platform
from core.services.uploads.room import UploadRoom
from core.storage import ObjectExists, ObjectMissing
from pipeline.index.schema import IndexedImage
from pipeline.process.render_task import ComparisonTask, RenderedBox, RenderTask

SIZES = (128, 256, 512, 1024, 2048)  # px of the longer side: few, so that the same ones are asked for again
MAX_SIZE = SIZES[-1]
_VERSION = 1  # of how they are drawn: raised with it, so that no older one is sent
_FAILURES_KEPT = 1000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """`name` changes with whatever changes the image: it is its ETag, and its key in the store ends with it."""

    name: str
    key: str
    dataset: DatasetRow
    image: IndexedImage
    task: RenderTask


class Thumbnails:
    """For one event loop."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._renderer = Renderer()
        self._failed: OrderedDict[str, ImageNotRendered] = OrderedDict()  # key -> why, so that none is tried for ever

    def of(
        self, dataset: DatasetRow, image: IndexedImage, classes: Sequence[str], *, size: int | None, boxes: bool
    ) -> Thumbnail:
        """`size` is rounded up to one of SIZES; None: the largest."""
        side = next(each for each in SIZES if each >= (size or MAX_SIZE))
        drawn = _boxes_of(image, classes) if boxes else None
        task = RenderTask(bytes=image.bytes, width=image.width, height=image.height, size=side, boxes=drawn)
        digest = f"-{_digest(drawn)}" if drawn is not None else ""
        name = f"{_VERSION}-{side}-{image.sha256}{digest}"
        return Thumbnail(name, thumbnail_key(dataset.layout_version, dataset.fingerprint, name), dataset, image, task)

    async def read(self, wanted: Thumbnail) -> bytes:
        """A JPEG. Raises ImageNotRendered, Unavailable."""
        if failure := self._failed.get(wanted.key):
            raise ImageNotRendered(failure.detail, **failure.facts)
        stored = await run_in_threadpool(self._stored, wanted.key)
        if stored is not None:
            return stored
        try:
            content = await self._renderer.render(wanted.task, partial(self._chunks, wanted), name=wanted.image.path)
        except ImageNotRendered as error:
            self._failed[wanted.key] = error
            if len(self._failed) > _FAILURES_KEPT:
                self._failed.popitem(last=False)
            raise
        await run_in_threadpool(self._keep, wanted, content)
        return content

    async def render(self, task: ComparisonTask, chunks: Chunks, *, name: str) -> bytes:
        """A PNG, which is not kept. Raises ImageNotRendered, Unavailable, and what `chunks` raises."""
        return await self._renderer.render(task, chunks, name=name)

    def close(self) -> None:
        self._renderer.close()

    def _stored(self, key: str) -> bytes | None:
        try:
            return b"".join(self._platform.store.open(key))
        except ObjectMissing:
            return None

    def _chunks(self, wanted: Thumbnail) -> Iterator[bytes]:
        at, size = wanted.image.at, wanted.image.bytes
        try:
            return self._platform.store.open(wanted.dataset.key, start=at, end=at + size - 1)
        except ObjectMissing as error:
            raise Unavailable("The dataset is missing from the object store.", service="store") from error

    def _keep(self, wanted: Thumbnail, content: bytes) -> None:
        """What cannot be kept is rendered again: a full disk does not take the image from the person who asked."""
        try:
            room = UploadRoom(self._platform).for_body(len(content))
            file = TemporaryFile(self._platform.settings.temp, room)
            try:
                file.write(content)
                file.flush()
                self._platform.store.put(wanted.key, file.path, media_type="image/jpeg")
            finally:
                file.remove()
        except ObjectExists:  # by another process of the API, with another version of a library
            pass
        except DarkroomError as error:
            log.warning("thumbnail.not_kept", key=wanted.key, slug=error.slug)


def _boxes_of(image: IndexedImage, classes: Sequence[str]) -> tuple[RenderedBox, ...]:
    """Of a classified image one around all of it."""
    if image.label is not None:
        edges = (0, 0, image.width * 1000, image.height * 1000)
        return (_box(classes, image.label, edges),)
    return tuple(_box(classes, box.class_id, (box.x1, box.y1, box.x2, box.y2)) for box in image.boxes)


def _box(classes: Sequence[str], class_id: int, edges: tuple[int, int, int, int]) -> RenderedBox:
    x1, y1, x2, y2 = (edge / 1000 for edge in edges)
    return RenderedBox(label=classes[class_id], class_index=class_id, x1=x1, y1=y1, x2=x2, y2=y2)


def _digest(boxes: Sequence[RenderedBox]) -> str:
    """Of the annotation: two images with the same bytes may have other boxes in two sets, or other names of classes."""
    content = json.dumps([box.model_dump() for box in boxes], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
