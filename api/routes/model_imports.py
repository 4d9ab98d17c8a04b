"""Uploading a model that was trained elsewhere, as a version of a project."""

from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import CurrentPlatform, Wait
from api.http.idempotency import Idempotency
from api.http.long_poll import wait_until_ended
from api.schemas.operations import Operation, operation_of
from api.uploads.body import ReceivedFile, received_file
from core.db.tables import OperationRow, ProjectRow
from core.domain import errors
from core.domain.keys import operation_input_key
from core.services.context import Platform
from core.services.models.imports import SOURCE, ModelSource, evaluation_set, import_version, importing_project
from core.services.on_commit import OnCommit
from core.services.operations.commands import get_operation, new_operation_id
from http_common.openapi import problem_responses
from http_common.unknown import unknown_names

router = APIRouter(tags=["models"])

DATASET = "dataset"
_DATASET_FIELD = {
    "type": "string",
    "maxLength": 80,
    "description": "The version is evaluated on the val and test splits of this dataset: a job_id, or `d2` of the "
    "project. By default it is not evaluated.",
    "examples": ["d2"],
}
_FILE = {"type": "string", "format": "binary", "description": "The `.pt` file, the `.onnx` file, or the ZIP."}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {"type": "object", "required": ["file"], "properties": {"file": _FILE, DATASET: _DATASET_FIELD}}
        },
        "application/octet-stream": _BINARY,
        "application/zip": _BINARY,
    },
}
_QUERY = [
    {
        "name": DATASET,
        "in": "query",
        "required": False,
        "schema": _DATASET_FIELD,
        "description": _DATASET_FIELD["description"],
    }
]


@router.post(
    "/projects/{project}/versions",
    status_code=202,
    response_model=Operation,
    summary="Import a model as a version",
    responses=problem_responses(
        errors.UploadInvalid,
        errors.ProjectNotFound,
        errors.ProjectRenamed,
        errors.Gone,
        errors.ProjectIsImplicit,
        errors.ProjectKindMismatch,
        errors.JobNotFound,
        errors.JobNotReady,
        errors.RequestInFlight,
        errors.UploadTooLarge,
        errors.IdempotencyKeyReused,
        errors.OutOfSpace,
    ),
    openapi_extra={"requestBody": _BODY, "parameters": _QUERY},
)
async def import_model(
    request: Request, platform: CurrentPlatform, idempotency: Idempotency, project: str, wait: Wait = 0
) -> Operation | Response:
    """A `.pt` file of an ultralytics detector, a ZIP of a folder of transformers (an image classifier or a CLIP model,
    with safetensors), or an `.onnx` file, in a ZIP with labels.txt and its preprocessing where it does not say them:
    the form field `file` or the body itself.

    It is read in a process of its own, and nothing in it is run. The answer is an operation, whose result names the
    version, or whose problem says why the model was refused. What it was trained on is not known: the version has no
    job, no run and no fingerprint.
    """
    async with idempotency.claimed_for_long():
        answered = idempotency.is_answered
        owner = await run_in_threadpool(importing_project, platform.db, project, answered=answered)
        async with received_file(request, platform, [DATASET]) as upload:
            meaning = _meaning(upload)
            if replayed := idempotency.replay(meaning):
                return replayed
            on_commit = idempotency.keep(partial(_described, project=owner), meaning)
            row = await run_in_threadpool(_store_and_queue, platform, owner, upload, on_commit)
    await wait_until_ended(request, platform.db, row.id, seconds=wait)
    return _described(await run_in_threadpool(get_operation, platform.db, row.id), owner)


def _meaning(upload: ReceivedFile) -> dict[str, Any]:
    """What makes two uploads with one Idempotency-Key the same request. Raises RequestInvalid for unknown fields."""
    if unknown := [name for name in upload.fields if name != DATASET]:
        raise unknown_names("field", unknown, [DATASET])
    return {"sha256": upload.sha256, DATASET: upload.fields.get(DATASET) or None}


def _store_and_queue(
    platform: Platform, project: ProjectRow, upload: ReceivedFile, on_commit: OnCommit
) -> OperationRow:
    given = upload.fields.get(DATASET)
    dataset = evaluation_set(platform.db, project, given) if given else None
    operation_id = new_operation_id()
    key = operation_input_key(operation_id, SOURCE)
    platform.store.take(key, upload.path, sha256=upload.sha256, media_type="application/octet-stream")
    source = ModelSource(upload.source_name or "model", upload.bytes, upload.sha256)
    return import_version(platform, project, operation_id, source, dataset=dataset, on_commit=on_commit)


def _described(row: OperationRow, project: ProjectRow) -> Operation:
    return operation_of(row, {project.id: project.slug})
