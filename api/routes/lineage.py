"""Where the versions of a project come from."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.dependencies import CurrentPlatform, OfProject
from api.http.reading import CurrentReads
from api.schemas.lineage import Lineage, lineage_of
from api.web.lineage_svg import lineage_svg
from api.web.svg_style import CSP
from core.domain import errors
from core.services.projects.lineage import lineage_rows
from http_common.openapi import problem_responses

router = APIRouter(tags=["projects"])

DEFAULT_ROWS, MAX_ROWS = 500, 1000  # 1,000 rows take 0.4 s, and their drawing is up to 60,000 pixels high
SVG = "image/svg+xml"
_DRAWN: dict[int | str, dict[str, Any]] = {
    200: {"description": "The graph, as JSON or as SVG.", "content": {SVG: {"schema": {"type": "string"}}}}
}


@router.get(
    "/projects/{project}/lineage",
    summary="Read the lineage of a project",
    response_model=Lineage,
    responses=_DRAWN
    | problem_responses(errors.ProjectNotFound, errors.ProjectRenamed, errors.Gone, errors.CursorInvalid),
)
async def read_lineage(
    request: Request,
    platform: CurrentPlatform,
    reads: CurrentReads,
    project: OfProject,
    runs: Annotated[
        Literal["folded", "all"],
        Query(description="`folded`: failed and cancelled runs are counted in the node of their dataset."),
    ] = "folded",
    format: Annotated[
        Literal["json", "svg"] | None, Query(description="By default what `Accept` asks for, JSON unless that is SVG.")
    ] = None,
    first: Annotated[str | None, Query(alias="from", max_length=60, description="`next_from` of another page.")] = None,
    limit: Annotated[
        int, Query(ge=1, le=MAX_ROWS, description="Number of datasets, runs and versions, the newest ones.")
    ] = DEFAULT_ROWS,
) -> Response:
    """Datasets, runs, versions and aliases with what each was made from. A deleted one is kept as a trace.

    SVG with `?format=svg`, or with `Accept: image/svg+xml`: light or dark as the browser is, without scripts. What is
    older than the newest `limit` is left out; `truncated` says so, and `?from=` with `next_from` continues.
    """

    def read() -> Lineage:
        rows = lineage_rows(platform.db, project, limit=limit, first=first)
        return lineage_of(rows, all_runs=runs == "all", limit=limit, first=first)

    headers = {"vary": "accept"}
    if format == "svg" or (format is None and SVG in request.headers.get("accept", "")):
        headers["content-security-policy"] = CSP
        return await reads.answer(lambda: lineage_svg(read()), media_type=SVG, headers=headers)
    return await reads.answer(read, headers=headers)
