"""The form that starts a training, and the zero-shot baseline. Both also work without script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from api.dependencies import CurrentPlatform
from api.pages.rendering import render
from api.pages.run_view import split_params
from api.pages.training_form import form_of, params_from
from api.pages.training_starts import Start, default_model, start_of, starts_of
from api.routes.training import queue_baseline, queue_requested
from api.schemas.runs import BaselineRequest, TrainRequest
from api.schemas.workers import WorkerItem, worker_item
from core.db.tables import JobRow, RunRow
from core.domain.errors import ParamsInvalid, TrainerKindMismatch, TrainsOnTestSet
from core.domain.model_names import dataset_name
from core.domain.states import JobState, RunState
from core.queue import ROLES, TRAIN
from core.services.context import Platform
from core.services.jobs.commands import get_job
from core.services.models.versions import list_versions, version_briefs
from core.services.runs.commands import get_living_run, list_runs
from core.services.work.active import active_work
from core.services.work.locks import list_workers
from pipeline.params.catalogue import BASELINE, CATALOGUE, default_trainer, entry_of

router = APIRouter(prefix="/ui/datasets/{job_id}", include_in_schema=False)

VERSIONS, EARLIER, WORKERS, AHEAD = 20, 10, 100, 20
_SIZE = ("imgsz", "image_size")

Name = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True, slots=True)
class Earlier:
    """A training of this dataset that has ended well. `epoch_seconds`: with loading and evaluation shared out."""

    run_id: str
    model: str
    size: int | None
    batch: int | None
    epochs: int
    seconds: float

    @property
    def epoch_seconds(self) -> float:
        return self.seconds / self.epochs


@router.get("/train")
def show_form(
    request: Request,
    platform: CurrentPlatform,
    job_id: str,
    trainer: Annotated[str, Query(max_length=40)] = "",
    model: Name = "",
    run: Annotated[str, Query(max_length=40)] = "",
) -> HTMLResponse:
    """`run`: an earlier one, whose params are taken. Raises JobNotFound, Gone, RunNotFound, ParamsInvalid,
    TrainerKindMismatch."""
    job = get_job(platform.db, job_id)
    values: dict[str, Any] = {}
    if run:
        earlier = get_living_run(platform.db, run)
        if earlier.trainer in CATALOGUE and trainer in ("", earlier.trainer):
            trainer = earlier.trainer
            values = {each.name: each.value for each in split_params(trainer, earlier.params)[0]}
    if model:
        values["model"] = model
    return _page(request, platform, job, trainer or default_trainer(str(job.kind)) or "", values)


@router.post("/train")
async def start_training(request: Request, platform: CurrentPlatform, job_id: str) -> Response:
    """To the page of the run; back to the form, with what is wrong beside its field, where it is refused.

    Raises JobNotFound, Gone, JobNotReady, TrainerKindMismatch, ModelTrainerMismatch, ImageIndexMissing.
    """
    async with request.form() as form:
        sent = {name: value for name, value in form.items() if isinstance(value, str)}
    return await run_in_threadpool(_start, request, platform, job_id, sent)


@router.post("/baseline")
def start_baseline(request: Request, platform: CurrentPlatform, job_id: str) -> Response:
    """To the page of the run; where the dataset has frozen test images, to the form of the same with the choice.

    Raises JobNotFound, Gone, JobNotReady, TrainerKindMismatch, ImageIndexMissing.
    """
    try:
        return _to_run(queue_baseline(request, platform, job_id, BaselineRequest()))
    except TrainsOnTestSet as error:
        job = get_job(platform.db, job_id)
        return _page(request, platform, job, BASELINE, {"suspect_labels": False}, leak=error.facts, status=409)


def _start(request: Request, platform: Platform, job_id: str, sent: Mapping[str, str]) -> Response:
    trainer = sent.get("trainer", "")
    params = params_from(trainer, sent)
    allowed = "allow_leak" in sent
    requested = TrainRequest(trainer=trainer, params=params, allow_leak=allowed)
    try:
        run = queue_requested(request, platform, job_id, requested)
    except ParamsInvalid as error:
        errors = {each["field"]: each["message"] for each in error.facts.get("errors", ())}
        problem = {"title": error.title, "detail": error.detail, "errors": error.facts.get("errors", ())}
        job = get_job(platform.db, job_id)
        return _page(request, platform, job, trainer, params, errors=errors, problem=problem, status=422)
    except TrainsOnTestSet as error:
        job = get_job(platform.db, job_id)
        return _page(request, platform, job, trainer, params, leak=error.facts, status=409)
    return _to_run(run)


def _to_run(run: RunRow) -> Response:
    return RedirectResponse(f"/ui/runs/{run.id}", status_code=303)


def _page(
    request: Request,
    platform: Platform,
    job: JobRow,
    trainer: str,
    values: Mapping[str, Any],
    *,
    errors: Mapping[str, str] | None = None,
    problem: Mapping[str, Any] | None = None,
    leak: Mapping[str, Any] | None = None,
    status: int = 200,
) -> HTMLResponse:
    """`values`: params that differ from the defaults. `leak`: the facts of a refusal."""
    is_ready = job.state == JobState.READY
    if is_ready and trainer and entry_of(trainer).kind != job.kind:
        raise TrainerKindMismatch(
            f"{trainer} trains on {entry_of(trainer).kind} datasets.", trainer=trainer, kind=job.kind
        )
    db, folder, hub = platform.db, platform.settings.weights, platform.settings.hub
    chosen: dict[str, Any] = {}
    if is_ready and trainer:
        newest = list_versions(db, ref=job.project_id, cursor=None, limit=VERSIONS, whole=False).items
        starts = starts_of(trainer, version_briefs(db, newest), folder=folder, hub=hub)
        model = str(values.get("model") or default_model(trainer))
        chosen = {
            "groups": form_of(trainer, values, errors or {}),
            "starts": starts,
            "start": _start_of(starts, trainer, model, platform),
            "earlier": (earlier := _earlier(platform, job.id, trainer)),
            "earlier_times": [[each.model, each.size, each.epoch_seconds] for each in earlier],
            "ahead": len(active_work(db, limit=AHEAD).runs),
            "machines": _machines(platform),
        }
    with_baseline = is_ready and entry_of(BASELINE).kind == job.kind
    return render(
        request,
        "training/form.html",
        status,
        nav="projects",
        job=job,
        dataset=dataset_name(job.project, job.revision),
        is_ready=is_ready,
        trainer=trainer,
        trainers=[name for name, entry in CATALOGUE.items() if entry.kind == job.kind],
        problem=problem,
        leak=leak,
        baseline=start_of(BASELINE, default_model(BASELINE), folder=folder, hub=hub) if with_baseline else None,
        **chosen,
    )


def _start_of(starts: Sequence[Start], trainer: str, model: str, platform: Platform) -> Start:
    settings = platform.settings
    known = next((each for each in starts if each.name == model), None)
    return known or start_of(trainer, model, folder=settings.weights, hub=settings.hub)


def _earlier(platform: Platform, job_id: str, trainer: str) -> list[Earlier]:
    """Newest first."""
    page = list_runs(platform.db, cursor=None, limit=EARLIER, state=str(RunState.SUCCEEDED), job_id=job_id)
    found = []
    for row in page.items:
        epochs = (row.progress or {}).get("epoch")
        if row.trainer != trainer or not epochs or row.started_at is None or row.finished_at is None:
            continue
        size = next((row.params[name] for name in _SIZE if row.params.get(name)), None)
        seconds = max(row.spent_seconds, (row.finished_at - row.started_at).total_seconds())
        found.append(Earlier(row.id, str(row.params.get("model")), size, row.params.get("batch"), int(epochs), seconds))
    return found


def _machines(platform: Platform) -> list[WorkerItem]:
    """The workers that train."""
    workers = list_workers(platform.db, cursor=None, limit=WORKERS).items
    return [worker_item(row) for row in workers if row.role == ROLES[TRAIN]]
