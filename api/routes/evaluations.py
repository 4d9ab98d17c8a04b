"""Evaluations of versions and exports on datasets: requested, listed, read, deleted."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import PAGE, AsLink, CurrentPlatform, Cursor, Limit, ProjectFilter, Wait
from api.http.downloads import NEVER_CHANGES, StoredFile, file_name, send_stored
from api.http.idempotency import Idempotency
from api.http.long_poll import wait_until_ended
from api.http.reading import CurrentReads
from api.routes.models import MISSING
from api.schemas import PageOf
from api.schemas.evaluations import (
    Evaluation,
    EvaluationDetail,
    NewEvaluation,
    Split,
    evaluation_detail,
    evaluation_of,
)
from api.schemas.links import link
from api.schemas.operations import Operation, requested_operation, status_of_requested
from core.domain import errors
from core.domain.media_types import ARTIFACT_TYPES
from core.services.models import evaluations
from core.services.models.evaluation_overviews import evaluation_overviews
from core.services.models.evaluations import request_evaluation
from core.services.operations.commands import get_operation
from http_common.openapi import file_responses, problem_responses

router = APIRouter(prefix="/evaluations", tags=["evaluations"])

_MODEL = (*MISSING, errors.AliasNotFound, errors.AliasElsewhere)
_QUEUED: dict[int | str, dict[str, Any]] = {
    200: {"model": Operation, "description": "It is being made, or was made before."}
}
_ONE = (errors.EvaluationNotFound, errors.Gone)


@router.post(
    "",
    status_code=202,
    response_model=Operation,
    summary="Evaluate a version or an export on a dataset",
    responses=_QUEUED
    | problem_responses(
        *_MODEL,
        errors.ExportNotFound,
        errors.ExportNotPassed,
        errors.JobNotReady,
        errors.EvaluationKindMismatch,
        errors.RequestInFlight,
        errors.IdempotencyKeyReused,
    ),
)
async def evaluate(
    request: Request,
    response: Response,
    platform: CurrentPlatform,
    idempotency: Idempotency,
    body: NewEvaluation,
    wait: Wait = 0,
) -> Operation | Response:
    """Any version or export on any dataset of the same kind, with the full report. Classes are matched by name. Images
    that the version or its parents were trained on are named, and the figures are given with and without them.

    The answer is an operation, whose result names the evaluation. The same request again is answered with the operation
    that makes it, or has made it.
    """
    meaning = body.model_dump(mode="json")
    async with idempotency.claimed_for_long():
        if replayed := idempotency.replay(meaning):
            return replayed
        on_commit = idempotency.keep(requested_operation, meaning, status_of=status_of_requested)
        requested = await run_in_threadpool(
            lambda: request_evaluation(platform, body.as_request(), on_commit=on_commit)
        )
    response.status_code = status_of_requested(requested)
    await wait_until_ended(request, platform.db, requested.operation.id, seconds=wait)
    ended = await run_in_threadpool(get_operation, platform.db, requested.operation.id)
    return requested_operation(requested._replace(operation=ended))


@router.get(
    "",
    summary="List evaluations",
    response_model=PageOf[Evaluation],
    responses=problem_responses(errors.CursorInvalid, *_MODEL),
)
async def list_evaluations(
    platform: CurrentPlatform,
    reads: CurrentReads,
    project: ProjectFilter = None,
    version: Annotated[str | None, Query(max_length=160, description="A model, such as `raccoons/v3`.")] = None,
    export: Annotated[str | None, Query(max_length=80, description="The id of an export.")] = None,
    job_id: Annotated[
        str | None, Query(max_length=80, description="The dataset: a `job_id`, or `raccoons/d2`.")
    ] = None,
    split: Split | None = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> Response:
    """Newest first. `project` is that of the version."""

    def read() -> PageOf[Evaluation]:
        page = evaluations.list_evaluations(
            platform.db,
            cursor=cursor,
            limit=limit,
            project=project,
            version=version,
            export=export,
            job_id=job_id,
            split=split,
        )
        found = evaluation_overviews(platform.db, page.items)
        return PageOf(items=[evaluation_of(each) for each in found], next_cursor=page.next_cursor)

    return await reads.answer(read)


@router.get(
    "/{evaluation_id}",
    summary="Read an evaluation",
    response_model=EvaluationDetail,
    responses=problem_responses(*_ONE),
)
async def get_evaluation(platform: CurrentPlatform, reads: CurrentReads, evaluation_id: str) -> Response:
    """Its figures, with and without images that the model was trained on, and its files."""

    def read() -> EvaluationDetail:
        row = evaluations.get_evaluation(platform.db, evaluation_id)
        (overview,) = evaluation_overviews(platform.db, [row])
        return evaluation_detail(overview, evaluations.artifacts_of_evaluation(platform.db, row.id))

    return await reads.answer(read)


@router.delete("/{evaluation_id}", status_code=204, summary="Delete an evaluation", responses=problem_responses(*_ONE))
def delete_evaluation(platform: CurrentPlatform, evaluation_id: str) -> None:
    """With its files. The same can be made again."""
    evaluations.delete_evaluation(platform.db, evaluation_id)


@router.head("/{evaluation_id}/artifacts/{name}", include_in_schema=False)
@router.get(
    "/{evaluation_id}/artifacts/{name}",
    summary="Download a file of an evaluation",
    response_class=Response,
    responses=file_responses(*ARTIFACT_TYPES) | problem_responses(*_ONE, errors.ArtifactNotFound, errors.RangeInvalid),
)
def get_evaluation_artifact(
    request: Request, platform: CurrentPlatform, evaluation_id: str, name: str, as_link: AsLink = False
) -> Response:
    """`report.html`, `report.xlsx`, `metrics.json`, `predictions.csv` or an image."""
    found = evaluations.find_evaluation_artifact(platform.db, evaluation_id, name)
    (about,) = evaluation_overviews(platform.db, [evaluations.get_evaluation(platform.db, evaluation_id)])
    parts = (about.project, f"v{about.number}", f"d{about.revision}", about.row.split, found.name)
    return send_stored(
        request,
        platform.store,
        StoredFile(found.key, found.bytes, found.sha256, found.media_type, file_name=file_name(*parts)),
        cache=NEVER_CHANGES,
        location=link(f"/evaluations/{evaluation_id}/artifacts/{name}"),
        as_link=as_link,
    )
