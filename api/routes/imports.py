"""Importing a dataset from a hub. Its job differs from that of an upload only in its source."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import CurrentPlatform, Wait
from api.http.idempotency import Idempotency
from api.http.long_poll import job_when_ended
from api.schemas.imports import ImportRequest
from api.schemas.jobs import AcceptedJob, accepted_job
from api.uploads.body import NAME_MAX, safe_name
from core.domain import errors
from core.services.jobs.hub_import import import_set
from http_common.openapi import problem_responses

router = APIRouter(tags=["datasets"])


@router.post(
    "/import-dataset",
    status_code=202,
    response_model=AcceptedJob,
    summary="Import a dataset from a Hugging Face hub",
    responses=problem_responses(errors.HubOff, errors.RequestInFlight, errors.IdempotencyKeyReused, *errors.JOINING),
)
async def import_dataset(
    request: Request, platform: CurrentPlatform, idempotency: Idempotency, body: ImportRequest, wait: Wait = 0
) -> AcceptedJob | Response:
    """Images with class labels, by the name of the repository: a worker downloads its parquet files or folders of
    images at one commit, converts them to folders of classes, and prepares those like an upload.

    By default only the train split is used, and is split again: the official test split of many datasets is empty or
    wrong (in `Bingsu/Human_Action_Recognition` all of it is labelled `calling`). With several `splits` they are kept
    as they are. The commit is part of the job's `source` and of `dataset_metadata.json`; the same commit gives the same
    fingerprint. No code of the repository is run.
    """
    requested = _requested(body)
    async with idempotency.claimed_for_long():
        if replayed := idempotency.replay(requested):
            return replayed
        on_commit = idempotency.keep(accepted_job, requested)
        job = await run_in_threadpool(import_set, platform, **requested, on_commit=on_commit)
    return accepted_job(await job_when_ended(request, platform.db, job, seconds=wait))


def _requested(body: ImportRequest) -> dict[str, Any]:
    name = safe_name(body.name or "") or body.huggingface.rpartition("/")[2]
    requested = {
        "name": name[:NAME_MAX],
        "hub_set": body.hub_set().model_dump(mode="json", exclude_none=True),
        "options": body.options().model_dump(mode="json"),
    }
    return requested | ({"project": body.project} if body.project else {})
