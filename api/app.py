"""The application: `uvicorn api.app:create_app --factory`, or `python -m api`."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import structlog
from fastapi import Depends, FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.staticfiles import StaticFiles

from api.http.event_poll import EventPoll
from api.http.home_poll import HomePoll
from api.http.openapi_links import add_links
from api.http.reading import Reads
from api.http.stored_metrics import StoredMetrics
from api.images.index_cache import IndexCache
from api.images.leaks import LeakCheck
from api.images.thumbnails import Thumbnails
from api.pages.areas import AREAS
from api.pages.problems import page_of_problem
from api.routes import (
    aliases,
    batch_predictions,
    bundles,
    comparisons,
    corrections,
    dataset_diff,
    dataset_exports,
    dataset_images,
    datasets,
    evaluation_matrix,
    evaluations,
    exports,
    formats,
    images,
    imports,
    jobs,
    lineage,
    model_imports,
    models,
    operations,
    predictions,
    projects,
    repair,
    runs,
    service,
    sessions,
    storage,
    test_sets,
    training,
    uploads,
    workers,
)
from api.schemas.batch_predictions import NewBatch
from api.uploads.finisher import Finisher
from api.uploads.temporary import remove_dead_files
from api.web.pages import STATIC
from core.domain.version import VERSION
from core.logging import configure_logging
from core.services.context import Platform, open_platform
from core.services.maintenance.readiness import Readiness
from core.services.sessions.commands import find_session
from core.settings import load_settings
from http_common import openapi, problems
from http_common.methods import MethodsMiddleware, PathMethods
from http_common.metrics import Metrics, MetricsMiddleware
from http_common.middleware import RequestMiddleware
from http_common.prediction_schemas import PredictRequest
from http_common.repeated_queries import AcceptedQueries, RepeatedQueries
from http_common.sessions import Sessions
from http_common.unknown import refuse_unknown_parameters

_ROUTES = (
    *(
        projects,
        test_sets,
        datasets,
        corrections,
        imports,
        images,
        dataset_images,
        dataset_exports,
        dataset_diff,
        uploads,
        formats,
        jobs,
        repair,
    ),
    *(
        predictions,
        batch_predictions,
        training,
        runs,
        models,
        model_imports,
        exports,
        bundles,
        evaluations,
        evaluation_matrix,
        comparisons,
    ),
    *(aliases, lineage, storage, operations, workers, sessions, service),
)
TAGS = [
    {"name": "datasets", "description": "Upload a ZIP and have it validated, converted and fingerprinted."},
    {"name": "projects", "description": "Lines of models over many datasets."},
    {"name": "training", "description": "Train on a ready job; follow, stop or cancel a run."},
    {"name": "models", "description": "Published versions, their artifacts, and the aliases that point at them."},
    {
        "name": "exports",
        "description": "Files that run without a framework, each with a certificate.",
    },
    {
        "name": "evaluations",
        "description": "Versions and exports on any dataset of the same kind, and the matrix of both.",
    },
    {"name": "predictions", "description": "Images to boxes or classes, by exported models."},
    {"name": "operations", "description": "Work in the background that is neither a job nor a run."},
    {"name": "service", "description": "Liveness, readiness and the explanation of problems."},
]
CONCURRENT_PREFLIGHTS = 2  # each runs a process
CLEAN_SECONDS = 300.0
# These routes limit their bodies themselves.
OWN_LIMIT_PATHS = re.compile(
    r"/upload-dataset|/preflight|/uploads(/.*)?|/projects/[^/]+/versions|/predict|/predict/image|/predict/batch"
)
TUS_PATHS = re.compile(r"/uploads(/.*)?")
OPEN_PAGES = re.compile(r"/ui/login|/ui/assets/.*")
SUMMARY = "Labelled images go in, models come out."
DESCRIPTION = """Upload a ZIP and get a `job_id`; from then on every step is asynchronous, recorded, resumable and
immutable.

Every error is an [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem; its `type` is the address of a page that
explains what to do. Every answer has an `X-Request-ID`. Lists are `{items, next_cursor}`. A POST with an
`Idempotency-Key` is done once, and its answer is replayed for 24 hours. A query parameter, form field or JSON field
that is not known is refused by name.

Every path with GET answers HEAD, every path answers OPTIONS with `Allow`. Any request can be refused before it
reaches its endpoint: 405 with `Allow`, 414 (URL above 8 KiB), 431 (headers above 32 KiB or 100), 408 (head or body
stopped arriving)."""


log = structlog.get_logger(__name__)


def create_app(platform: Platform | None = None) -> FastAPI:
    """The application over `platform`, by default the one of the environment's settings. Opens no connection."""
    if platform is None:
        settings = load_settings()
        configure_logging(settings)
        platform = open_platform(settings)
    app = _with_routes()
    app.state.platform = platform
    app.state.problem_page = page_of_problem
    app.state.readiness = Readiness(platform)
    app.state.event_poll = EventPoll(platform.db)
    app.state.home_poll = HomePoll(platform.db)
    app.state.reads = Reads(platform.db)
    app.state.image_indexes = IndexCache(platform)
    app.state.leaks = LeakCheck(platform, app.state.image_indexes)
    app.state.path_methods = PathMethods(app.routes)
    queries = app.state.image_queries = AcceptedQueries()
    app.add_middleware(
        RepeatedQueries, path=predictions.IMAGE_PATH, endpoint=predictions.pass_on_image, queries=queries
    )
    app.add_middleware(MethodsMiddleware, methods=app.state.path_methods)
    app.state.sessions = Sessions(partial(find_session, platform.db, platform.settings))
    app.add_middleware(
        RequestMiddleware,
        settings=platform.settings,
        own_limits=OWN_LIMIT_PATHS,
        tus=TUS_PATHS,
        sessions=app.state.sessions,
        open_pages=OPEN_PAGES,
    )
    app.state.metrics = Metrics(StoredMetrics(platform))
    app.add_middleware(MetricsMiddleware, metrics=app.state.metrics)
    return app


def describe() -> dict[str, Any]:
    """The OpenAPI document. It does not depend on settings."""
    return _with_routes().openapi()


def _with_routes() -> FastAPI:
    app = FastAPI(
        title="Darkroom",
        version=VERSION,
        summary=SUMMARY,
        description=DESCRIPTION,
        docs_url=None,  # FastAPI's page loads Swagger UI from a content delivery network; /docs serves it itself
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan,
        dependencies=[Depends(refuse_unknown_parameters)],
    )
    for routes in (*_ROUTES, *AREAS):
        app.include_router(routes.router)
    app.mount("/assets/swagger", StaticFiles(packages=[("fastapi_swagger", "resources")]))
    app.mount("/assets", StaticFiles(directory=STATIC))
    problems.install(app)
    openapi.install(app, tags=TAGS, bodies=(PredictRequest, NewBatch), complete=add_links)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    platform: Platform = app.state.platform
    platform.settings.temp.mkdir(parents=True, exist_ok=True)
    app.state.preflights = asyncio.Semaphore(CONCURRENT_PREFLIGHTS)
    app.state.finisher = Finisher(platform)
    app.state.thumbnails = Thumbnails(platform)
    app.state.upstreams = predictions.upstreams_of(platform.settings.serving_links)
    tasks = [asyncio.create_task(app.state.finisher.resume()), asyncio.create_task(_keep_clean(platform))]
    yield
    for task in tasks:
        task.cancel()
    for upstream in app.state.upstreams:
        upstream.close()
    await run_in_threadpool(app.state.thumbnails.close)
    platform.db.close()


async def _keep_clean(platform: Platform) -> None:
    """Housekeeping may run on another machine: what a killed process of the API left here is removed here."""
    while True:
        try:
            await run_in_threadpool(platform.db.keep_reserve)
            for path in await run_in_threadpool(remove_dead_files, platform.settings):
                log.info("leftover.removed", name=path.name)
        except Exception:  # tried again in the next round
            log.exception("leftovers.not_removed")
        await asyncio.sleep(CLEAN_SECONDS)
