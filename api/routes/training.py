"""Starting trainings and baselines; listing the trainers."""

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import CurrentPlatform, Wait
from api.http.idempotency import Idempotency
from api.http.long_poll import run_when_ended
from api.images.leaks import LeakCheck
from api.schemas import PageOf
from api.schemas.runs import AcceptedRun, BaselineRequest, TrainRequest, accepted_run
from core.db.tables import RunRow
from core.domain import errors
from core.services.context import Platform
from core.services.models.fine_tuning import queue_training
from core.services.on_commit import OnCommit, do_nothing
from core.services.views import get_ready_job
from http_common.openapi import problem_responses
from pipeline.params.catalogue import (
    BASELINE,
    CATALOGUE,
    default_trainer,
    entry_of,
    fit_classes,
    params_of,
    validate_params,
)

router = APIRouter(tags=["training"])


class TrainerItem(BaseModel):
    """A trainer with the kind of dataset it trains on and its params, a JSON Schema with ranges and defaults."""

    name: str = Field(examples=["yolo"])
    kind: str = Field(examples=["detection"])
    params: dict[str, Any]


@router.get("/trainers", summary="List trainers and their params")
def list_trainers() -> PageOf[TrainerItem]:
    """Each with the ranges, defaults and descriptions of its params."""
    items = [
        TrainerItem(name=name, kind=entry.kind, params=params_of(name).model_json_schema())
        for name, entry in CATALOGUE.items()
    ]
    return PageOf(items=items)


_PROBLEMS = problem_responses(
    errors.ParamsInvalid,
    errors.JobNotFound,
    errors.Gone,
    errors.JobNotReady,
    errors.TrainerKindMismatch,
    errors.ModelTrainerMismatch,
    errors.TrainerCannotTrain,
    errors.TrainsOnTestSet,
    errors.ImageIndexMissing,
    errors.RequestInFlight,
    errors.IdempotencyKeyReused,
)


@router.post(
    "/train-async/{job_id}",
    status_code=202,
    response_model=AcceptedRun,
    summary="Train on a ready job",
    responses=_PROBLEMS,
)
async def train_async(
    request: Request,
    platform: CurrentPlatform,
    idempotency: Idempotency,
    job_id: str,
    body: TrainRequest | None = None,
    wait: Wait = 0,
) -> AcceptedRun | Response:
    """Queues a run. Each one that succeeds publishes the next version of the job's project: v1, v2, ...

    `params.model` may name a version to go on from: `v3`, `@production`, `raccoons/v3`, `raccoons@production`.
    """
    requested = body or TrainRequest(trainer=None)
    meaning = requested.model_dump(mode="json")
    async with idempotency.claimed_for_long():
        if replayed := idempotency.replay(meaning):
            return replayed
        on_commit = idempotency.keep(accepted_run, meaning)
        run = await run_in_threadpool(queue_requested, request, platform, job_id, requested, on_commit)
    return accepted_run(await run_when_ended(request, platform.db, run, seconds=wait))


@router.post(
    "/baseline/{job_id}",
    status_code=202,
    response_model=AcceptedRun,
    summary="Measure a zero-shot baseline on a ready job",
    responses=_PROBLEMS,
)
async def baseline(
    request: Request,
    platform: CurrentPlatform,
    idempotency: Idempotency,
    job_id: str,
    body: BaselineRequest | None = None,
    wait: Wait = 0,
) -> AcceptedRun | Response:
    """Queues a run of `clip` without training: it classifies by the prompts of the classes. It publishes a version."""
    requested = body or BaselineRequest()
    meaning = requested.model_dump(mode="json")
    async with idempotency.claimed_for_long():
        if replayed := idempotency.replay(meaning):
            return replayed
        on_commit = idempotency.keep(accepted_run, meaning)
        run = await run_in_threadpool(queue_baseline, request, platform, job_id, requested, on_commit)
    return accepted_run(await run_when_ended(request, platform.db, run, seconds=wait))


def queue_requested(
    request: Request, platform: Platform, job_id: str, requested: TrainRequest, on_commit: OnCommit = do_nothing
) -> RunRow:
    """Raises JobNotFound, Gone, JobNotReady, TrainerKindMismatch, ParamsInvalid, TrainsOnTestSet, ..."""
    job = get_ready_job(platform.db, job_id)
    kind = str(job.kind)
    trainer = requested.trainer or default_trainer(kind)
    if trainer is None:
        raise errors.TrainerKindMismatch(f"No trainer trains on {kind} datasets.", kind=kind)
    _refuse_other_kind(trainer, kind)
    params = validate_params(trainer, requested.params)
    fit_classes(params, job.classes or ())
    stored = params.model_dump(mode="json")
    leak = _leak(request, job_id, stored, allow=requested.allow_leak)
    return queue_training(platform, job_id, trainer=trainer, params=stored, leak=leak, on_commit=on_commit)


def queue_baseline(
    request: Request, platform: Platform, job_id: str, requested: BaselineRequest, on_commit: OnCommit = do_nothing
) -> RunRow:
    """Raises as `queue_requested`."""
    job = get_ready_job(platform.db, job_id)
    _refuse_other_kind(BASELINE, str(job.kind))
    # A baseline reads val and test only.
    params = validate_params(
        BASELINE, {**requested.model_dump(exclude={"allow_leak"}), "mode": "zero-shot", "suspect_labels": False}
    )
    fit_classes(params, job.classes or (), within="")
    stored = params.model_dump(mode="json")
    leak = _leak(request, job_id, stored, allow=requested.allow_leak)
    return queue_training(
        platform, job_id, trainer=BASELINE, params=stored, field="model", leak=leak, on_commit=on_commit
    )


def _leak(request: Request, job_id: str, params: dict[str, Any], *, allow: bool) -> dict[str, Any] | None:
    """What the run keeps of frozen test images in train and val. Raises TrainsOnTestSet unless `allow`."""
    check: LeakCheck = request.app.state.leaks
    return check.leak_of(job_id, str(params.get("model", "")), allow=allow)


def _refuse_other_kind(trainer: str, kind: str) -> None:
    if entry_of(trainer).kind != kind:
        raise errors.TrainerKindMismatch(
            f"{trainer} trains on {entry_of(trainer).kind} datasets; this one is {kind}.", trainer=trainer, kind=kind
        )
