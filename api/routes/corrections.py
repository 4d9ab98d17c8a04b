"""Correcting labels and boxes of single images: drafts, and the next dataset that is made of them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.convertors import StringConvertor, register_url_convertor

from api.dependencies import PAGE, CurrentPlatform, Cursor, Limit, Wait
from api.http.idempotency import Idempotency
from api.http.long_poll import job_when_ended
from api.images.corrections import fitting_corrections
from api.schemas import PageOf
from api.schemas.corrections import (
    AppliedCorrections,
    Correction,
    DiscardedCorrections,
    NewCorrections,
    SavedCorrections,
    correction_of,
    saved_corrections,
)
from api.schemas.jobs import AcceptedJob, accepted_job
from api.uploads.temporary import TemporaryFile
from core.db.tables import JobRow
from core.domain import errors
from core.services.context import Platform
from core.services.jobs import corrections
from core.services.jobs.corrections import CHANGES_NAME
from core.services.jobs.extension import StoredInput
from core.services.jobs.images import refuse_without_index
from core.services.on_commit import OnCommit
from core.services.uploads.room import UploadRoom
from core.services.views import prepared_set_of
from http_common.openapi import problem_responses


class _CorrectionId(StringConvertor):
    """So that `/corrections/apply` is no correction: it cannot be discarded."""

    regex = "correction_[0-9a-z]+"


register_url_convertor("correction_id", _CorrectionId())
router = APIRouter(prefix="/datasets/{job_id}/corrections", tags=["datasets"])

_MISSING = (errors.JobNotFound, errors.Gone)
_AGAIN = (errors.RequestInFlight, errors.IdempotencyKeyReused)
State = Annotated[Literal["draft", "applied"] | None, Query(description="Only drafts, or only those applied.")]
ImagePath = Annotated[str | None, Query(max_length=1000, description="Only that of this image, by its path.")]


@router.post(
    "",
    response_model=SavedCorrections,
    summary="Correct images of a dataset",
    responses=problem_responses(
        *_MISSING, errors.JobNotReady, errors.ImageIndexMissing, errors.CorrectionInvalid, *_AGAIN
    ),
)
def save(
    request: Request, platform: CurrentPlatform, idempotency: Idempotency, job_id: str, body: NewCorrections
) -> SavedCorrections | Response:
    """Up to 1,000 images at once, kept as drafts with author and time. All of a request are kept, or none.

    Each image has one draft: what is sent later takes its place, so a request may be sent again. Nothing of the
    dataset changes before the drafts are applied.
    """
    meaning: dict[str, Any] = body.model_dump(mode="json", by_alias=True)
    with idempotency.claimed():
        if replayed := idempotency.replay(meaning):
            return replayed
        job, dataset = prepared_set_of(platform.db, job_id)
        if dataset.index_key is None:
            refuse_without_index(platform, job, dataset)
        new = fitting_corrections(job, request.app.state.image_indexes.path_of(dataset), body)
        on_commit = idempotency.keep(saved_corrections, meaning)
        saved = corrections.save_corrections(platform.db, job_id, new, author=body.author, on_commit=on_commit)
    return saved_corrections(saved)


@router.get("", summary="List corrections", responses=problem_responses(*_MISSING, errors.CursorInvalid))
def list_corrections(
    platform: CurrentPlatform,
    job_id: str,
    state: State = None,
    image: ImagePath = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> PageOf[Correction]:
    """Of a dataset, in the order in which they were made."""
    page = corrections.list_corrections(platform.db, job_id, cursor=cursor, limit=limit, state=state, image=image)
    return PageOf(items=[correction_of(row) for row in page.items], next_cursor=page.next_cursor)


@router.delete("", summary="Discard all drafts", responses=problem_responses(*_MISSING))
def discard_all(platform: CurrentPlatform, job_id: str) -> DiscardedCorrections:
    """Those that are applied stay."""
    return DiscardedCorrections(discarded=corrections.discard_corrections(platform.db, job_id))


@router.delete(
    "/{correction_id:correction_id}",
    status_code=204,
    summary="Discard a draft",
    responses=problem_responses(*_MISSING, errors.CorrectionNotFound),
)
def discard(platform: CurrentPlatform, job_id: str, correction_id: str) -> Response:
    """One that is applied stays: 404."""
    corrections.discard_correction(platform.db, job_id, correction_id)
    return Response(status_code=204)


@router.post(
    "/apply",
    status_code=202,
    response_model=AcceptedJob,
    summary="Make the next dataset of the drafts",
    responses=problem_responses(
        *_MISSING,
        errors.JobNotExtendable,
        errors.ImageIndexMissing,
        errors.NothingToApply,
        errors.Conflict,
        errors.OutOfSpace,
        *_AGAIN,
    ),
)
async def apply(
    request: Request,
    platform: CurrentPlatform,
    idempotency: Idempotency,
    job_id: str,
    body: AppliedCorrections | None = None,
    wait: Wait = 0,
) -> AcceptedJob | Response:
    """All drafts become one revision, the next dataset of the project: no image changes its split.

    Where that is rejected, or deleted before it is ready, they are drafts again.
    """
    name = body.name if body else None
    meaning = {"name": name} if name else None
    async with idempotency.claimed_for_long():
        if replayed := idempotency.replay(meaning):
            return replayed
        on_commit = idempotency.keep(accepted_job, meaning)
        job = await run_in_threadpool(_apply, platform, job_id, name, on_commit)
    return accepted_job(await job_when_ended(request, platform.db, job, seconds=wait))


def _apply(platform: Platform, job_id: str, name: str | None, on_commit: OnCommit) -> JobRow:
    def store(key: str, content: bytes) -> StoredInput:
        file = TemporaryFile(platform.settings.temp, UploadRoom(platform).for_body(len(content)))
        try:
            file.write(content)
            file.flush()
            stored = platform.store.put(key, file.path, media_type="application/json")
        finally:
            file.remove()
        return StoredInput(stored.key, CHANGES_NAME, stored.bytes, stored.sha256)

    return corrections.apply_corrections(platform, job_id, store, name=name, on_commit=on_commit)
