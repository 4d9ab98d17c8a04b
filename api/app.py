"""The application: `uvicorn api.app:create_app --factory`, or `python -m api`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from api.http import openapi, problems
from api.http.middleware import EveryRequest
from api.routes import datasets, formats, images, imports, jobs, models, repair, runs, service, training, uploads
from api.uploads.body import remove_leftovers
from api.uploads.finisher import Finisher
from api.web.pages import STATIC
from core.domain.version import VERSION
from core.logging import configure_logging
from core.services.context import Platform, open_platform
from core.services.maintenance.readiness import Readiness
from core.settings import Settings, load_settings

PREFLIGHTS_AT_ONCE = 2  # each is a process
SUMMARY = "Labelled images go in, models come out."
DESCRIPTION = """Upload a ZIP and get a `job_id`; from then on every step is asynchronous, recorded, resumable and
immutable.

Every error is an [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem whose `type` leads to a page that says
what to do. Every answer has an `X-Request-ID`. Lists are `{items, next_cursor}`. A POST with an `Idempotency-Key`
is done once, and its answer is given again for 24 hours."""


def create_app(platform: Platform | None = None) -> FastAPI:
    """Nothing is connected before the first request. Without a `platform`: the one the environment describes."""
    if platform is None:
        settings = load_settings()
        configure_logging(settings)
        platform = open_platform(settings)
    app = _routed()
    app.state.platform = platform
    app.state.readiness = Readiness(platform)
    token = platform.settings.api_token.get_secret_value()
    app.add_middleware(EveryRequest, token=token, hosts=_names_of(platform.settings))
    return app


def _names_of(settings: Settings) -> frozenset[str]:
    """Without a token the network is the only guard: then only loopback's names, and the public one, are answered."""
    if settings.allow_open or settings.api_token.get_secret_value():
        return frozenset()
    public = urlsplit(settings.public_url).hostname
    return frozenset({"localhost", "127.0.0.1", "[::1]", settings.api_host, *([public] if public else [])})


def describe() -> dict[str, Any]:
    """The OpenAPI document; it does not depend on settings."""
    return _routed().openapi()


def _routed() -> FastAPI:
    app = FastAPI(
        title="Darkroom",
        version=VERSION,
        summary=SUMMARY,
        description=DESCRIPTION,
        docs_url=None,  # ours are local: no content delivery network
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan,
    )
    for routes in (datasets, imports, images, uploads, formats, jobs, repair, training, runs, models, service):
        app.include_router(routes.router)
    app.mount("/assets/swagger", StaticFiles(packages=[("fastapi_swagger", "resources")]))
    app.mount("/assets", StaticFiles(directory=STATIC))
    problems.install(app)
    openapi.install(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    platform: Platform = app.state.platform
    platform.settings.temp.mkdir(parents=True, exist_ok=True)
    remove_leftovers(platform.settings)
    app.state.preflights = asyncio.Semaphore(PREFLIGHTS_AT_ONCE)
    app.state.finisher = Finisher(platform)
    resuming = asyncio.create_task(app.state.finisher.resume())
    yield
    resuming.cancel()
    platform.db.close()
