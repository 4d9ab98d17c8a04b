"""Importing a dataset from elsewhere. Its job differs from that of an upload only in its source."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import CurrentPlatform, Wait
from api.http.idempotency import Idempotency
from api.http.long_poll import job_when_ended
from api.schemas.imports import ImportRequest
from api.schemas.jobs import AcceptedJob, accepted_job
from api.uploads.body import NAME_MAX, safe_name, valid_options
from core.db.tables import JobRow
from core.domain import errors
from core.services.context import Platform
from core.services.jobs.hub_import import import_set
from core.services.jobs.origin_import import import_origin, options_of, prepare_again
from core.settings import Settings
from http_common.import_rules import require_allowed
from http_common.openapi import problem_responses

router = APIRouter(tags=["datasets"])


@router.post(
    "/import-dataset",
    status_code=202,
    response_model=AcceptedJob,
    summary="Import a dataset from a hub, a URL, a bucket, a folder or another dataset",
    responses=problem_responses(
        errors.HubOff,
        errors.ImportNotAllowed,
        errors.JobNotFound,
        errors.ProjectNotFound,
        errors.SourceNotReusable,
        errors.RequestInFlight,
        errors.IdempotencyKeyReused,
        *errors.JOINING,
    ),
)
async def import_dataset(
    request: Request, platform: CurrentPlatform, idempotency: Idempotency, body: ImportRequest, wait: Wait = 0
) -> AcceptedJob | Response:
    """A worker fetches it and prepares it like an upload; exactly one of these says where it is:

    - `huggingface`: images with class labels, by the name of the repository. Its parquet files or folders of images at
      one commit become folders of classes, with the class names in the order of the hub. No code of it is run.
    - `url`: a ZIP, from a host that the operator allows; `sha256` is compared where it is given.
    - `s3`: the files below a prefix of a bucket that the operator allows, or a single ZIP.
    - `folder`: the same on the worker's machine.
    - `dataset`: the stored ZIP of another dataset, ready or rejected, is prepared again with other options, such as
      `on_error=skip`. By default it joins the same project, under the same name.
    - `sample`: a worker draws a small dataset, which is the same each time.

    `url`, `s3` and `folder` are off until the operator allows hosts, buckets or folders; the problem names the setting.
    Where the ZIP comes from is part of the job's `source` and of `dataset_metadata.json`.

    Of a hub only the train split is used by default, and is split again: the official test split of many datasets is
    empty or wrong (in `Bingsu/Human_Action_Recognition` all of it is labelled `calling`). With several `splits` they
    are kept as they are. The commit is recorded; the same commit gives the same fingerprint.
    """
    requested = _requested(body)
    create = _use_case(platform.settings, body)
    async with idempotency.claimed_for_long():
        if replayed := idempotency.replay(requested):
            return replayed
        on_commit = idempotency.keep(accepted_job, requested)
        job = await run_in_threadpool(create, platform, **requested, on_commit=on_commit)
    return accepted_job(await job_when_ended(request, platform.db, job, seconds=wait))


def _use_case(settings: Settings, body: ImportRequest) -> Callable[..., JobRow]:
    """Raises ImportNotAllowed."""
    if body.dataset is not None:
        return _prepare_again
    origin = body.origin()
    if origin is None:
        return import_set
    require_allowed(settings, origin)
    return import_origin


def _prepare_again(platform: Platform, ref: str, options: Mapping[str, Any], **requested: Any) -> JobRow:
    """Raises RequestInvalid where the options contradict those of the dataset, and as `prepare_again`."""
    merged = valid_options({**options_of(platform, ref), **options})
    return prepare_again(platform, ref, options=merged.model_dump(mode="json"), **requested)


def _requested(body: ImportRequest) -> Mapping[str, Any]:
    project = {"project": body.project} if body.project else {}
    if body.dataset is not None:
        name = safe_name(body.name or "")[:NAME_MAX] or None
        return {"ref": body.dataset, "options": body.given_options(), "name": name, **project}
    hub_set, origin = body.hub_set(), body.origin()
    named = safe_name(body.named) or "dataset"
    requested: dict[str, Any] = {
        "name": (safe_name(body.name or "") or named)[:NAME_MAX],
        "options": body.options().model_dump(mode="json"),
    }
    if hub_set is not None:
        requested["hub_set"] = hub_set.model_dump(mode="json", exclude_none=True)
    if origin is not None:
        requested["origin"] = origin.model_dump(mode="json", exclude_none=True)
        requested["source_name"] = f"{named[:NAME_MAX]}.zip"
    if body.sample is not None:
        requested["kind"] = "detection"
    return requested | project
