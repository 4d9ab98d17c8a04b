"""64 annotated thumbnails of a prepared dataset: drawn once, stored beside its metadata."""

import hashlib
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pipeline.dataset.model import DatasetImage
from pipeline.dataset.predictions import PredictedBox
from pipeline.dataset.validated import ValidatedDataset
from pipeline.decode.pool import Crash, DecodePool
from pipeline.layouts.tarball import open_tar
from pipeline.plots.style import face_for
from pipeline.plots.thumbnails import Thumbnail, draw_thumbnail, thumbnail_key

THUMBNAILS = 64
SAMPLES_FILE = "samples.tar"
_BOXES_DRAWN = 300  # on one thumbnail; with more, they cannot be distinguished
Tick = Callable[[int, int], None]


@contextmanager
def drawing_samples(
    dataset: ValidatedDataset, out: Path, *, seed: int, processes: int, known: Path | None = None
) -> Iterator[Callable[[Tick], int]]:
    """Draw `samples.tar` (00-KEY.jpg, 01-KEY.jpg, ...) below `out` while the body runs.

    What it yields waits for them, calling a tick that may raise to stop, and returns how many there are. `known`: the
    samples of another dataset, of which those that would be drawn the same are taken.
    """
    chosen = choose(dataset.images, seed=seed)
    wanted = _thumbnails(dataset, chosen)
    found = _read_samples(known) if known else {}
    new = {}
    for image, (key, thumbnail) in zip(chosen, wanted, strict=True):
        if key not in found:
            dataset.wait_for(image)
            new[key] = thumbnail
    # In decoding processes: inspection decoded these images at a smaller size, thumbnails decode them larger.
    with DecodePool(draw_thumbnail, parse=bytes, processes=processes) as pool:
        pool.submit(new.values())
        yield lambda tick: _write_samples(
            out / SAMPLES_FILE, wanted, found | dict(zip(new, pool.answers(tick), strict=True))
        )


def _write_samples(target: Path, wanted: list[tuple[str, Thumbnail]], drawn: Mapping[str, bytes | Crash]) -> int:
    contents = [(key, content) for key, _ in wanted if not isinstance(content := drawn[key], Crash)]
    with open_tar(target) as tar:
        for number, (key, content) in enumerate(contents):
            tar.add(f"{number:02d}-{key}.jpg", content)
        tar.end()
    return len(contents)


def _read_samples(file: Path) -> dict[str, bytes]:
    """By their keys. Those of an earlier version, whose names have none, are not among them."""
    found: dict[str, bytes] = {}
    with tarfile.open(file) as tar:
        for member in tar:
            _, _, key = member.name.removesuffix(".jpg").partition("-")
            content = tar.extractfile(member)
            if key and content:
                found[key] = content.read()
    return found


def choose(images: list[DatasetImage], *, seed: int, count: int = THUMBNAILS) -> list[DatasetImage]:
    """`count` random images, the same for the same data and seed; those with a class not yet chosen come first."""
    chances = np.fromiter((_chance(image, seed) for image in images), dtype=np.uint64, count=len(images))
    by_chance = [images[at] for at in np.argsort(chances, kind="stable")]  # equal images by path
    chosen_classes: set[int] = set()
    first: list[DatasetImage] = []
    later: list[DatasetImage] = []
    for image in by_chance:
        classes = image.class_ids
        (first if classes - chosen_classes else later).append(image)
        chosen_classes |= classes
    return (first + later)[:count]


def _chance(image: DatasetImage, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"sample {seed}:{image.sha256}".encode()).digest()[:8], "big")


def _thumbnails(dataset: ValidatedDataset, chosen: list[DatasetImage]) -> list[tuple[str, Thumbnail]]:
    """With their keys."""
    face = face_for([*dataset.classes, *(image.name for image in chosen)])
    drawn = [(_thumbnail(image, dataset, face), image.sha256) for image in chosen]
    return [(thumbnail_key(thumbnail, sha256), thumbnail) for thumbnail, sha256 in drawn]


def _thumbnail(image: DatasetImage, dataset: ValidatedDataset, face: str | None) -> Thumbnail:
    boxes = tuple(
        PredictedBox(dataset.classes[box.class_id], box.class_id, 1.0, *(edge / 1000 for edge in box[1:5]))
        for box in image.boxes[:_BOXES_DRAWN]
    )
    name = image.path.rpartition("/")[2]
    size = (image.width, image.height)
    label = None if image.label is None else dataset.classes[image.label]
    return Thumbnail(image.written, name, dataset.splits[image.path], size, boxes, face, label)
