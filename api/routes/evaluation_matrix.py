"""The matrix of a project: its versions x datasets."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.dependencies import CurrentPlatform, Cursor, OfProject
from api.http.downloads import file_name
from api.http.reading import CurrentReads
from api.schemas.evaluation_matrix import EvaluationMatrix, matrix_of
from api.schemas.evaluations import Split
from api.web.matrix_csv import matrix_csv
from api.web.matrix_svg import CSP, matrix_svg
from core.domain import errors
from core.services.models.evaluation_matrix import MAX_VERSIONS, evaluation_matrix
from core.services.models.evaluations import DEFAULT_SPLIT
from core.storage.attachment import attachment
from http_common.openapi import problem_responses

router = APIRouter(tags=["evaluations"])

# Those of both kinds of projects: see `core.domain.evaluation_figures`.
Metric = Literal["mAP50", "mAP50-95", "precision", "recall", "f1", "accuracy"]
Format = Literal["json", "csv", "svg"]
_TYPES: dict[Format, str] = {"json": "application/json", "svg": "image/svg+xml", "csv": "text/csv"}
_MATRIX: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The matrix, as JSON, CSV or SVG.",
        "content": {_TYPES["svg"]: {"schema": {"type": "string"}}, _TYPES["csv"]: {"schema": {"type": "string"}}},
    }
}


@router.get(
    "/projects/{project}/evaluations/matrix",
    summary="Compare the versions of a project on datasets",
    response_model=EvaluationMatrix,
    responses=_MATRIX
    | problem_responses(errors.ProjectNotFound, errors.ProjectRenamed, errors.Gone, errors.CursorInvalid),
)
async def read_matrix(
    request: Request,
    platform: CurrentPlatform,
    reads: CurrentReads,
    project: OfProject,
    split: Split = DEFAULT_SPLIT,
    metric: Annotated[
        Metric | None,
        Query(description="By default mAP50, of classifiers accuracy; `metrics` lists what it may be."),
    ] = None,
    format: Annotated[
        Format | None, Query(description="By default what `Accept` asks for, JSON unless that is SVG or CSV.")
    ] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=MAX_VERSIONS, description="Number of versions.")] = MAX_VERSIONS,
) -> Response:
    """Versions x datasets with a figure in each cell: that of the newest evaluation, else what the training measured.
    Exports that were evaluated have rows of their own. A cell says how many images the model was trained on, and the
    figure without them. SVG: light or dark as the browser is, without scripts."""

    def read() -> EvaluationMatrix:
        found = evaluation_matrix(platform.db, project, split=split, metric=metric, cursor=cursor, limit=limit)
        return matrix_of(found, cursor=cursor, limit=limit)

    headers = {"vary": "accept"}
    wanted = format or _accepted(request.headers.get("accept", ""))
    if wanted == "svg":
        headers["content-security-policy"] = CSP
        return await reads.answer(lambda: matrix_svg(read()), media_type=_TYPES["svg"], headers=headers)
    if wanted == "csv":
        headers["content-disposition"] = attachment(file_name(project, "evaluations", f"{split}.csv"))
        return await reads.answer(lambda: matrix_csv(read()), media_type=_TYPES["csv"], headers=headers)
    return await reads.answer(read, headers=headers)


def _accepted(header: str) -> Format:
    return next((name for name, media_type in _TYPES.items() if name != "json" and media_type in header), "json")
