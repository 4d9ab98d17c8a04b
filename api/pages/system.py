"""The state of the installation: checks, queues, workers, work, disks, serving, sessions; the list of operations."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse

from api.dependencies import CurrentPlatform, Cursor
from api.http.page_stream import HOME, position_in
from api.http.upstream import ConnectionFailed, NotConnected, Upstream
from api.pages.rendering import mlflow_url, render
from api.pages.work_items import WorkItem, operation_item, work_items
from api.schemas.operations import Operation, operation_of
from api.schemas.sessions import session_of
from api.schemas.workers import worker_item
from core.db.tables import OperationRow
from core.domain.states import JobState, RunState
from core.queue import ROLES
from core.services.context import Platform
from core.services.jobs.commands import list_jobs
from core.services.maintenance.figures import Figures, read_figures
from core.services.maintenance.readiness import Readiness
from core.services.operations import commands as operations
from core.services.projects.lookup import slugs_of
from core.services.runs.commands import list_runs
from core.services.sessions.commands import list_sessions
from core.services.uploads.room import UploadRoom
from core.services.work.active import active_work
from core.services.work.locks import list_workers
from http_common.prediction_schemas import ModelsInMemory

router = APIRouter(prefix="/ui", include_in_schema=False)

PAGE = 30
WORK_LISTED = 20  # of each kind
FAILURES = 5  # of each kind
WORKERS, SESSIONS = 100, 50
SERVING_SECONDS = 1.5  # one that does not answer must not keep the page
STATES = [str(state) for state in RunState]

# As `darkroom doctor` says it, which may run where the service does not (client/src/darkroom/cli/checkup/remote.py).
REMEDIES: Mapping[str, str] = {
    "database": "Check DARKROOM_DATABASE_URL and the log of the API.",
    "store": "Check DARKROOM_STORE_URL, its access keys and its free space.",
    "broker": "Start it, or check DARKROOM_BROKER_URL. Until then workers poll the database.",
    "mlflow": "Start it, or check DARKROOM_MLFLOW_URL. The mirror catches up later.",
    "worker": "Start what is missing: `make up` starts all; one is `python -m worker ROLE`.",
    "serving": "Start it with `python -m serving`, or check DARKROOM_SERVING_URL.",
}


@dataclass(frozen=True, slots=True)
class Check:
    """`state`: ok, degraded or failed; `remedy`: empty where it is ok."""

    name: str
    state: str
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Queue:
    """Of one role: rows that wait, the seconds that the oldest has waited, rows that are worked on, workers alive."""

    role: str
    waiting: int
    oldest_seconds: float
    active: int
    workers: int


@dataclass(frozen=True, slots=True)
class Disk:
    name: str
    free_bytes: int
    promised_bytes: int
    reserve_bytes: int


@dataclass(frozen=True, slots=True)
class Failure:
    title: str
    href: str
    problem: Mapping[str, Any]
    at: datetime | None


@dataclass(frozen=True, slots=True)
class ServingStanding:
    """One process of serving; `models` is None where it does not answer."""

    url: str
    models: ModelsInMemory | None
    detail: str


@router.get("/system")
async def show_system(request: Request, platform: CurrentPlatform) -> HTMLResponse:
    """Where the database does not answer, this page does not either, but for its problem. Raises Unavailable."""
    values, serving = await asyncio.gather(run_in_threadpool(_read, request, platform), _serving(request))
    checks = [*values.pop("checks"), *(_serving_check(each) for each in serving)]
    return await run_in_threadpool(
        render, request, "system/system.html", nav="system", checks=checks, serving=serving, **values
    )


@router.get("/operations")
def list_operations(
    request: Request,
    platform: CurrentPlatform,
    state: RunState | Literal[""] | None = None,
    kind: Annotated[str, Query(max_length=40)] = "",
    project: Annotated[str, Query(max_length=80)] = "",
    cursor: Cursor = None,
) -> HTMLResponse:
    """Newest first. Raises ProjectNotFound, Gone, CursorInvalid."""
    db = platform.db
    position = position_in(request, db, [HOME])
    page = operations.list_operations(
        db, cursor=cursor, limit=PAGE, state=state or None, kind=kind or None, project=project or None
    )
    slugs = slugs_of(db, {row.project_id for row in page.items if row.project_id})
    return render(
        request,
        "system/operations.html",
        nav="system",
        position=position,
        operations=[_described(row, slugs) for row in page.items],
        next_cursor=page.next_cursor,
        states=STATES,
        chosen={"state": state or "", "kind": kind, "project": project},
        is_filtered=bool(state or kind or project),
    )


def _described(row: OperationRow, slugs: Mapping[str, str]) -> tuple[Operation, WorkItem]:
    return operation_of(row, slugs), operation_item(row, slugs.get(row.project_id or ""))


def _read(request: Request, platform: Platform) -> dict[str, Any]:
    db, settings = platform.db, platform.settings
    position = position_in(request, db, [HOME])
    readiness: Readiness = request.app.state.readiness
    report = readiness.report()
    work = active_work(db, limit=WORK_LISTED)
    items = work_items(db, work)
    workers = list_workers(db, cursor=None, limit=WORKERS)
    figures = read_figures(platform)
    sessions = list_sessions(db, settings, cursor=None, limit=SESSIONS).items
    return {
        "position": position,
        "state": report.state,
        "checked_at": report.checked_at,
        "checks": [
            Check(name, each.state, each.detail, "" if each.state == "ok" else REMEDIES.get(name, ""))
            for name, each in report.checks.items()
        ],
        "queues": _queues(figures),
        "mirror": figures.mirror,
        "workers": [worker_item(row) for row in workers.items],
        "more_workers": workers.next_cursor is not None,
        "works_on": _works_on([*work.jobs, *work.runs, *work.operations], items),
        "moving": items,
        "more_moving": work.more,
        "failures": _failures(platform),
        "disks": _disks(platform),
        "places": {
            "Database": db.engine.dialect.name,
            "Store": "a folder of this machine" if settings.store_folder is not None else "S3",
            "Broker": "a task queue" if settings.broker_url else "none: workers poll the database",
        },
        "mlflow_page": mlflow_url(request, settings.mlflow_link),
        "has_token": bool(settings.api_token.get_secret_value()),
        "sessions": [session_of(row, current=getattr(request.state, "session_id", None)) for row in sessions],
    }


def _queues(figures: Figures) -> list[Queue]:
    return [
        Queue(
            role=role,
            waiting=figures.queues[role].count,
            oldest_seconds=figures.queues[role].oldest_seconds,
            active=sum(count for (of, _), count in figures.active.items() if of == role),
            workers=figures.workers.get(role, 0),
        )
        for role in ROLES.values()
    ] + [Queue("housekeeping", 0, 0.0, 0, figures.workers.get("housekeeping", 0))]


def _works_on(rows: Sequence[Any], items: Sequence[WorkItem]) -> dict[str, WorkItem]:
    """Name of a worker -> what it works on now."""
    by_id = {item.id: item for item in items}
    waiting = {str(RunState.QUEUED), str(JobState.RECEIVED)}
    return {row.worker: by_id[row.id] for row in rows if row.worker and row.state not in waiting}


def _failures(platform: Platform) -> list[Failure]:
    """The newest of each kind, newest first."""
    db = platform.db
    found = [
        Failure(f"Preparation of {row.project}/d{row.revision}", f"/ui/datasets/{row.id}", row.problem, row.finished_at)
        for row in list_jobs(db, cursor=None, limit=FAILURES, state=str(JobState.FAILED)).items
        if row.problem
    ]
    found += [
        Failure(f"Training on {row.project}", f"/ui/runs/{row.id}", row.problem, row.finished_at)
        for row in list_runs(db, cursor=None, limit=FAILURES, state=str(RunState.FAILED)).items
        if row.problem
    ]
    rows = operations.list_operations(db, cursor=None, limit=FAILURES, state=str(RunState.FAILED)).items
    slugs = slugs_of(db, {row.project_id for row in rows if row.project_id})
    for row in rows:
        item = operation_item(row, slugs.get(row.project_id or ""))
        if row.problem:
            title = f"{item.title}: {item.about}" if item.about else item.title
            found.append(Failure(title, "/ui/operations?state=failed", row.problem, row.finished_at))
    oldest = datetime.min.replace(tzinfo=UTC)
    return sorted(found, key=lambda each: each.at or oldest, reverse=True)[: 2 * FAILURES]


def _disks(platform: Platform) -> list[Disk]:
    room = UploadRoom(platform)
    promised = room.promised_bytes()
    reserve = platform.settings.disk_reserve_bytes
    return [Disk(name, free, promised.get(name, 0), reserve) for name, free in room.free_bytes().items()]


async def _serving(request: Request) -> list[ServingStanding]:
    """What each process of serving has in memory."""
    upstreams: Sequence[Upstream] = request.app.state.upstreams
    token = request.app.state.platform.settings.api_token.get_secret_value()
    headers = [("authorization", f"Bearer {token}")] if token else []
    return await asyncio.gather(*(_standing_of(upstream, headers) for upstream in upstreams))


async def _standing_of(upstream: Upstream, headers: Sequence[tuple[str, str]]) -> ServingStanding:
    try:
        status, content = await upstream.get("/models", headers, seconds=SERVING_SECONDS)
        if status != 200:
            return ServingStanding(upstream.url, None, f"answers with status {status}")
        return ServingStanding(upstream.url, ModelsInMemory.model_validate_json(content), "answers")
    except (NotConnected, ConnectionFailed, TimeoutError):
        return ServingStanding(upstream.url, None, "does not answer")
    except ValueError:
        return ServingStanding(upstream.url, None, "answers as another version of it would")


def _serving_check(standing: ServingStanding) -> Check:
    if standing.models is None:
        return Check("serving", "degraded", standing.detail, REMEDIES["serving"])
    count = len(standing.models.items)
    return Check("serving", "ok", f"answers, {count} model{'' if count == 1 else 's'} in memory", "")
