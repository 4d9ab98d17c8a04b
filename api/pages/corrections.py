"""Corrections of a dataset: drafts before and after, and what they became part of."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from api.dependencies import CurrentPlatform, Cursor
from api.pages.compared_images import DrawnPair, drawn_pair
from api.pages.dataset_frame import dataset_frame
from api.pages.rendering import render
from api.schemas.corrections import Correction, correction_of
from core.db.tables import CorrectionRow, JobRow
from core.domain.limits import MAX_BOXES_PER_IMAGE
from core.services.jobs.commands import get_job
from core.services.jobs.corrections import ACCEPT, count_drafts, list_corrections
from core.services.jobs.images import refuse_without_index
from core.services.views import prepared_set_of
from pipeline.dataset.model import Box
from pipeline.index.box_changes import box_changes
from pipeline.index.read import Selection, read_numbered, read_numbers
from pipeline.index.read_diff import DiffItem
from pipeline.index.schema import IndexedImage

router = APIRouter(prefix="/ui/datasets", include_in_schema=False)

PAGE = 24
_MILLI = 1000


class ListedCorrection(NamedTuple):
    """`kind`: `boxes`, `label`, `remove` or `accept`. `pair` is None where the dataset has the image no more.
    `applied_to`: the number and the id of the dataset that it became part of."""

    correction: Correction
    kind: str
    pair: DrawnPair | None
    query: str
    applied_to: JobRow | None


@router.get("/{job_id}/corrections")
def corrections(
    request: Request,
    platform: CurrentPlatform,
    job_id: str,
    state: Literal["draft", "applied"] = "draft",
    cursor: Cursor = None,
) -> HTMLResponse:
    """In the order in which they were made. Raises JobNotFound, Gone, JobNotReady, ImageIndexMissing, CursorInvalid."""
    job, dataset = prepared_set_of(platform.db, job_id)
    if dataset.index_key is None:
        refuse_without_index(platform, job, dataset)
    page = list_corrections(platform.db, job_id, cursor=cursor, limit=PAGE, state=state)
    index = request.app.state.image_indexes.path_of(dataset)
    images = _images(index, page.items)
    made = {
        row.applied_to: get_job(platform.db, row.applied_to, allow_deleted=True) for row in page.items if row.applied_to
    }
    counts = count_drafts(platform.db, job_id)
    return render(
        request,
        "corrections/corrections.html",
        **dataset_frame(platform, job),
        state=state,
        listed=[_listed(job, row, images.get(row.image), made) for row in page.items],
        counts=counts,
        drafts=counts.total(),
        changing=counts.total() - counts[ACCEPT],
        next_cursor=page.next_cursor,
        is_first=cursor is None,
    )


def _images(index: Path, rows: Sequence[CorrectionRow]) -> dict[str, IndexedImage]:
    numbers = read_numbers(index, Selection(paths={row.image for row in rows}))
    return {image.path: image for image in read_numbered(index, numbers.values(), boxes=MAX_BOXES_PER_IMAGE).values()}


def _listed(
    job: JobRow, row: CorrectionRow, image: IndexedImage | None, made: Mapping[str, JobRow]
) -> ListedCorrection:
    change: dict[str, Any] = row.change
    classes = _with_new_ones(job.classes or [], change)
    pair = None
    if image is not None:
        pair = drawn_pair(_item(image, change, classes), (job.id, job.id), (classes, classes))
    return ListedCorrection(
        correction=correction_of(row),
        kind=next(iter(change)),
        pair=pair,
        query=urlencode({"image": row.image}),
        applied_to=made.get(row.applied_to or ""),
    )


def _item(image: IndexedImage, change: Mapping[str, Any], classes: Sequence[str]) -> DiffItem:
    """The difference that it makes."""
    if change.get("remove"):
        return DiffItem(0, ("removed",), image, None, [])
    if "label" in change:
        return DiffItem(0, ("changed",), image, image._replace(label=classes.index(change["label"])), [])
    if "boxes" not in change:
        return DiffItem(0, (), image, image, [])
    # As the next revision has them: a box that stays where it was stays difficult.
    difficult = {box[1:5] for box in image.boxes if box.difficult}
    boxes = []
    for each in change["boxes"]:
        x1, y1, x2, y2 = (round(each[edge] * _MILLI) for edge in ("x1", "y1", "x2", "y2"))
        boxes.append(Box(classes.index(each["class"]), x1, y1, x2, y2, (x1, y1, x2, y2) in difficult))
    after = image._replace(boxes=tuple(boxes), box_count=len(boxes))
    return DiffItem(0, ("changed",), image, after, box_changes(image.boxes, boxes, range(len(classes))))


def _with_new_ones(classes: Sequence[str], change: Mapping[str, Any]) -> list[str]:
    named = [change["label"]] if "label" in change else [box["class"] for box in change.get("boxes", ())]
    return list(dict.fromkeys([*classes, *named]))
