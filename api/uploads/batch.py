"""The request for a batch of predictions: JSON that names the images, or a ZIP of them."""

import json
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from api.http.idempotency import IdempotentRequest
from api.schemas.batch_predictions import BatchFields, NewBatch
from api.schemas.operations import requested_operation
from api.uploads.body import RAW_TYPES, ReceivedFile, received_file
from api.uploads.temporary import TemporaryFile
from core.domain.errors import LimitExceeded, RequestInvalid
from core.domain.keys import operation_input_key
from core.domain.limits import MIB
from core.services.context import Platform
from core.services.models.batch_predictions import request_batch
from core.services.models.batch_sources import URLS_INPUT, ZIP_INPUT, BatchImages, Source
from core.services.models.served import find_served
from core.services.operations.commands import Requested, new_operation_id
from core.services.uploads.room import UploadRoom
from http_common.bodies import check_json
from http_common.problems import invalid_body
from http_common.remote_images import urls_refused

JSON_MAX_BYTES = 12 * MIB  # so many URLs of the largest length as may be
FORM = "multipart/form-data"
Model = TypeVar("Model", bound=BaseModel)


async def requested_batch(request: Request, platform: Platform, idempotency: IdempotentRequest) -> Requested | Response:
    """Queue it; a request with a key that was answered before gets that answer. Inside `idempotency.claimed_for_long`.

    Raises as `received_file` and `request_batch`, and RequestInvalid, ImageUrlRefused.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (*RAW_TYPES, FORM):
        body = _valid(NewBatch, await _read_json(request))
        return await run_in_threadpool(_queue_named, platform, body, idempotency)
    model = request.query_params.get("model")
    if model and not idempotency.is_answered:  # known before the ZIP is received
        await run_in_threadpool(_require_served, platform, model)
    async with received_file(request, platform, list(BatchFields.model_fields)) as upload:
        fields = _valid(BatchFields, {name: value for name, value in upload.fields.items() if value})
        return await run_in_threadpool(_queue_upload, platform, fields, upload, idempotency)


async def _read_json(request: Request) -> Any:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > JSON_MAX_BYTES:
            detail = f"The JSON has more than {JSON_MAX_BYTES} bytes."
            raise LimitExceeded(detail, limit_bytes=JSON_MAX_BYTES)
    await run_in_threadpool(check_json, bytes(body))
    try:
        return json.loads(body)
    except ValueError as error:
        message = "Send JSON that names the model and the images, or a ZIP of images as application/zip."
        raise RequestInvalid(message, errors=[{"field": "body", "message": f"not JSON: {error}"[:200]}]) from error


def _valid(model: type[Model], content: Any) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise invalid_body(error, model) from error


def _queue_named(platform: Platform, body: NewBatch, idempotency: IdempotentRequest) -> Requested | Response:
    meaning = body.model_dump(mode="json")
    if replayed := idempotency.replay(meaning):
        return replayed
    queue = partial(_queue, platform, body, idempotency, meaning)
    if body.urls is None:
        return queue(BatchImages(body.job_id, body.split, body.upload))
    if not platform.settings.allowed_image_hosts:
        raise urls_refused(body.urls[0])
    _require_served(platform, body.model)
    operation_id = new_operation_id()
    sha256 = _store_urls(platform, operation_id, body.urls)
    return queue(BatchImages(sent=Source("urls", sha256=sha256, count=len(body.urls))), operation_id)


def _queue_upload(
    platform: Platform, fields: BatchFields, upload: ReceivedFile, idempotency: IdempotentRequest
) -> Requested | Response:
    meaning = {"sha256": upload.sha256, **fields.model_dump(mode="json")}
    if replayed := idempotency.replay(meaning):
        return replayed
    _require_served(platform, fields.model)
    operation_id = new_operation_id()
    key = operation_input_key(operation_id, ZIP_INPUT)
    platform.store.take(key, upload.path, sha256=upload.sha256, media_type="application/zip")
    source = Source("upload", name=upload.source_name or ZIP_INPUT, bytes=upload.bytes, sha256=upload.sha256)
    return _queue(platform, fields, idempotency, meaning, BatchImages(sent=source), operation_id)


def _queue(
    platform: Platform,
    fields: BatchFields,
    idempotency: IdempotentRequest,
    meaning: dict[str, Any],
    images: BatchImages,
    operation_id: str | None = None,
) -> Requested:
    on_commit = idempotency.keep(requested_operation, meaning)
    options = fields.options()
    return request_batch(platform, fields.model, images, options, operation_id=operation_id, on_commit=on_commit)


def _require_served(platform: Platform, model: str) -> None:
    """Before its images are stored."""
    find_served(platform.db, model, precision=platform.settings.serving_precision)


def _store_urls(platform: Platform, operation_id: str, urls: list[str]) -> str:
    """In an object: the row is read with every list, and URLs may hold signatures. Returns its sha256."""
    content = json.dumps(urls).encode()
    file = TemporaryFile(platform.settings.temp, UploadRoom(platform).for_body(len(content)))
    try:
        file.write(content)
        file.flush()
        key = operation_input_key(operation_id, URLS_INPUT)
        return platform.store.put(key, file.path, media_type="application/json").sha256
    finally:
        file.remove()
