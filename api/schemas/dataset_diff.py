"""The difference of two datasets, as JSON."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field

from api.schemas import Links, PageOf
from api.schemas.images import BOXES_LISTED, THUMBNAIL_SIZE, ImageBox, image_box
from api.schemas.links import link
from core.db.tables import DatasetRow, JobRow
from core.domain.model_names import dataset_name
from pipeline.dataset.model import Box
from pipeline.index.box_changes import BoxChange
from pipeline.index.diff_summary import DiffSummary, ImageChange
from pipeline.index.differences import phash_distance
from pipeline.index.read_diff import DiffItem
from pipeline.index.schema import IndexedImage

CLASSES_LISTED = 200  # of the summary: with those that changed first, then those whose share shifts most


class ComparedDataset(BaseModel):
    """One of the two datasets."""

    job_id: str
    dataset: str = Field(description="Its name within the project.", examples=["raccoons/d1"])
    fingerprint: str
    content_fingerprint: str | None = None
    links: Links


class BoxDiff(BaseModel):
    """A box that differs. `before` or `after` is null where its dataset lacks it."""

    change: Literal["added", "removed", "changed"]
    kinds: list[str] = Field(
        description="What changed: `added`, `removed`, `class changed`, `moved`, `difficult changed`.",
        examples=[["moved"]],
    )
    before: ImageBox | None = None
    after: ImageBox | None = None
    iou: float | None = Field(None, description="Overlap of both, 0 to 1: their intersection over their union.")


class ImageSide(BaseModel):
    """An image in one of the datasets."""

    path: str = Field(examples=["raccoon-17.jpg"], description="In the upload, below the folder that holds all images.")
    sha256: str = Field(description="Of the file in the upload.")
    split: str = Field(examples=["train"])
    width: int = Field(examples=[640], description="Of the upright image, in pixels.")
    height: int = Field(examples=[480])
    label: str | None = Field(None, description="The class of the whole image, in classification.")
    box_count: int = Field(examples=[1])
    links: Links


class ImageDiff(BaseModel):
    """An image that differs. `before` or `after` is null where its dataset lacks it."""

    path: str = Field(description="In the second dataset, or in the first where the second lacks it.")
    changes: list[ImageChange] = Field(examples=[["changed", "split"]])
    before: ImageSide | None = None
    after: ImageSide | None = None
    phash_distance: int | None = Field(
        None,
        description="Of a replaced image: how many of the 256 bits of the perceptual hashes differ; up to 32 they are "
        "near-duplicates.",
    )
    boxes_added: int = Field(description="Of an image that both datasets have, and so the next two.", examples=[1])
    boxes_removed: int = Field(examples=[0])
    boxes_changed: int = Field(examples=[2])
    boxes: list[BoxDiff] = Field(description=f"Those that differ: the first {BOXES_LISTED}.")


class DatasetDiff(PageOf[ImageDiff]):
    """What changed from one dataset to another: a summary, and a page of the images that differ."""

    before: ComparedDataset
    after: ComparedDataset
    equal: bool = Field(description="Whether the fingerprints are equal: then nothing differs.")
    summary: DiffSummary = Field(description=f"Of its classes the first {CLASSES_LISTED}.")
    links: Links


def compared_dataset(job: JobRow, dataset: DatasetRow) -> ComparedDataset:
    return ComparedDataset(
        job_id=job.id,
        dataset=dataset_name(job.project, job.revision),
        fingerprint=dataset.fingerprint,
        content_fingerprint=job.content_fingerprint,
        links={"job": f"/jobs/{job.id}", "images": f"/dataset/images/{job.id}"},
    )


def image_diff(item: DiffItem, before: JobRow, after: JobRow) -> ImageDiff:
    old, new = before.classes or [], after.classes or []
    kinds = [change.kind for change in item.boxes]
    is_replaced = item.before is not None and item.after is not None and "replaced" in item.changes
    return ImageDiff(
        path=item.path,
        changes=list(item.changes),
        before=_side(before.id, old, item.before),
        after=_side(after.id, new, item.after),
        phash_distance=phash_distance(item.before, item.after) if is_replaced and item.before and item.after else None,
        boxes_added=kinds.count("added"),
        boxes_removed=kinds.count("removed"),
        boxes_changed=kinds.count("changed"),
        boxes=[_box_diff(change, old, new) for change in item.boxes[:BOXES_LISTED]],
    )


def listed_summary(summary: DiffSummary) -> DiffSummary:
    return summary.model_copy(update={"classes": summary.classes[:CLASSES_LISTED]})


def _side(job_id: str, classes: Sequence[str], image: IndexedImage | None) -> ImageSide | None:
    if image is None:
        return None
    path = f"/dataset/images/{job_id}/{image.sha256}"
    return ImageSide(
        path=image.path,
        sha256=image.sha256,
        split=image.split,
        width=image.width,
        height=image.height,
        label=None if image.label is None else classes[image.label],
        box_count=image.box_count,
        links={"image": path, "thumbnail": link(path, size=THUMBNAIL_SIZE)},
    )


def _box_diff(change: BoxChange, before: Sequence[str], after: Sequence[str]) -> BoxDiff:
    return BoxDiff(
        change=change.kind,
        kinds=list(change.kinds),
        before=_box(before, change.before),
        after=_box(after, change.after),
        iou=None if change.iou is None else round(change.iou, 4),
    )


def _box(classes: Sequence[str], box: Box | None) -> ImageBox | None:
    return None if box is None else image_box(classes, box)
