"""Try it: what one version, or two, answer for an image or for the frames of a camera."""

import asyncio
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response

from api.dependencies import CurrentPlatform
from api.pages.drawn_images import BOXES_DRAWN, DrawnImage, drawn_image
from api.pages.model_choice import ModelChoice, model_choice, offered_projects
from api.pages.rendering import render
from core.domain.errors import Gone, JobNotReady, NotFound, OutOfSpace, Unavailable
from core.services.context import Platform
from core.services.projects.covers import newest_ready_jobs
from core.services.projects.test_sets import find_test_set
from core.services.views import prepared_set_of
from http_common.problems import problem_of
from http_common.remote_images import fetch_image, urls_refused
from pipeline.index.read import Selection, read_page
from pipeline.predictor.tile_options import MAX_TILE, MIN_TILE

router = APIRouter(prefix="/ui/predict", include_in_schema=False)

SAMPLES = 12
_SAMPLED = ("test", "val", "train")  # the first split that has images: a model has not seen those of test
_FETCHED_AT_ONCE = asyncio.Semaphore(4)

Name = Annotated[str, Query(max_length=200)]


@router.get("")
def predict(
    request: Request, platform: CurrentPlatform, model: Name = "", beside: Name = "", project: Name = ""
) -> HTMLResponse:
    """`beside`: a second model, for the same images. `project`: whose model is offered, where none is named."""
    choices: list[ModelChoice] = []
    problem: dict[str, Any] | None = None
    status = 200
    offered = offered_projects(platform.db)
    wanted = model or project or next(iter(offered), "")
    try:
        choices = [model_choice(platform, name) for name in (wanted, beside) if name]
    except (NotFound, Gone) as error:
        problem = problem_of(error, path=request.url.path, request_id=request.state.request_id)
        status = int(problem["status"])
    return render(
        request,
        "predict/predict.html",
        status,
        nav="try",
        problem=problem,
        choices=choices,
        projects=list(dict.fromkeys([*(each.project for each in choices if each.project not in offered), *offered])),
        samples=_samples(request, platform, choices[0]) if choices else (None, "", []),
        are_urls_allowed=bool(platform.settings.allowed_image_hosts),
        needs_token=bool(platform.settings.api_token.get_secret_value()),
        tile_sides=(MIN_TILE, MAX_TILE),
    )


@router.get("/image")
async def fetched_image(platform: CurrentPlatform, url: Annotated[str, Query(max_length=4000)]) -> Response:
    """The bytes at `url`, for the page to draw on: its own policy keeps it from other hosts. Raises ImageUrlRefused."""
    settings = platform.settings
    if not settings.allowed_image_hosts:
        raise urls_refused(url)
    async with _FETCHED_AT_ONCE:
        content = await fetch_image(
            url,
            hosts=settings.allowed_image_hosts,
            networks=settings.named_networks,
            max_bytes=settings.image_max_bytes,
            seconds=settings.image_seconds,
        )
    headers = {"cache-control": "no-store", "content-disposition": "attachment", "x-content-type-options": "nosniff"}
    return Response(content, headers=headers, media_type="application/octet-stream")


def _samples(request: Request, platform: Platform, choice: ModelChoice) -> tuple[str | None, str, list[DrawnImage]]:
    """The id of the job, the split, images of it: of the frozen test set, else of what the version was trained on."""
    frozen = find_test_set(platform.db, choice.row.project_id)
    job_id = frozen.job_id if frozen else choice.row.job_id
    job_id = job_id or newest_ready_jobs(platform.db, [choice.row.project_id]).get(choice.row.project_id)
    if job_id is None:
        return None, "", []
    with suppress(NotFound, Gone, JobNotReady, Unavailable, OutOfSpace):
        job, dataset = prepared_set_of(platform.db, job_id)
        if dataset.index_key is not None:
            index = request.app.state.image_indexes.path_of(dataset)
            for split in _SAMPLED:
                page = read_page(index, Selection(split=split), after=None, limit=SAMPLES, boxes=BOXES_DRAWN)
                if page.images:
                    return job_id, split, [drawn_image(job, image) for image in page.images]
    return None, "", []
