"""Where the bytes of a project are, and freeing some."""

from typing import Annotated

from fastapi import APIRouter, Body, Query, Response
from starlette.concurrency import run_in_threadpool

from api.dependencies import PAGE, CurrentPlatform, Cursor, Limit, OfProject
from api.http.idempotency import Idempotency
from api.http.reading import CurrentReads
from api.schemas.storage import NewPurge, ProjectStorage, Purge, purge_of, status_of_purge, storage_of
from core.domain import errors
from core.services.storage.purge import plan_purge, request_purge
from core.services.storage.usage import measured_usage, project_usage
from http_common.openapi import problem_responses

router = APIRouter(prefix="/projects/{project}", tags=["projects"])

Measure = Annotated[bool, Query(description="Also list what no row has bytes for.")]
_MISSING = (errors.ProjectNotFound, errors.ProjectRenamed, errors.Gone)


@router.get(
    "/storage",
    summary="Read what a project stores",
    response_model=ProjectStorage,
    responses=problem_responses(*_MISSING),
)
async def get_storage(
    platform: CurrentPlatform, reads: CurrentReads, project: OfProject, measure: Measure = False
) -> Response:
    """Counts and bytes of its objects by kind, and what of them could be deleted now, with the reason. Prepared sets
    are shared by all datasets with the same fingerprint: each project counts them once and whole, and says how many
    bytes others use too. `measure=true` adds what no row has bytes for, by listing the store: `metadata` (with plots
    and samples) and `thumbnails`; that takes as long as the store takes for one list a dataset."""
    if measure:
        found = await run_in_threadpool(measured_usage, platform, project)
        return Response(storage_of(found, platform.settings).model_dump_json(), media_type="application/json")
    return await reads.answer(lambda: storage_of(project_usage(platform.db, project), platform.settings))


@router.post(
    "/purge",
    summary="Delete what a project needs no more",
    response_model=Purge,
    responses={
        202: {"model": Purge, "description": "The operation that deletes it was queued."},
        **problem_responses(*_MISSING, errors.CursorInvalid, errors.RequestInFlight, errors.IdempotencyKeyReused),
    },
)
def purge(
    platform: CurrentPlatform,
    idempotency: Idempotency,
    response: Response,
    project: OfProject,
    body: NewPurge | None = Body(None),  # noqa: B008 - the declaration of a body that may be missing
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> Purge | Response:
    """A dry run unless `dry_run` is false: it answers what would be deleted, item by item, and changes nothing.

    Else an operation deletes what meets the same conditions when it comes to it. It never deletes what an alias points
    at, the source of a test set or of a dataset that another one extends, nor what unfinished work needs.
    """
    wanted = body or NewPurge()
    choice = wanted.choice()
    if wanted.dry_run:
        return purge_of(plan_purge(platform.db, project, choice, cursor=cursor, limit=limit))
    meaning = wanted.model_dump(mode="json")
    with idempotency.claimed():
        if replayed := idempotency.replay(meaning):
            return replayed
        kept = idempotency.keep(purge_of, meaning, status_of=status_of_purge)
        plan = request_purge(platform, project, choice, limit=limit, on_commit=kept)
    response.status_code = status_of_purge(plan)
    return purge_of(plan)
