"""The page of a run, live while it goes, and the list of runs."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from api.dependencies import CurrentPlatform, Cursor, ProjectFilter
from api.http.page_stream import HOME, position_in
from api.http.run_logs import last_lines, stored_log
from api.pages.learned import unlearned_metric
from api.pages.rendering import mlflow_url, render
from api.pages.run_view import best_of, charts_of, figure_rows, log_text, split_params, stages_of
from api.schemas.runs import Run, run_of
from core import clock
from core.db.tables import RunRow, VersionRow
from core.domain.errors import Gone, NotFound
from core.domain.main_metrics import main_metrics
from core.domain.model_names import dataset_name
from core.domain.states import RUN_ENDED, RunState
from core.services.context import Platform
from core.services.jobs.commands import get_job
from core.services.models.versions import find_version
from core.services.runs import commands as runs
from core.services.runs.history import read_history
from core.services.runs.logs import find_log

router = APIRouter(prefix="/ui/runs", include_in_schema=False)

PAGE = 30
LOG_LINES = 1000
SAMPLED = ("cpu_percent", "memory_bytes", "gpu_percent", "gpu_memory_bytes")
STATES = [str(state) for state in RunState]

Attempt = Annotated[int | None, Query(ge=1, le=2**31 - 1)]


@router.get("")
def list_runs(
    request: Request,
    platform: CurrentPlatform,
    state: RunState | Literal[""] | None = None,
    project: ProjectFilter = None,
    job_id: str | None = None,
    cursor: Cursor = None,
) -> HTMLResponse:
    """Newest first. Raises ProjectNotFound, Gone, CursorInvalid."""
    db = platform.db
    position = position_in(request, db, [HOME])
    page = runs.list_runs(
        db, cursor=cursor, limit=PAGE, state=state or None, job_id=job_id or None, project=project or None
    )
    return render(
        request,
        "runs/list.html",
        nav="system",
        position=position,
        runs=[run_of(row, mlflow_link=platform.settings.mlflow_link) for row in page.items],
        best={row.id: main_metrics({"val": (row.progress or {}).get("metrics") or {}})[1] for row in page.items},
        next_cursor=page.next_cursor,
        states=STATES,
        chosen={"state": state or "", "project": project or "", "job_id": job_id or ""},
        is_filtered=bool(state or project or job_id),
    )


@router.get("/{run_id}")
def show_run(request: Request, platform: CurrentPlatform, run_id: str, attempt: Attempt = None) -> HTMLResponse:
    """`attempt`: whose log, by default the newest one's. Raises RunNotFound, Gone."""
    db = platform.db
    position = position_in(request, db, [run_id])
    row = runs.get_living_run(db, run_id)
    run = run_of(row, mlflow_link=platform.settings.mlflow_link)
    job = get_job(db, row.job_id)
    history = read_history(db, run_id)
    version = _version(platform, row)
    changed, defaults = split_params(row.trainer, row.params)
    return render(
        request,
        "runs/run.html",
        nav="projects",
        position=position,
        run=run,
        name=_name(run),
        job=job,
        dataset=dataset_name(job.project, job.revision),
        history=history,
        charts=(charts := charts_of(history)),
        figure_rows=figure_rows(history, charts),
        best=best_of(history),
        stages=stages_of(row.state, row.stage, history),
        is_over=row.state in RUN_ENDED,
        started_at=row.started_at,
        took=((row.finished_at or clock.now()) - row.started_at).total_seconds() if row.started_at else None,
        machine=[[round(at, 1), *(sample.get(name) for name in SAMPLED)] for at, sample in history.samples],
        made=version,
        figures=main_metrics(version.metrics if version else {}),
        unlearned_metric=unlearned_metric(version.metrics, row.params) if version else "",
        changed=changed,
        defaults=defaults,
        log=_log(platform, run_id, attempt),
        log_attempt=attempt,
        mlflow_page=mlflow_url(request, run.mlflow.link) if run.mlflow and run.mlflow.link else "",
    )


def _name(run: Run) -> str:
    """By what it starts from: an architecture, weights or a version of ours."""
    if run.parent:
        return f"Fine-tuning of {run.parent.name}"
    model = str(run.params.get("model") or run.trainer)
    return f"Baseline of {model}" if run.params.get("mode") == "zero-shot" else f"Training of {model}"


def _version(platform: Platform, row: RunRow) -> VersionRow | None:
    """The version that it published; None, too, once that was deleted."""
    if not row.version:
        return None
    try:
        return find_version(platform.db, row.project_id, version=f"v{row.version}")
    except (NotFound, Gone):
        return None


def _log(platform: Platform, run_id: str, attempt: int | None) -> dict[str, Any] | None:
    """None before an attempt has printed anything, and where its log is no longer stored."""
    log = find_log(platform.db, run_id, attempt=attempt)
    if log is None:
        return None
    try:
        stored = stored_log(platform.store, log)
    except NotFound:
        return None
    text = log_text(last_lines(platform.store, log, stored, LOG_LINES))
    size = stored.bytes if stored is not None else log.total_bytes
    return {"text": text, "attempt": log.attempt, "bytes": size, "is_whole": stored is not None}
