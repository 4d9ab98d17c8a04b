"""What changed from one dataset to another: in numbers, and image by image."""

from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from api.dependencies import CurrentPlatform, Cursor
from api.images.selection import cursor_of_number, number_of_cursor
from api.pages.compared_images import DrawnPair, drawn_pair
from api.pages.rendering import render
from api.routes.dataset_diff import diff_of
from core.domain.model_names import dataset_name
from core.services.projects.commands import get_project
from http_common.problems import invalid_fields
from pipeline.index.diff_summary import IMAGE_CHANGES, DiffSummary, ImageChange, SizeShift
from pipeline.index.read_diff import DiffItem, read_diff, read_summary

router = APIRouter(prefix="/ui/datasets", include_in_schema=False)

PAGE = 24
CLASSES_DRAWN = 30
_SIZES = {"image_width": "Width of images", "image_height": "Height of images", "box_size": "Size of boxes"}


class DrawnSize(NamedTuple):
    """Quantiles on one scale from 0 to `most`. `unit`: `px`, or `%` of the side of the image."""

    title: str
    unit: str
    most: float
    rows: list[tuple[str, list[float]]]


class ListedPair(NamedTuple):
    """`query`: of the full view, in the dataset that has the image, whose job is `job_id`."""

    pair: DrawnPair
    changes: tuple[ImageChange, ...]
    job_id: str
    query: str


@router.get("/{before}/diff/{after}")
def differences(
    request: Request,
    platform: CurrentPlatform,
    before: str,
    after: str,
    change: Annotated[str, Query(max_length=80)] = "",
    cursor: Cursor = None,
) -> HTMLResponse:
    """Of any two datasets of one kind, by their ids. `change`: only images with it.

    Raises JobNotFound, Gone, JobNotReady, ImageIndexMissing, DatasetKindMismatch, CursorInvalid, RequestInvalid.
    """
    wanted = next((each for each in IMAGE_CHANGES if each == change), None)
    if change and wanted is None:
        message = f"There is no change {change!r}; there are {', '.join(IMAGE_CHANGES)}."
        raise invalid_fields([{"field": "change", "message": message}])
    position = number_of_cursor(cursor)
    found = diff_of(request, platform, before, after)
    first, second = found.jobs
    summary = read_summary(found.compared)
    page = read_diff(found.compared, change=wanted, after=position, limit=PAGE)
    classes = (first.classes or [], second.classes or [])
    names = tuple(dataset_name(job.project, job.revision) for job in found.jobs)
    return render(
        request,
        "differences/differences.html",
        nav="projects",
        project=get_project(platform.db, second.project_id),
        jobs=found.jobs,
        names=names,
        summary=summary,
        is_equal=summary.is_equal,
        change=wanted or "",
        changes=[(each, getattr(summary.images, each)) for each in IMAGE_CHANGES if getattr(summary.images, each)],
        classes=_drawn_classes(summary),
        classes_left=max(0, len(summary.classes) - CLASSES_DRAWN),
        sizes=[size for shift in summary.sizes if (size := _drawn_size(shift, names))],
        pairs=[_listed(item, (first.id, second.id), classes) for item in page.items],
        next_cursor=None if page.end is None else cursor_of_number(page.end),
        is_first=cursor is None,
        path=f"/dataset/diff/{first.id}/{second.id}",
        base=f"/ui/datasets/{first.id}/diff/{second.id}",
    )


def _listed(item: DiffItem, job_ids: tuple[str, str], classes: Any) -> ListedPair:
    job_id = job_ids[0] if item.after is None else job_ids[1]
    return ListedPair(drawn_pair(item, job_ids, classes), item.changes, job_id, urlencode({"image": item.path}))


def _drawn_classes(summary: DiffSummary) -> list[Any]:
    return summary.classes[:CLASSES_DRAWN]


def _drawn_size(shift: SizeShift, names: tuple[str, ...]) -> DrawnSize | None:
    """None where neither dataset has a size."""
    is_share = shift.measure == "box_size"
    rows = []
    for name, quantiles in zip(names, (shift.before, shift.after), strict=True):
        if quantiles is not None:
            values = (quantiles.p5, quantiles.p25, quantiles.p50, quantiles.p75, quantiles.p95)
            rows.append((name, [100 * value if is_share else value for value in values]))
    if not rows:
        return None
    return DrawnSize(_SIZES[shift.measure], "%" if is_share else "px", max(values[-1] for _, values in rows) or 1, rows)
