"""What this service is, whether it lives, and whether it is ready."""

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse, Response

from core.domain.errors import ModelLoading
from http_common.metrics import Metrics
from http_common.openapi import NO_TOKEN, problem_responses
from serving.state import CurrentServing

router = APIRouter(tags=["service"])


class Service(BaseModel):
    name: str = Field(examples=["darkroom serving"])
    version: str
    description: str
    links: dict[str, str]


class Health(BaseModel):
    """The process is alive."""

    state: Literal["ok"] = "ok"


class Ready(BaseModel):
    """The database answers, and DARKROOM_SERVING_PRELOAD was loaded, or failed. `models`: how many are in memory."""

    state: Literal["ok"] = "ok"
    models: int


@router.get("/", summary="Describe this service")
async def front(request: Request) -> Service:
    app = request.app
    links = {"predict": "/predict", "image": "/predict/image", "models": "/models", "readiness": "/ready"}
    links |= {"open inference protocol": "/v2", "openapi": "/openapi.json", "metrics": "/metrics"}
    return Service(name="darkroom serving", version=app.version, description=app.summary, links=links)


@router.get("/health", summary="Check that the service is alive", openapi_extra=NO_TOKEN)
async def health() -> Health:
    return Health()


@router.get(
    "/ready", summary="Check that it is ready", responses=problem_responses(ModelLoading), openapi_extra=NO_TOKEN
)
async def ready(serving: CurrentServing) -> Ready:
    await serving.require_ready()
    return Ready(models=len(serving.models.all()))


@router.get("/openapi.json", include_in_schema=False)
async def document(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = request.app.openapi()
    return found


@router.get("/metrics", summary="Read the metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """For Prometheus."""
    found: Metrics = request.app.state.metrics
    content, media_type = found.text(request.headers.get("accept", ""))
    return Response(content, media_type=None, headers={"content-type": media_type})
