"""The entry, liveness, readiness, the explanation of problems, and the API documentation."""

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from api.schemas import Timestamp
from api.schemas.jobs import timestamp
from api.web.pages import docs_page, problem_page, problem_text, wants_html
from core.domain import errors
from core.services.maintenance.readiness import Readiness, ReadinessReport
from http_common.metrics import Metrics
from http_common.openapi import NO_TOKEN, problem_responses
from http_common.problems import problem_response, status_of

router = APIRouter(tags=["service"])


class Service(BaseModel):
    """The name, version and entry points of the service."""

    name: str = Field(examples=["darkroom"])
    version: str = Field(examples=["0.1.0"])
    description: str
    links: dict[str, str]


class Health(BaseModel):
    """The process is alive."""

    state: Literal["ok"] = "ok"


class CheckItem(BaseModel):
    """The state of a part of the service."""

    state: Literal["ok", "degraded", "failed"]
    seconds: float = Field(examples=[0.0021])
    detail: str = Field(examples=["answers"])


class Ready(BaseModel):
    """`degraded`: requests are accepted, but jobs, runs and operations may be delayed. `failed`: the status is 503."""

    state: Literal["ok", "degraded", "failed"]
    checks: dict[str, CheckItem] = Field(description="By part: `database`, `broker`, `store`, `mlflow`, `worker`.")
    checked_at: Timestamp


class ProblemPage(BaseModel):
    """The meaning of a problem and what to do about it."""

    slug: str = Field(examples=["job-not-ready"])
    title: str
    status: int = Field(examples=[409])
    text: str = Field(description="Markdown.")


@router.get("/", summary="Describe this service", response_model=Service)
def front(request: Request) -> Any:
    """JSON for programs; browsers are sent to the pages."""
    app = request.app
    links = {
        "documentation": "/docs",
        "openapi": "/openapi.json",
        "projects": "/projects",
        "jobs": "/jobs",
        "runs": "/runs",
        "models": "/models",
        "operations": "/operations",
        "trainers": "/trainers",
        "readiness": "/ready",
    }
    settings = app.state.platform.settings
    if settings.mlflow_link:
        links["mlflow"] = settings.mlflow_link
    if wants_html(request):
        return RedirectResponse("/ui/", status_code=303, headers={"vary": "accept"})
    return Service(name="darkroom", version=app.version, description=app.summary, links=links)


@router.get("/health", summary="Check that the service is alive", openapi_extra=NO_TOKEN)
def health() -> Health:
    """Answers as long as the process runs; checks no other part."""
    return Health()


@router.get(
    "/ready",
    summary="Check that the service is ready",
    response_model=Ready,
    responses=problem_responses(),
    openapi_extra=NO_TOKEN,
)
def ready(request: Request) -> Any:
    """503 when the database or the store fails; a failure of another part makes it `degraded`. Cached for 10 s."""
    readiness: Readiness = request.app.state.readiness
    report = _ready(readiness.report())
    if report.state != "failed":
        return report
    failed = ", ".join(name for name, check in report.checks.items() if check.state == "failed")
    problem = errors.Unavailable(f"The service is not ready; failed: {failed}.", **report.model_dump(mode="json"))
    return problem_response(problem, request)


@router.get(
    "/metrics",
    summary="Read the metrics",
    response_class=PlainTextResponse,
    response_description="The text format of Prometheus, or OpenMetrics where `Accept` asks for it.",
    responses=problem_responses(),
)
def read_metrics(request: Request) -> Response:
    """For Prometheus: requests to this process, queues, endings of work, its stages, disks, workers, MLflow."""
    metrics: Metrics = request.app.state.metrics
    text, media_type = metrics.text(request.headers.get("accept", ""))
    return Response(text, media_type=None, headers={"content-type": media_type})


@router.get(
    "/problems/{slug}",
    summary="Explain a problem",
    response_model=ProblemPage,
    responses=problem_responses(errors.NotFound),
)
def explain_problem(request: Request, slug: str) -> Any:
    """The address in the `type` of every problem. JSON for programs, an HTML page for browsers."""
    known = {kind.slug: kind for kind in errors.all_errors()}
    if slug not in known:
        raise errors.NotFound(f"There is no problem called {slug[:80]!r}.", requested=slug[:80])
    kind = known[slug]
    text = problem_text(slug) or f"# {kind.title}\n\n`{slug}` · HTTP {status_of(kind)}\n"
    if wants_html(request):
        return problem_page(kind.title, text)
    return ProblemPage(slug=slug, title=kind.title, status=status_of(kind), text=text)


@router.get("/docs", include_in_schema=False)
def docs() -> HTMLResponse:
    return docs_page()


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request) -> dict[str, Any]:
    """Where a token is set, the document says that it is needed."""
    document: dict[str, Any] = request.app.openapi()
    needed = request.app.state.platform.settings.api_token.get_secret_value()
    return document | {"security": [{"token": []}]} if needed else document


@router.get("/favicon.ico", include_in_schema=False)
def favicon() -> Response:
    return Response(status_code=204)


def _ready(report: ReadinessReport) -> Ready:
    checks = {
        name: CheckItem(state=check.state, seconds=check.seconds, detail=check.detail)
        for name, check in report.checks.items()
    }
    return Ready(state=report.state, checks=checks, checked_at=timestamp(report.checked_at))
