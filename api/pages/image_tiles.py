"""Images as tiles of a grid: thumbnails of the right size, with their boxes as outlines over them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from api.images.thumbnails import SIZES
from api.pages.suspects import Suspect
from core.db.tables import CorrectionRow
from pipeline.dataset.model import Box
from pipeline.index.schema import IndexedImage

BOXES_OUTLINED = 150  # of one tile
ROW_HEIGHTS = {"s": 96, "m": 168, "l": 300}  # CSS pixels of a row, before it is widened to the full line
PAGES = {"s": 120, "m": 60, "l": 30}
_WIDENED = 1.15
_LARGEST = 1024
_FINE = 1000  # px of the longer side, below which outlines have a digit after the point
_RATIOS = (4, 40)  # tenths: wider and narrower ones are cut


@dataclass(frozen=True, slots=True)
class Outline:
    """Boxes of one class of an image, as an SVG path in its pixels."""

    class_id: int
    d: str


@dataclass(frozen=True, slots=True)
class ImageTile:
    """`query`: what the link to its full view ends with. `draft`: what its draft does."""

    path: str
    sha256: str
    width: int
    height: int
    ratio: int  # tenths
    src: str
    srcset: str
    sizes: str
    split: str
    label: str | None
    label_id: int | None
    box_count: int
    outlines: Sequence[Outline]
    codes: Sequence[str]
    draft: str | None
    suspect: Suspect | None
    query: str


def tile_of(
    job_id: str,
    classes: Sequence[str],
    image: IndexedImage,
    *,
    tiles: str,
    codes: Sequence[str],
    draft: CorrectionRow | None,
    suspect: Suspect | None,
    query: Mapping[str, str],
) -> ImageTile:
    """`tiles`: one of ROW_HEIGHTS. `query`: of the list, kept in the link."""
    ratio = image.width / image.height
    displayed = ratio * ROW_HEIGHTS[tiles] * _WIDENED
    sources = thumbnail_sources(job_id, image.sha256, image.width, image.height)
    return ImageTile(
        path=image.path,
        sha256=image.sha256,
        width=image.width,
        height=image.height,
        ratio=min(max(round(10 * ratio), _RATIOS[0]), _RATIOS[1]),
        src=sources[min(1, len(sources) - 1)][0],
        srcset=", ".join(f"{address} {width}w" for address, width in sources),
        sizes=f"{round(displayed)}px",
        split=image.split,
        label=None if image.label is None else classes[image.label],
        label_id=image.label,
        box_count=image.box_count,
        outlines=outlines_of(image.boxes, max(image.width, image.height)),
        codes=codes,
        draft=None if draft is None else next(iter(draft.change)),
        suspect=suspect,
        query=urlencode({**query, "image": image.path}),
    )


def thumbnail_sources(job_id: str, sha256: str, width: int, height: int) -> list[tuple[str, int]]:
    """Address and width in pixels of each thumbnail that is smaller than the image, and of the next one."""
    side, found = max(width, height), []
    for size in SIZES:
        if size > _LARGEST:
            break
        found.append((f"/dataset/images/{job_id}/{sha256}?size={size}", max(1, round(width * min(1, size / side)))))
        if size >= side:
            break
    return found


def outlines_of(boxes: Sequence[Box], side: int) -> list[Outline]:
    """`side`: the longer one of the image, in pixels."""
    digits = 1 if side < _FINE else 0
    paths: dict[int, list[str]] = {}
    for class_id, x1, y1, x2, y2, _ in boxes:
        left, top = x1 / 1000, y1 / 1000
        width, height = (x2 - x1) / 1000, (y2 - y1) / 1000
        part = f"M{left:.{digits}f} {top:.{digits}f}h{width:.{digits}f}v{height:.{digits}f}h-{width:.{digits}f}z"
        paths.setdefault(class_id, []).append(part)
    return [Outline(class_id, "".join(parts)) for class_id, parts in sorted(paths.items())]
