"""A dataset: how its preparation goes, what is in it, what its findings say."""

import json
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from api.dependencies import CurrentPlatform, Cursor
from api.http.page_stream import position_in
from api.images.index_cache import IndexCache
from api.pages.class_counts import class_rows
from api.pages.dataset_frame import dataset_frame
from api.pages.drawn_images import BOXES_DRAWN, DrawnImage, drawn_image
from api.pages.findings_view import PREVIEWED, found_groups, places_of
from api.pages.next_steps import corrected_form, leaving_out
from api.pages.rendering import render
from api.pages.store_away import noting_the_store
from api.pages.upload_form import extension_form
from api.pages.work_items import MADE_FIRST, STEPS, is_freezing, job_item, work_items
from api.schemas.dataset_exports import dataset_export_of, download_link
from core.db.tables import DatasetRow, JobRow
from core.domain import errors
from core.domain.main_metrics import main_metrics
from core.domain.model_names import dataset_name
from core.domain.states import JobState
from core.services.context import Platform
from core.services.jobs import commands as jobs
from core.services.jobs.dataset_exports import list_dataset_exports
from core.services.jobs.relatives import relatives_of
from core.services.models.test_sets import FrozenSet, get_test_set
from core.services.models.versions import list_versions, version_briefs
from core.services.runs.commands import list_runs
from core.services.views import prepared_set_of, sharing_jobs
from core.services.work.active import active_work
from core.storage import ObjectMissing
from pipeline.index.read import Selection, read_numbered, read_page
from pipeline.params.dataset_exports import EXPORT_FORMATS, formats_of

if TYPE_CHECKING:
    from pipeline.index.statistics import IndexStatistics

router = APIRouter(prefix="/ui/datasets", include_in_schema=False)

SAMPLES = 12
LISTED = 6  # versions or runs, of each the newest
EXPORTS_LISTED = 20
FINDINGS_PAGE = 30
_WORK_LISTED = 20
_COVER_CANDIDATES = 16
_YEAR = "private, max-age=31536000, immutable"

Severity = Literal["error", "warning", "note"]


@router.get("/{job_id}")
def overview(request: Request, platform: CurrentPlatform, job_id: str) -> HTMLResponse:
    """While it is prepared: its steps, live. Raises JobNotFound, Gone."""
    position = position_in(request, platform.db, [job_id])
    row = jobs.get_job(platform.db, job_id)
    active = active_work(platform.db, limit=_WORK_LISTED, job_id=job_id)
    values: dict[str, Any] = {
        **dataset_frame(platform, row),
        "position": position,
        "relatives": relatives_of(platform.db, row),
        "moving": work_items(platform.db, active),
    }
    if row.state != JobState.READY:
        is_rejected = row.state == JobState.REJECTED
        return render(
            request,
            "datasets/unready.html",
            **values,
            work=job_item(row),
            steps=_steps(row),
            groups=found_groups(row) if is_rejected else [],
            leaving_out=leaving_out(platform.db, row) if is_rejected else None,
            upload=corrected_form(platform, row, values["project"]),
        )
    _, dataset = prepared_set_of(platform.db, job_id)
    metadata = _metadata(platform, row)
    per_class = metadata.get("per_class") or {}
    newest = list_versions(platform.db, cursor=None, limit=LISTED, ref=job_id, whole=False).items
    return render(
        request,
        "datasets/overview.html",
        **values,
        dataset=dataset,
        metadata=metadata,
        groups=found_groups(row),
        per_class=per_class,
        class_rows=class_rows(job_id, per_class, "boxes" if row.kind == "detection" else "images"),
        samples=_samples(request, row, dataset),
        exports=_exports(platform, row),
        frozen=_frozen(platform, row),
        freezing=is_freezing(active),
        versions=[(each, *main_metrics(each.metrics)) for each in version_briefs(platform.db, newest)],
        runs=list_runs(platform.db, cursor=None, limit=LISTED, job_id=job_id).items,
        shared_with=sharing_jobs(platform.db, row),
        prepared_from=_prepared_from(platform, row),
        upload=extension_form(project=row.project, dataset=values["name"], job_id=row.id),
    )


@router.get("/{job_id}/charts")
def charts(request: Request, platform: CurrentPlatform, job_id: str) -> HTMLResponse:
    """A part of the overview that takes longer. Raises JobNotFound, Gone, JobNotReady."""
    job, dataset = prepared_set_of(platform.db, job_id)
    statistics = None
    if dataset.index_key is not None:
        statistics = _statistics(_indexes(request).path_of(dataset), dataset.index_key)
    return render(request, "datasets/charts.html", job=job, statistics=statistics)


@lru_cache(maxsize=64)
def _statistics(file: Path, _index_key: str) -> "IndexStatistics":
    """Some kilobytes, kept: an index never changes."""
    from pipeline.index.statistics import read_statistics  # it loads numpy, which no other page needs

    return read_statistics(file)


@router.get("/{job_id}/cover")
def cover(request: Request, platform: CurrentPlatform, job_id: str) -> Response:
    """An image that stands for the dataset. Raises JobNotFound, Gone, JobNotReady."""
    job, dataset = prepared_set_of(platform.db, job_id)
    target = f"/dataset/sample/{job_id}?n=4"
    if dataset.index_key is not None and job.images:
        page = read_page(
            _indexes(request).path_of(dataset), Selection(), after=None, limit=_COVER_CANDIDATES, boxes=BOXES_DRAWN
        )
        best = max(page.images, key=lambda image: (bool(image.boxes) or image.label is not None, -image.blur))
        target = f"/dataset/images/{job_id}/{best.sha256}?size=512"
    return RedirectResponse(target, status_code=307, headers={"cache-control": _YEAR})


@router.get("/{job_id}/findings")
def findings(
    request: Request,
    platform: CurrentPlatform,
    job_id: str,
    code: Annotated[str | None, Query(max_length=80)] = None,
    severity: Severity | None = None,
    cursor: Cursor = None,
) -> HTMLResponse:
    """By code, of each the first places; of one code all of them, by pages. Raises JobNotFound, Gone, CursorInvalid."""
    row = jobs.get_job(platform.db, job_id)
    counts = row.findings or {}
    groups = found_groups(row, severity=severity, code=code)
    if code is not None and code not in counts:
        raise errors.NotFound(f"This dataset has no finding {code[:80]!r}.", job_id=job_id)
    size = FINDINGS_PAGE if code else PREVIEWED
    next_cursor = None
    places = {}
    for group in groups:
        page = jobs.list_findings(platform.db, job_id, cursor=cursor if code else None, limit=size, code=group.code)
        places[group.code] = page.items
        next_cursor = page.next_cursor if code else None
    located = places_of(places, row, lambda: None)
    with noting_the_store(request) as store:
        located = places_of(places, row, lambda: _index_path(request, platform, row))
    return render(
        request,
        "datasets/findings.html",
        **dataset_frame(platform, row),
        groups=groups,
        places=located,
        away=store.problem,
        code=code,
        severity=severity,
        next_cursor=next_cursor,
    )


def _steps(row: JobRow) -> list[tuple[str, str, str]]:
    """Of each step its name, its words, and whether it is `done`, `now` or `next`."""
    names = [*STEPS]
    if row.source_key is None or row.stage in MADE_FIRST:
        first = next((name for name in MADE_FIRST if name == row.stage), None) or (
            "extending" if row.extension else "repairing" if row.repair_of else "importing"
        )
        names = [first, *names]
    words = STEPS | MADE_FIRST
    if row.stage not in names:
        return [(name, words[name], "next") for name in names]
    at = names.index(row.stage)
    return [(name, words[name], "done" if n < at else "now" if n == at else "next") for n, name in enumerate(names)]


def _prepared_from(platform: Platform, row: JobRow) -> str | None:
    """The name of the dataset whose ZIP was prepared again, which may be deleted by now."""
    origin = row.imported_from or {}
    if origin.get("kind") != "dataset":
        return None
    before = jobs.get_job(platform.db, origin["location"], allow_deleted=True)
    return dataset_name(before.project, before.revision)


def _metadata(platform: Platform, row: JobRow) -> dict[str, Any]:
    """Empty where the store lacks it or does not answer: the page then has what the row says."""
    try:
        found: dict[str, Any] = json.loads(b"".join(platform.store.open(str(row.metadata_key))))
    except (ObjectMissing, errors.Unavailable):
        return {}
    return found


def _samples(request: Request, row: JobRow, dataset: DatasetRow) -> list[DrawnImage]:
    """Images from all parts of the set, in the order of their paths; none where its index cannot be read now."""
    if dataset.index_key is None or not row.images:
        return []
    numbers = sorted({(2 * n + 1) * row.images // (2 * SAMPLES) for n in range(SAMPLES)})
    with suppress(errors.Unavailable, errors.OutOfSpace):
        found = read_numbered(_indexes(request).path_of(dataset), numbers, boxes=BOXES_DRAWN)
        return [drawn_image(row, found[number]) for number in numbers if number in found]
    return []


def _exports(platform: Platform, row: JobRow) -> list[dict[str, Any]]:
    """Of each format and arrangement what was made of it, if anything."""
    page = list_dataset_exports(platform.db, row.id, cursor=None, limit=EXPORTS_LISTED)
    made = [dataset_export_of(export, file_name="") for export in page.items]
    wanted = [
        (name, arrange)
        for name in formats_of(str(row.kind))
        for arrange in (("paths", "splits") if EXPORT_FORMATS[name].arranged else ("paths",))
    ]
    return [
        {
            "title": EXPORT_FORMATS[name].title,
            "arrange": arrange,
            "arranged": EXPORT_FORMATS[name].arranged,
            "link": download_link(row.id, name, arrange),
            "made": next((each for each in made if (each.format, each.arrange) == (name, arrange)), None),
        }
        for name, arrange in wanted
    ]


def _frozen(platform: Platform, row: JobRow) -> FrozenSet | None:
    with suppress(errors.TestSetNotFound):
        return get_test_set(platform.db, row.project_id)
    return None


def _index_path(request: Request, platform: Platform, row: JobRow) -> Any:
    """None for a dataset that is not ready, or was prepared before there were image indexes."""
    if row.state != JobState.READY:
        return None
    _, dataset = prepared_set_of(platform.db, row.id)
    return None if dataset.index_key is None else _indexes(request).path_of(dataset)


def _indexes(request: Request) -> IndexCache:
    indexes: IndexCache = request.app.state.image_indexes
    return indexes
