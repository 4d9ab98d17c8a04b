"""Big uploads: resumable (tus 1.0.0), and judged by their directory before they are sent."""

import re
from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from api.dependencies import ThePlatform
from api.http.idempotency import Idempotency
from api.http.openapi import problems
from api.http.problems import invalid
from api.schemas.uploads import Preflight, ResumableUpload, resumable_upload
from api.uploads import tus_headers as tus
from api.uploads.body import NAME_MAX, check_room, options_of, refuse_too_large, safe_name
from api.uploads.finisher import Finisher
from api.uploads.preflight import preflight
from api.uploads.tus_chunks import take_piece
from core.db.tables import UploadRow
from core.domain import errors
from core.services.context import Platform
from core.services.uploads.finish import end_upload
from core.services.uploads.sessions import OPEN, REFUSED, NewUpload, create_upload, get_upload

router = APIRouter(tags=["datasets"])

_NO_UPLOAD = (errors.UploadNotFound, errors.Gone, errors.TusVersionUnsupported)
_PIECE = {"required": True, "content": {tus.PIECE_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
_ZIP_END = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


def _header(name: str, description: str, *, required: bool = True) -> dict[str, object]:
    schema = {"type": "string"}
    return {"name": name, "in": "header", "required": required, "schema": schema, "description": description}


_VERSION = _header("Tus-Resumable", "`1.0.0`")


def finisher_of(request: Request) -> Finisher:
    finisher: Finisher = request.app.state.finisher
    return finisher


TheFinisher = Annotated[Finisher, Depends(finisher_of)]


@router.options("/uploads", summary="What resumable uploads can do", status_code=204)
@router.options("/uploads/{upload_id}", include_in_schema=False, status_code=204)
def offer(platform: ThePlatform) -> Response:
    """Version, extensions, checksum algorithms and largest size, as headers of the tus protocol."""
    return Response(status_code=204, headers=tus.offer(platform.settings))


@router.post(
    "/uploads",
    status_code=201,
    response_model=ResumableUpload,
    summary="Begin a resumable upload",
    responses=problems(
        errors.UploadInvalid,
        errors.RequestInFlight,
        errors.UploadTooLarge,
        errors.IdempotencyKeyReused,
        errors.OutOfSpace,
        errors.TusVersionUnsupported,
    ),
    openapi_extra={
        "parameters": [
            _VERSION,
            _header("Upload-Length", "Bytes of the whole ZIP."),
            _header(
                "Upload-Metadata",
                "`name base64,...`: `filename`, `name`, `sha256` (of the whole, in hexadecimal: checked at the end), "
                "and the options of `/upload-dataset`.",
                required=False,
            ),
        ]
    },
)
def begin_upload(request: Request, platform: ThePlatform, idempotency: Idempotency) -> Response:
    """`Location` is where its chunks go: PATCH, any number of them, one after another."""
    tus.require_version(request.headers)
    new = _announced(request)
    refuse_too_large(new.length_bytes, platform.settings)
    copies = 2 if platform.settings.store.startswith("file:") else 1  # the chunks, and the whole joined of them
    check_room(copies * new.length_bytes, platform.settings)

    meaning = [new.length_bytes, new.source_name, new.name, new.options, new.sha256]
    with idempotency.claimed():
        if replayed := idempotency.replay(meaning):
            return _with_location(replayed, platform)
        on_commit = idempotency.keep(resumable_upload, meaning)
        row = create_upload(platform.db, platform.settings, new, on_commit=on_commit)
    return _with_location(JSONResponse(resumable_upload(row).model_dump(mode="json"), status_code=201), platform)


@router.head("/uploads/{upload_id}", include_in_schema=False)
async def head_upload(request: Request, platform: ThePlatform, finisher: TheFinisher, upload_id: str) -> Response:
    """How far it is: where the next piece begins."""
    tus.require_version(request.headers)
    row = await _look(platform, finisher, upload_id)
    if row.state == REFUSED:
        raise errors.Gone("The upload was refused; send it again from the start.", problem=row.problem)
    return Response(status_code=200, headers=tus.describe(row))


@router.get(
    "/uploads/{upload_id}",
    summary="Look at a resumable upload",
    responses=problems(errors.UploadNotFound),
)
async def show_upload(platform: ThePlatform, finisher: TheFinisher, upload_id: str) -> ResumableUpload:
    """How far it is, and once it is done the job that it became."""
    return resumable_upload(await _look(platform, finisher, upload_id))


@router.patch(
    "/uploads/{upload_id}",
    summary="Send a piece of a resumable upload",
    status_code=204,
    responses=problems(
        *_NO_UPLOAD,
        errors.UploadInvalid,
        errors.UploadOffsetDiffers,
        errors.MediaTypeUnsupported,
        errors.UploadLocked,
        errors.ChecksumMismatch,
        errors.OutOfSpace,
    ),
    openapi_extra={
        "requestBody": _PIECE,
        "parameters": [
            _VERSION,
            _header("Upload-Offset", "Where the piece begins: what HEAD said, or the answer to the last piece."),
            _header("Upload-Checksum", "`sha256 <base64>` or `sha1 <base64>` of this piece.", required=False),
        ],
    },
)
async def send_piece(request: Request, platform: ThePlatform, finisher: TheFinisher, upload_id: str) -> Response:
    """The bytes from `Upload-Offset` on. With the last one the upload becomes a job, named by `Darkroom-Job-Id`.

    What is answered as `Upload-Offset` is stored for good. A piece with a checksum counts whole or not at all; of one
    without, what came counts when the line breaks. The job may take some seconds more than the last piece: then
    `Darkroom-Job-Id` comes with HEAD or GET.
    """
    tus.require_version(request.headers)
    tus.require_piece(request.headers)
    try:
        offset = tus.whole_number(request.headers, "Upload-Offset")
        checksum = tus.read_checksum(request.headers)
    except tus.HeaderInvalid as error:
        raise invalid([{"field": error.name, "message": error.message}]) from error
    row = await take_piece(request, platform, upload_id, offset=offset, checksum=checksum)
    if row.received_bytes == row.length_bytes:
        await finisher.wait(upload_id)
        row = await run_in_threadpool(get_upload, platform.db, upload_id)
    return Response(status_code=204, headers=tus.describe(row))


@router.delete(
    "/uploads/{upload_id}",
    summary="End a resumable upload",
    status_code=204,
    responses=problems(errors.UploadNotFound, errors.TusVersionUnsupported),
)
def delete_upload(request: Request, platform: ThePlatform, upload_id: str) -> Response:
    """Nothing of it is kept. A job that it became already stays."""
    tus.require_version(request.headers)
    end_upload(platform, upload_id)
    return Response(status_code=204)


@router.post("/uploads/{upload_id}", include_in_schema=False)
async def override(request: Request, platform: ThePlatform, finisher: TheFinisher, upload_id: str) -> Response:
    """For clients behind something that lets no PATCH and DELETE through; the protocol asks for it."""
    match request.headers.get("x-http-method-override", "").upper():
        case "PATCH":
            return await send_piece(request, platform, finisher, upload_id)
        case "DELETE":
            return await run_in_threadpool(delete_upload, request, platform, upload_id)
    raise errors.MethodNotAllowed("POST takes only X-HTTP-Method-Override: PATCH or DELETE here.")


@router.post(
    "/preflight",
    summary="Judge a ZIP by its directory, before it is sent",
    responses=problems(errors.PreflightIncomplete, errors.LimitExceeded),
    openapi_extra={"requestBody": _ZIP_END},
)
async def preflight_archive(
    request: Request,
    platform: ThePlatform,
    total: Annotated[int, Query(alias="bytes", ge=1, le=2**50, description="Size of the whole ZIP.")],
) -> Preflight:
    """The body is the end of the ZIP: its last 65,557 bytes or more, the whole central directory among them.

    When its directory is longer than what was sent, `preflight-incomplete` says how many of the last bytes are needed.
    What lies in the files themselves (local headers, checksums, annotations) is judged after the upload.
    """
    return Preflight.model_validate(await preflight(request, platform.settings, total=total))


async def _look(platform: ThePlatform, finisher: Finisher, upload_id: str) -> UploadRow:
    row = await run_in_threadpool(get_upload, platform.db, upload_id)
    if row.state == OPEN and row.received_bytes == row.length_bytes:
        finisher.begin(upload_id)  # a process may have died between the last byte and the job
    return row


def _with_location(answer: JSONResponse, platform: Platform) -> JSONResponse:
    upload_id = ResumableUpload.model_validate_json(bytes(answer.body)).upload_id
    answer.headers["location"] = f"{platform.settings.public_url.rstrip('/')}/uploads/{upload_id}"
    return answer


def _announced(request: Request) -> NewUpload:
    try:
        if "upload-defer-length" in request.headers:
            raise tus.HeaderInvalid("Upload-Defer-Length", "the length is needed at the start, as Upload-Length")
        length = tus.whole_number(request.headers, "Upload-Length")
        fields = tus.read_metadata(request.headers)
        sha256 = fields.pop("sha256", "").lower() or None
        if sha256 and not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise tus.HeaderInvalid("Upload-Metadata", "`sha256` has 64 hexadecimal digits")
    except tus.HeaderInvalid as error:
        raise invalid([{"field": error.name, "message": error.message}]) from error
    if length == 0:
        raise errors.UploadInvalid("The upload is empty.")
    source_name = safe_name(fields.pop("filename", "")) or "upload.zip"
    name = safe_name(fields.pop("name", "")) or PurePosixPath(source_name).stem or "dataset"
    options = options_of(fields).model_dump(mode="json")
    return NewUpload(length, source_name, name[:NAME_MAX], options, sha256)
