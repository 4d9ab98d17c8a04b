"""Uploading a ZIP; downloading the prepared dataset and its metadata."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import AsLink, CurrentPlatform, Wait
from api.http.downloads import StoredFile, file_name, send_stored
from api.http.idempotency import Idempotency
from api.http.long_poll import job_when_ended
from api.schemas.jobs import AcceptedJob, accepted_job
from api.uploads.body import ReceivedUpload, received
from core.db.tables import JobRow
from core.domain import errors
from core.domain.keys import upload_key
from core.domain.slugs import MAX_SLUG
from core.services.context import Platform
from core.services.jobs.commands import new_job_id, receive_job
from core.services.jobs.extension import StoredInput, extend_job
from core.services.on_commit import OnCommit
from core.services.views import get_ready_job, prepared_set_of
from http_common.openapi import file_responses, problem_responses
from pipeline.params.prepare import SYNONYMS, PrepareOptions

router = APIRouter(tags=["datasets"])

_NAME = {
    "type": "string",
    "maxLength": 200,
    "default": "",
    "description": "Name of the job. By default that of the file.",
}
_PROPERTIES: dict[str, Any] = PrepareOptions.model_json_schema()["properties"]
_OTHER_NAMES = {
    synonym: {"type": _PROPERTIES[name]["type"], "description": f"Another name for `{name}`."}
    for synonym, name in SYNONYMS.items()
}
_PROJECT = {
    "type": "string",
    "maxLength": MAX_SLUG,
    "description": "Name of the project that the dataset joins, which is created if there is none. By default the "
    "dataset has a project of its own.",
}
_EXTENDS = {
    "type": "string",
    "maxLength": 100,
    "description": "The dataset that this one extends, by its `job_id` or its name (`raccoons/d2`): what is sent is "
    "added to it, as the next dataset of its project. Options that are not given are those of that dataset, and every "
    "image keeps its split. A file `darkroom-remove.txt` in the ZIP names images to take out, one path a line.",
}
_OPTIONS: dict[str, Any] = {"name": _NAME, "project": _PROJECT, "extends": _EXTENDS, **_PROPERTIES, **_OTHER_NAMES}
_FILE = {"type": "string", "format": "binary", "description": "The ZIP."}
_UPLOAD_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {"type": "object", "required": ["file"], "properties": {"file": _FILE, **_OPTIONS}}
        },
        "application/zip": {"schema": {"type": "string", "format": "binary"}},
    },
}
_QUERY = [
    {"name": name, "in": "query", "required": False, "schema": schema, "description": schema.get("description", "")}
    for name, schema in _OPTIONS.items()
]


@router.post(
    "/upload-dataset",
    status_code=202,
    response_model=AcceptedJob,
    summary="Upload a ZIP",
    responses=problem_responses(
        errors.UploadInvalid,
        errors.RequestInFlight,
        errors.UploadTooLarge,
        errors.IdempotencyKeyReused,
        errors.OutOfSpace,
        *errors.JOINING,
        errors.JobNotFound,
        errors.JobNotExtendable,
        errors.ImageIndexMissing,
        errors.ProjectNotFound,
    ),
    openapi_extra={"requestBody": _UPLOAD_BODY, "parameters": _QUERY},
)
async def upload_dataset(
    request: Request, platform: CurrentPlatform, idempotency: Idempotency, wait: Wait = 0
) -> AcceptedJob | Response:
    """Stream a ZIP in and get a job, which is then validated, converted and fingerprinted.

    The ZIP is the form field `file` or the body itself. Options are form fields or query parameters. With `extends` it
    is added to a dataset that is ready.
    """
    async with idempotency.claimed_for_long(), received(request, platform) as upload:
        if replayed := idempotency.replay(_meaning(upload)):
            return replayed
        on_commit = idempotency.keep(accepted_job, _meaning(upload))
        job = await run_in_threadpool(_store_and_receive, platform, upload, on_commit)
    return accepted_job(await job_when_ended(request, platform.db, job, seconds=wait))


def _meaning(upload: ReceivedUpload) -> dict[str, Any]:
    """What makes two uploads with one Idempotency-Key the same request."""
    meaning = {"sha256": upload.sha256, "name": upload.name, "options": upload.options.model_dump(mode="json")}
    named = {"project": upload.project, "extends": upload.extends}
    return meaning | {name: value for name, value in named.items() if value}


def _store_and_receive(platform: Platform, upload: ReceivedUpload, on_commit: OnCommit) -> JobRow:
    job_id = new_job_id()
    stored = platform.store.take(upload_key(job_id), upload.path, sha256=upload.sha256, media_type="application/zip")
    if upload.extends:
        return extend_job(
            platform,
            job_id,
            upload.extends,
            name=upload.name,
            options=upload.options.model_dump(mode="json", exclude_unset=True),
            additions=StoredInput(stored.key, upload.source_name, stored.bytes, stored.sha256),
            on_commit=on_commit,
        )
    return receive_job(
        platform,
        job_id,
        name=upload.name,
        options=upload.options.model_dump(mode="json"),
        source_name=upload.source_name,
        source_bytes=upload.bytes,
        source_sha256=upload.sha256,
        project=upload.project,
        on_commit=on_commit,
    )


@router.head("/dataset/metadata/{job_id}", include_in_schema=False)
@router.get(
    "/dataset/metadata/{job_id}",
    summary="Read the metadata of a dataset",
    response_class=Response,
    responses=file_responses("application/json")
    | problem_responses(errors.JobNotFound, errors.Gone, errors.JobNotReady),
)
def dataset_metadata(request: Request, platform: CurrentPlatform, job_id: str) -> Response:
    """The immutable `dataset_metadata.json` of a ready job: classes, counts, statistics, fingerprint."""
    job = get_ready_job(platform.db, job_id)
    key = str(job.metadata_key)
    found = platform.store.head(key)
    if found is None:
        raise errors.Unavailable("The metadata is missing from the object store.", service="store")
    name = file_name(job.name, "dataset_metadata.json")
    stored = StoredFile(
        key, found.bytes, job.metadata_sha256 or found.sha256, "application/json", file_name=name, inline=True
    )
    return send_stored(request, platform.store, stored)


@router.head("/dataset/download/{job_id}", include_in_schema=False)
@router.get(
    "/dataset/download/{job_id}",
    summary="Download the prepared dataset",
    response_class=Response,
    responses=file_responses("application/x-tar")
    | problem_responses(errors.JobNotFound, errors.Gone, errors.JobNotReady, errors.RangeInvalid),
)
def download_dataset(request: Request, platform: CurrentPlatform, job_id: str, as_link: AsLink = False) -> Response:
    """The prepared dataset and its manifest as one uncompressed tar. Boxes: images, labels and `data.yaml` in YOLO's
    layout. Folders of classes: a dataset for `datasets.load_from_disk`, in `data/`. Ranges are supported."""
    job, dataset = prepared_set_of(platform.db, job_id)
    name = file_name(job.name, f"{dataset.fingerprint[:12]}.tar")
    stored = StoredFile(dataset.key, dataset.bytes, dataset.sha256, "application/x-tar", file_name=name)
    return send_stored(request, platform.store, stored, as_link=as_link)
