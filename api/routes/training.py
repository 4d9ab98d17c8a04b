"""Trainings are asked for; the trainers there are."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import ThePlatform, Wait
from api.http.idempotency import Once, TheOnce
from api.http.long_poll import wait_until_ended
from api.http.openapi import problems
from api.schemas import PageOf
from api.schemas.runs import AcceptedRun, BaselineRequest, TrainRequest, accepted_run
from core.domain import errors
from core.services.context import Platform
from core.services.runs.commands import get_run, queue_run
from core.services.views import get_ready_job
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

_Asked = tuple[str, dict[str, Any]]  # trainer and validated params


class TrainerItem(BaseModel):
    """A trainer, the kind of dataset it trains on, and its params as a JSON Schema with ranges and defaults."""

    name: str = Field(examples=["yolo"])
    kind: str = Field(examples=["detection"])
    params: dict[str, Any]


@router.get("/trainers", summary="List trainers and their params")
def list_trainers() -> PageOf[TrainerItem]:
    items = [
        TrainerItem(name=name, kind=entry.kind, params=params_of(name).model_json_schema())
        for name, entry in CATALOGUE.items()
    ]
    return PageOf(items=items)


_PROBLEMS = problems(
    errors.ParamsInvalid,
    errors.JobNotFound,
    errors.Gone,
    errors.JobNotReady,
    errors.TrainerKindMismatch,
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
    platform: ThePlatform,
    once: TheOnce,
    job_id: str,
    body: TrainRequest | None = None,
    wait: Wait = 0,
) -> Response:
    """Queue a training. Every success publishes the job's next version: v1, v2, ..."""
    asked = body or TrainRequest(trainer=None)
    answer, run_id = await run_in_threadpool(
        _queue_once, platform, once, job_id, asked, lambda: _validated(platform, job_id, asked)
    )
    return await _waited(request, platform, answer, run_id, seconds=wait)


@router.post(
    "/baseline/{job_id}",
    status_code=202,
    response_model=AcceptedRun,
    summary="Measure a zero-shot baseline on a ready job",
    responses=_PROBLEMS,
)
async def baseline(
    request: Request,
    platform: ThePlatform,
    once: TheOnce,
    job_id: str,
    body: BaselineRequest | None = None,
    wait: Wait = 0,
) -> Response:
    """Queue a run of `clip` that trains nothing: each class is what its prompts say. It is published as a version."""
    asked = body or BaselineRequest()
    answer, run_id = await run_in_threadpool(
        _queue_once, platform, once, job_id, asked, lambda: _validated_baseline(platform, job_id, asked)
    )
    return await _waited(request, platform, answer, run_id, seconds=wait)


async def _waited(
    request: Request, platform: Platform, answer: Response, run_id: str | None, *, seconds: float
) -> Response:
    if seconds == 0 or run_id is None:
        return answer
    await wait_until_ended(request, platform.db, run_id, seconds=seconds)
    row = await run_in_threadpool(get_run, platform.db, run_id)
    return Response(accepted_run(row).model_dump_json(), status_code=202, media_type="application/json")


def _queue_once(
    platform: Platform, once: Once, job_id: str, asked: BaseModel, validated: Callable[[], _Asked]
) -> tuple[Response, str | None]:
    """The answer, and the id of the run unless the answer was an earlier one."""
    queued: list[str] = []

    def show(row: Any) -> AcceptedRun:
        queued[:] = [row.id]
        return accepted_run(row)

    def work(on_commit: Any) -> Any:
        trainer, params = validated()
        return queue_run(platform, job_id, trainer=trainer, params=params, on_commit=on_commit)

    answer = once.answer(work, show, request=asked.model_dump(mode="json"))
    return answer, queued[0] if queued else None


def _validated(platform: Platform, job_id: str, asked: TrainRequest) -> _Asked:
    job = get_ready_job(platform.db, job_id)
    kind = str(job.kind)
    trainer = asked.trainer or default_trainer(kind)
    if trainer is None:
        raise errors.TrainerKindMismatch(f"No trainer trains on {kind} datasets.", kind=kind)
    _refuse_other_kind(trainer, kind)
    params = validate_params(trainer, asked.params)
    fit_classes(params, job.classes or ())
    return trainer, params.model_dump(mode="json")


def _validated_baseline(platform: Platform, job_id: str, asked: BaselineRequest) -> _Asked:
    job = get_ready_job(platform.db, job_id)
    _refuse_other_kind(BASELINE, str(job.kind))
    given = {**asked.model_dump(), "mode": "zero-shot", "suspect_labels": False}  # val and test are all it looks at
    params = validate_params(BASELINE, given)
    fit_classes(params, job.classes or (), within="")
    return BASELINE, params.model_dump(mode="json")


def _refuse_other_kind(trainer: str, kind: str) -> None:
    if entry_of(trainer).kind != kind:
        raise errors.TrainerKindMismatch(
            f"{trainer} trains on {entry_of(trainer).kind} datasets; this one is {kind}.", trainer=trainer, kind=kind
        )
