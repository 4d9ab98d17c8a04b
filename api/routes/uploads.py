"""Large uploads: resumable (tus 1.0.0), with a preflight that validates the ZIP's directory before it is sent."""

from contextlib import closing
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from api.dependencies import CurrentPlatform
from api.http.idempotency import Idempotency
from api.schemas.uploads import Preflight, ResumableUpload, resumable_upload
from api.uploads import tus_headers as tus
from api.uploads.announced import announced_upload
from api.uploads.body import refuse_too_large
from api.uploads.finisher import Finisher
from api.uploads.openapi import (
    CHECKSUM_HEADER,
    CHUNK_BODY,
    CHUNK_BYTES,
    CHUNK_PROBLEMS,
    NO_UPLOAD,
    OFFSET_HEADER,
    VERSION_HEADER,
    ZIP_END_BODY,
    header,
)
from api.uploads.preflight import preflight
from api.uploads.tus_chunks import append_chunk
from core.db.tables import UploadRow
from core.domain import errors
from core.services.context import Platform
from core.services.uploads.finish import discard_upload
from core.services.uploads.room import UploadRoom
from core.services.uploads.sessions import OPEN, REFUSED, NewUpload, create_upload, get_upload
from http_common.openapi import problem_responses
from http_common.problems import invalid_fields

router = APIRouter(tags=["datasets"])


async def finisher_of(request: Request) -> Finisher:
    finisher: Finisher = request.app.state.finisher
    return finisher


CurrentFinisher = Annotated[Finisher, Depends(finisher_of)]


@router.options("/uploads", summary="Read the capabilities of resumable uploads", status_code=204)
def capabilities(platform: CurrentPlatform) -> Response:
    """Version, extensions, checksum algorithms and size limit, as headers of the tus protocol."""
    return Response(status_code=204, headers=tus.capabilities(platform.settings))


@router.options("/uploads/{upload_id}", summary="Read the capabilities of an upload", status_code=204)
def capabilities_of_upload(platform: CurrentPlatform, upload_id: str) -> Response:  # noqa: ARG001 - part of the path
    """The same, whichever upload it is."""
    return capabilities(platform)


@router.post(
    "/uploads",
    status_code=201,
    response_model=ResumableUpload,
    summary="Start a resumable upload",
    responses=problem_responses(
        errors.UploadInvalid,
        errors.RequestInFlight,
        errors.UploadTooLarge,
        errors.IdempotencyKeyReused,
        errors.OutOfSpace,
        errors.TusVersionUnsupported,
        errors.MediaTypeUnsupported,
        errors.ChecksumMismatch,
        errors.UploadNotFound,
        *errors.JOINING,
    ),
    openapi_extra={
        "requestBody": {"required": False, "content": CHUNK_BYTES},
        "parameters": [
            VERSION_HEADER,
            header("Upload-Length", "Size of the whole ZIP in bytes.", pattern="^[0-9]{1,15}$"),
            CHECKSUM_HEADER,
            header(
                "Upload-Metadata",
                "Pairs `key base64value`, separated by commas: `filename`, `name`, `project`, `extends`, `sha256` (of "
                "the whole ZIP, in hexadecimal; verified at the end), and the options of `/upload-dataset`. "
                "Other keys are ignored.",
                required=False,
            ),
        ],
    },
)
async def start_upload(
    request: Request, platform: CurrentPlatform, finisher: CurrentFinisher, idempotency: Idempotency
) -> Response:
    """`Location` is the URL of the upload. Send the ZIP to it as any number of chunks, each with a PATCH.

    The first chunk may be the body of this request: `Upload-Offset` is where the next one begins, 0 where that chunk
    could not be stored. Sent again with the same Idempotency-Key, the answer describes the upload as it is by then.
    """
    tus.require_version(request.headers)
    tus.refuse_unsupported(request.headers)
    new = await run_in_threadpool(announced_upload, request, platform)
    with_chunk = tus.carries_chunk(request.headers, length=new.length_bytes)
    checksum = _checksum_in(request)
    row, replayed = await run_in_threadpool(_create, platform, idempotency, new)
    if with_chunk and not replayed:
        row = await _append_first(request, platform, finisher, row.id, checksum)
    answer = JSONResponse(resumable_upload(row).model_dump(mode="json"), status_code=201)
    answer.headers["location"] = f"{platform.settings.public_url.rstrip('/')}/uploads/{row.id}"
    answer.headers.update(tus.describe(row) | ({"idempotency-replayed": "true"} if replayed else {}))
    return answer


async def _append_first(
    request: Request, platform: Platform, finisher: Finisher, upload_id: str, checksum: tus.Checksum | None
) -> UploadRow:
    """The upload after the chunk that came with its creation.

    Where the service could not store it, the client continues with PATCH from the offset of the answer. A chunk that
    is wrong takes its upload with it: an error names no URL at which the upload could be continued or deleted.
    """
    try:
        return await _append(request, platform, finisher, upload_id, offset=0, checksum=checksum)
    except (errors.OutOfSpace, errors.Unavailable):
        return await run_in_threadpool(get_upload, platform.db, upload_id)
    except errors.DarkroomError:
        await run_in_threadpool(discard_upload, platform, upload_id)
        raise


def _create(platform: Platform, idempotency: Idempotency, new: NewUpload) -> tuple[UploadRow, bool]:
    """(the upload, whether an earlier request with the same key created it). Raises UploadNotFound if that is gone."""
    refuse_too_large(new.length_bytes, platform.settings)
    meaning = [
        new.length_bytes,
        new.source_name,
        new.name,
        new.options,
        new.sha256,
        *filter(None, [new.project, new.extends]),
    ]
    with idempotency.claimed():
        if replayed := idempotency.replay(meaning):
            upload_id = ResumableUpload.model_validate_json(bytes(replayed.body)).upload_id
            return get_upload(platform.db, upload_id), True
        on_commit = idempotency.keep(resumable_upload, meaning)
        with closing(UploadRoom(platform).for_new(new.length_bytes)):
            return create_upload(platform.db, platform.settings, new, on_commit=on_commit), False


@router.head(
    "/uploads/{upload_id}",
    summary="Read the offset of a resumable upload",
    responses=problem_responses(*NO_UPLOAD),
    openapi_extra={"parameters": [VERSION_HEADER]},
    response_class=Response,
)
async def head_upload(
    request: Request, platform: CurrentPlatform, finisher: CurrentFinisher, upload_id: str
) -> Response:
    """`Upload-Offset` is where the next chunk begins."""
    tus.require_version(request.headers)
    row = await _current(platform, finisher, upload_id)
    if row.state == REFUSED:
        raise errors.Gone("The upload was refused: start a new one.", problem=row.problem)
    return Response(status_code=200, headers=tus.describe(row))


@router.get(
    "/uploads/{upload_id}",
    summary="Read the state of a resumable upload",
    responses=problem_responses(errors.UploadNotFound),
)
async def read_upload(platform: CurrentPlatform, finisher: CurrentFinisher, upload_id: str) -> ResumableUpload:
    """The bytes stored so far and, once it is done, the job created from it."""
    return resumable_upload(await _current(platform, finisher, upload_id))


@router.patch(
    "/uploads/{upload_id}",
    summary="Send a chunk of a resumable upload",
    status_code=204,
    responses=CHUNK_PROBLEMS,
    openapi_extra={
        "requestBody": CHUNK_BODY,
        "parameters": [
            VERSION_HEADER,
            OFFSET_HEADER,
            CHECKSUM_HEADER,
        ],
    },
)
async def send_chunk(
    request: Request, platform: CurrentPlatform, finisher: CurrentFinisher, upload_id: str
) -> Response:
    """The bytes from `Upload-Offset` on. With the last byte the upload becomes a job, named by `Darkroom-Job-Id`.

    All bytes below the `Upload-Offset` of the answer are stored for good. When the connection breaks, a chunk with a
    checksum is dropped as a whole; of a chunk without one, the bytes received are kept. Creating the job can take some
    seconds longer than the last chunk: then `Darkroom-Job-Id` comes with a later HEAD or GET.
    """
    tus.require_version(request.headers)
    tus.require_chunk(request.headers)
    try:
        offset = tus.whole_number(request.headers, "Upload-Offset")
    except tus.HeaderInvalid as error:
        raise invalid_fields([{"field": error.name, "message": error.message}]) from error
    checksum = _checksum_in(request)
    row = await _append(request, platform, finisher, upload_id, offset=offset, checksum=checksum)
    return Response(status_code=204, headers=tus.describe(row))


@router.delete(
    "/uploads/{upload_id}",
    summary="Delete a resumable upload",
    status_code=204,
    responses=problem_responses(errors.UploadNotFound, errors.TusVersionUnsupported),
    openapi_extra={"parameters": [VERSION_HEADER]},
)
def delete_upload(request: Request, platform: CurrentPlatform, upload_id: str) -> Response:
    """Deletes its bytes. A job already created from it stays."""
    tus.require_version(request.headers)
    discard_upload(platform, upload_id)
    return Response(status_code=204)


@router.post(
    "/uploads/{upload_id}",
    summary="Send a chunk or delete an upload, by POST",
    status_code=204,
    responses=CHUNK_PROBLEMS,
    openapi_extra={
        "requestBody": {"required": False, "content": CHUNK_BYTES},
        "parameters": [
            header("X-HTTP-Method-Override", "What the request means.", enum=["PATCH", "DELETE"]),
            VERSION_HEADER,
            header("Upload-Offset", "As for PATCH.", required=False),
            header("Upload-Checksum", "As for PATCH.", required=False),
        ],
    },
)
async def override(request: Request, platform: CurrentPlatform, finisher: CurrentFinisher, upload_id: str) -> Response:
    """PATCH and DELETE for clients whose proxy allows neither; part of the protocol."""
    match request.headers.get("x-http-method-override", "").upper():
        case "PATCH":
            return await send_chunk(request, platform, finisher, upload_id)
        case "DELETE":
            return await run_in_threadpool(delete_upload, request, platform, upload_id)
    raise invalid_fields([{"field": "X-HTTP-Method-Override", "message": "expected PATCH or DELETE"}])


@router.post(
    "/preflight",
    summary="Validate the directory of a ZIP before sending it",
    responses=problem_responses(errors.PreflightIncomplete, errors.LimitExceeded),
    openapi_extra={"requestBody": ZIP_END_BODY},
)
async def preflight_archive(
    request: Request,
    platform: CurrentPlatform,
    total: Annotated[int, Query(alias="bytes", ge=1, le=2**50, description="Size of the whole ZIP.")],
) -> Preflight:
    """Send the last 65,557 bytes of the ZIP, or more: they must contain the whole central directory.

    When the directory is longer than the body, the problem `preflight-incomplete` names the number of bytes needed.
    The content of the files (local headers, checksums, annotations) is validated after the upload.
    """
    return Preflight.model_validate(await preflight(request, platform, total=total))


async def _append(
    request: Request,
    platform: Platform,
    finisher: Finisher,
    upload_id: str,
    *,
    offset: int,
    checksum: tus.Checksum | None,
) -> UploadRow:
    """The upload with the body appended; finished, where that was its last byte and the job was created in time."""
    row = await append_chunk(request, platform, upload_id, offset=offset, checksum=checksum)
    if row.received_bytes < row.length_bytes:
        return row
    await finisher.wait(upload_id)
    return await run_in_threadpool(get_upload, platform.db, upload_id)


async def _current(platform: CurrentPlatform, finisher: Finisher, upload_id: str) -> UploadRow:
    row = await run_in_threadpool(get_upload, platform.db, upload_id)
    if row.state == OPEN and row.received_bytes == row.length_bytes:
        finisher.begin(upload_id)  # a process may have died after the last byte and before the job
    return row


def _checksum_in(request: Request) -> tus.Checksum | None:
    try:
        return tus.read_checksum(request.headers)
    except tus.HeaderInvalid as error:
        raise invalid_fields([{"field": error.name, "message": error.message}]) from error
