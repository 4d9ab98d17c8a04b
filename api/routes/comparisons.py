"""Two versions of a project on its frozen test set."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api.dependencies import CurrentPlatform, OfProject, Wait
from api.http.long_poll import read_when_settled
from api.routes.models import MISSING
from api.schemas.comparisons import Comparison, comparison_of
from api.schemas.evaluations import Split
from core.domain import errors
from core.services.models.comparisons import VersionComparison, compare_versions
from http_common.openapi import problem_responses

router = APIRouter(tags=["evaluations"])

_WAITS: dict[int | str, dict[str, Any]] = {
    202: {"model": Comparison, "description": "An evaluation is being made: `operations`. Ask again after those."}
}
Version = Annotated[str, Query(max_length=160, description="`v1`, `@production`, or another name of a model.")]


@router.get(
    "/projects/{project}/compare",
    summary="Compare two versions on the frozen test set",
    responses=_WAITS
    | problem_responses(
        *MISSING,
        errors.AliasNotFound,
        errors.AliasElsewhere,
        errors.NoTestSet,
        errors.JobNotReady,
        errors.EvaluationKindMismatch,
    ),
)
async def compare(
    request: Request,
    response: Response,
    platform: CurrentPlatform,
    project: OfProject,
    a: Version,
    b: Version,
    job_id: Annotated[
        str | None, Query(max_length=80, description="Another dataset: its `job_id`, `raccoons/d2` or `d2`.")
    ] = None,
    split: Split = "test",
    wait: Wait = 0,
) -> Comparison:
    """Figures side by side, with what differs in data and params. An evaluation that is missing is queued: then the
    answer is 202 with its operation."""
    read = partial(compare_versions, platform, project, first=a, second=b, dataset=job_id, split=split)
    found = await read_when_settled(request, platform.db, read, _waits_for, seconds=wait)
    if None in (found.first.evaluation, found.second.evaluation):
        response.status_code = 202
    return comparison_of(found)


def _waits_for(found: VersionComparison) -> str | None:
    waiting = (each.operation for each in (found.first, found.second) if each.evaluation is None)
    return next((each.id for each in waiting if each.finished_at is None), None)
