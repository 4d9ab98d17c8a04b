"""An image before and after, side by side, with what differs drawn on both."""

from collections.abc import Sequence
from dataclasses import dataclass

from api.images.comparison import compared_pair
from api.pages.image_tiles import thumbnail_sources
from pipeline.index.read_diff import DiffItem
from pipeline.index.schema import IndexedImage
from pipeline.process.render_task import ComparedBox, ComparedSide

_WIDTH = "(max-width: 599px) 45vw, 320px"  # of a side, for the choice of its thumbnail


@dataclass(frozen=True, slots=True)
class DrawnSide:
    """`same`: boxes that do not differ, as one SVG path; `marks`: the others, in pixels of the upright image."""

    src: str
    srcset: str
    sizes: str
    width: int
    height: int
    split: str
    label: str | None
    same: str
    marks: Sequence[ComparedBox]


@dataclass(frozen=True, slots=True)
class DrawnPair:
    """A side is None where its dataset lacks the image. `note`: what changed, in some words."""

    path: str
    note: str
    is_relabelled: bool
    before: DrawnSide | None
    after: DrawnSide | None


def drawn_pair(item: DiffItem, job_ids: tuple[str, str], classes: tuple[Sequence[str], Sequence[str]]) -> DrawnPair:
    """`job_ids`, `classes`: of the two datasets."""
    pair = compared_pair(item, *classes)
    before, after = (
        _side(job_id, image, side)
        for job_id, image, side in zip(job_ids, (item.before, item.after), (pair.before, pair.after), strict=True)
    )
    return DrawnPair(pair.path, pair.note, pair.is_relabelled, before, after)


def _side(job_id: str, image: IndexedImage | None, side: ComparedSide | None) -> DrawnSide | None:
    if image is None or side is None:
        return None
    sources = thumbnail_sources(job_id, image.sha256, image.width, image.height)
    same = "".join(_path(box) for box in side.boxes if box.change == "same")
    return DrawnSide(
        src=sources[min(1, len(sources) - 1)][0],
        srcset=", ".join(f"{address} {width}w" for address, width in sources),
        sizes=_WIDTH,
        width=image.width,
        height=image.height,
        split=side.split,
        label=side.label,
        same=same,
        marks=[box for box in side.boxes if box.change != "same"],
    )


def _path(box: ComparedBox) -> str:
    width = box.x2 - box.x1
    return f"M{box.x1:.1f} {box.y1:.1f}h{width:.1f}v{box.y2 - box.y1:.1f}h-{width:.1f}z"
