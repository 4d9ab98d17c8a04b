"""The application of `python -m serving`."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from fastapi import Depends, FastAPI

from core.domain.errors import DarkroomError, ModelLoading
from core.domain.version import VERSION
from core.logging import configure_logging
from core.services.context import Platform, open_platform
from core.settings import load_settings
from http_common import openapi, problems
from http_common.methods import MethodsMiddleware, PathMethods
from http_common.metrics import Metrics, MetricsMiddleware
from http_common.middleware import RequestMiddleware
from http_common.prediction_schemas import PredictRequest
from http_common.repeated_queries import AcceptedQueries, RepeatedQueries
from http_common.unknown import refuse_unknown_parameters
from serving.drawings import Drawings
from serving.intake import Intake
from serving.large_answers import LargeAnswers
from serving.metrics import ServingMetrics
from serving.models.residency import Models
from serving.pool import Pool
from serving.protocol_errors import ProtocolErrors
from serving.routes import inference_protocol, models, predict, service
from serving.state import Serving

SUMMARY = "Predictions of exported models."
DESCRIPTION = "Images go in, boxes or classes come out, with the version that answered."
TAGS = [
    {"name": "predictions", "description": "Images to boxes or classes."},
    {"name": "models", "description": "The models in memory."},
    {
        "name": "open inference protocol",
        "description": 'The same models by the protocol of other servers. Errors are `{"error": text}`.',
    },
    {"name": "service", "description": "Liveness and readiness."},
]
OWN_LIMIT_PATHS = re.compile(r"/predict|/predict/image|/v2/.*/infer")  # images limit their bodies themselves

log = structlog.get_logger(__name__)


def create_app(platform: Platform | None = None) -> FastAPI:
    """The application over `platform`, by default the one of the environment's settings. Opens no connection."""
    if platform is None:
        settings = load_settings()
        configure_logging(settings)
        platform = open_platform(settings)
    app = _with_routes()
    app.state.platform = platform
    app.state.path_methods = PathMethods(app.routes)
    queries = app.state.image_queries = AcceptedQueries()
    app.add_middleware(RepeatedQueries, path=predict.IMAGE_PATH, endpoint=predict.answer_image, queries=queries)
    app.add_middleware(MethodsMiddleware, methods=app.state.path_methods)
    app.add_middleware(LargeAnswers)
    app.add_middleware(RequestMiddleware, settings=platform.settings, own_limits=OWN_LIMIT_PATHS)
    app.add_middleware(ProtocolErrors)
    app.state.metrics = Metrics()
    app.add_middleware(MetricsMiddleware, metrics=app.state.metrics)
    return app


def describe() -> dict[str, Any]:
    """The OpenAPI document. It does not depend on settings."""
    return _with_routes().openapi()


def _with_routes() -> FastAPI:
    app = FastAPI(
        title="Darkroom serving",
        version=VERSION,
        summary=SUMMARY,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan,
        dependencies=[Depends(refuse_unknown_parameters)],
    )
    for routes in (predict, models, inference_protocol, service):
        app.include_router(routes.router)
    problems.install(app)
    openapi.install(app, tags=TAGS, bodies=(PredictRequest,))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    platform: Platform = app.state.platform
    settings, threads = platform.settings, platform.settings.predicting_threads
    models, pool, intake = Models(platform, threads=threads), Pool(settings, threads=threads), Intake(settings)
    drawings, metrics = Drawings(threads=threads), ServingMetrics(models, pool, intake)
    serving = app.state.serving = Serving(platform, models, pool, drawings, intake, metrics, set(settings.preloaded))
    app.state.metrics.add(metrics)
    tasks = [asyncio.create_task(_preload(serving)), asyncio.create_task(models.follow_names())]
    yield
    for task in tasks:
        task.cancel()
    pool.close()
    drawings.close()
    models.close()
    platform.db.close()


async def _preload(serving: Serving) -> None:
    """Until then the service is not ready. A model that cannot be loaded does not keep it so."""
    for name in serving.platform.settings.preloaded:
        try:
            await _use_once(serving.models, name)
        except DarkroomError as error:
            log.warning("model.not_preloaded", model=name, slug=error.slug, detail=error.detail)
        serving.preloading.discard(name)


async def _use_once(models: Models, name: str) -> None:
    """However long its load takes: one that is slow goes on after a request for it was refused."""
    while True:
        with suppress(ModelLoading):
            async with models.use(name):
                return
