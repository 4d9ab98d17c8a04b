"""Exports of a model version: requested, compared side by side, downloaded, deleted."""

from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.responses import Response

from api.dependencies import PAGE, AsLink, CurrentPlatform, Cursor, Limit, Wait
from api.http.downloads import NEVER_CHANGES, StoredFile, file_name, send_stored
from api.http.idempotency import Idempotency
from api.http.long_poll import wait_until_ended
from api.http.reading import CurrentReads
from api.routes.models import MISSING
from api.schemas.exports import Export, ExportRequest, Exports, export_of, exports_of
from api.schemas.links import link
from api.schemas.operations import Operation, requested_operation, status_of_requested
from api.web.exports_svg import exports_svg
from api.web.svg_style import CSP
from core.db.tables import ExportRow, VersionRow
from core.domain import errors
from core.services.context import Platform
from core.services.models import exports
from core.services.models.refs import name_of_line
from core.services.models.versions import find_version
from core.services.on_commit import OnCommit
from core.services.operations.commands import Requested, get_operation
from core.services.projects.commands import get_project
from http_common.openapi import file_responses, problem_responses
from pipeline.export.options import validate_options


class _ExportId(StringConvertor):
    """So that `/exports/plot` is no export: it cannot be deleted."""

    regex = "export_[0-9a-z]+"


register_url_convertor("export_id", _ExportId())
router = APIRouter(prefix="/models/{ref}/{version}/exports", tags=["exports"])

_ONE = (*MISSING, errors.ExportNotFound)
_MADE: dict[int | str, dict[str, Any]] = {
    200: {"model": Operation, "description": "It is being made, or was made before."}
}
SVG = "image/svg+xml"
PLOTTED = 40  # the newest exports: more fit no drawing
_DRAWN: dict[int | str, dict[str, Any]] = {
    200: {"description": "The plot.", "content": {SVG: {"schema": {"type": "string"}}}}
}
_TYPES = ("application/octet-stream", "application/zip")


@router.post(
    "",
    status_code=202,
    response_model=Operation,
    summary="Export a version",
    responses=_MADE | problem_responses(*MISSING, errors.RequestInFlight, errors.IdempotencyKeyReused),
)
async def request_export(
    request: Request,
    response: Response,
    platform: CurrentPlatform,
    idempotency: Idempotency,
    ref: str,
    version: str,
    body: ExportRequest | None = None,
    wait: Wait = 0,
) -> Operation | Response:
    """A file that runs without the framework of the model, and its certificate: what it answers on images of the
    dataset, beside the model. The answer is an operation, whose result names the export."""
    wanted = body or ExportRequest()
    meaning = wanted.model_dump(mode="json")
    async with idempotency.claimed_for_long():
        if replayed := idempotency.replay(meaning):
            return replayed
        on_commit = idempotency.keep(requested_operation, meaning, status_of=status_of_requested)
        requested = await run_in_threadpool(_request, platform, ref, version, wanted, on_commit)
    response.status_code = status_of_requested(requested)
    if wait == 0:
        return requested_operation(requested)
    await wait_until_ended(request, platform.db, requested.operation.id, seconds=wait)
    ended = await run_in_threadpool(get_operation, platform.db, requested.operation.id)
    return requested_operation(requested._replace(operation=ended))


@router.get(
    "",
    summary="List the exports of a version",
    response_model=Exports,
    responses=problem_responses(*MISSING, errors.CursorInvalid),
)
async def list_exports(
    platform: CurrentPlatform,
    reads: CurrentReads,
    ref: str,
    version: str,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> Response:
    """All formats side by side: size, equal predictions, change of the main metric, speed. Beside them the model in its
    framework, and what waits or could not be made."""

    return await reads.answer(lambda: read_exports(platform, ref, version, cursor=cursor, limit=limit))


@router.get(
    "/plot",
    summary="Plot the exports of a version",
    response_class=Response,
    responses=_DRAWN | problem_responses(*MISSING),
)
async def plot_exports(platform: CurrentPlatform, reads: CurrentReads, ref: str, version: str) -> Response:
    """Time of a prediction against the main metric with its interval, a point for each of the newest exports, and the
    model in its framework. SVG: light or dark as the browser is, without scripts."""

    def draw() -> bytes:
        return exports_svg(read_exports(platform, ref, version, cursor=None, limit=PLOTTED))

    return await reads.answer(draw, media_type=SVG, headers={"content-security-policy": CSP})


@router.get(
    "/{export_id:export_id}", summary="Read an export", response_model=Export, responses=problem_responses(*_ONE)
)
async def get_export(
    platform: CurrentPlatform, reads: CurrentReads, ref: str, version: str, export_id: str
) -> Response:
    """Its file, whether its certificate passed, and the figures of that."""

    def read() -> Export:
        found = exports.get_export(platform.db, ref, version, export_id)
        return export_of(found.export, found.version, found.slug, _namer(platform, found.version)(found.export))

    return await reads.answer(read)


@router.get(
    "/{export_id:export_id}/certificate",
    summary="Read the certificate of an export",
    response_model=dict,
    responses=problem_responses(*_ONE),
)
async def get_certificate(
    platform: CurrentPlatform, reads: CurrentReads, ref: str, version: str, export_id: str
) -> Response:
    """What was compared, how, within which bounds, and on what machine."""
    return await reads.answer(
        lambda: to_json(exports.get_export(platform.db, ref, version, export_id).export.certificate)
    )


@router.head("/{export_id:export_id}/download", include_in_schema=False)
@router.get(
    "/{export_id:export_id}/download",
    summary="Download an export",
    response_class=Response,
    responses=file_responses(*_TYPES) | problem_responses(*_ONE, errors.ExportNotPassed, errors.RangeInvalid),
)
def download_export(
    request: Request,
    platform: CurrentPlatform,
    ref: str,
    version: str,
    export_id: str,
    force: bool = False,
    as_link: AsLink = False,
) -> Response:
    """The file, with ranges and sha256. One whose certificate did not pass is sent with `force=true` alone."""
    found = exports.get_export(platform.db, ref, version, export_id)
    row = found.export
    if not (row.passed or force):
        reasons = row.certificate.get("reasons") or []
        detail = " ".join(["The certificate did not pass.", *reasons[:1], "`force=true` sends the file nevertheless."])
        raise errors.ExportNotPassed(detail, export_id=row.id, reasons=reasons)
    name = _namer(platform, found.version)(row)
    return send_stored(
        request,
        platform.store,
        StoredFile(row.key, row.bytes, row.sha256, row.media_type, file_name=name),
        cache=NEVER_CHANGES,
        location=link(f"/models/{ref}/v{found.version.number}/exports/{row.id}/download"),
        as_link=as_link,
    )


@router.delete(
    "/{export_id:export_id}", status_code=204, summary="Delete an export", responses=problem_responses(*_ONE)
)
def delete_export(platform: CurrentPlatform, ref: str, version: str, export_id: str) -> None:
    """With the bundle that holds it. The same can be made again."""
    exports.delete_export(platform.db, ref, version, export_id)


def read_exports(platform: Platform, ref: str, version: str, *, cursor: str | None, limit: int) -> Exports:
    """Raises what finding the version raises, and CursorInvalid."""
    found = exports.list_exports(platform.db, ref, version, cursor=cursor, limit=limit)
    named = _namer(platform, found.version)
    items = [export_of(row, found.version, found.slug, named(row)) for row in found.page.items]
    return exports_of(found, items)


def _request(platform: Platform, ref: str, version: str, wanted: ExportRequest, on_commit: OnCommit) -> Requested:
    project_id = find_version(platform.db, ref, version=version).project_id
    kind = str(get_project(platform.db, project_id).kind)
    validate_options(kind, format=wanted.format, precision=wanted.precision, nms=wanted.nms, max_drop=wanted.max_drop)
    return exports.request_export(platform, ref, version, wanted.as_choice(), on_commit=on_commit)


def _namer(platform: Platform, version: VersionRow) -> Callable[[ExportRow], str]:
    return partial(_download_name, name_of_line(platform.db, version), version.number)


def _download_name(line: str, number: int, row: ExportRow) -> str:
    """`raccoons-v3.onnx`, `raccoons-v3-openvino-int8.zip`: what is not the default is named."""
    stem, _, suffix = row.file_name.rpartition(".")
    of_format = "" if suffix == row.format else row.format
    precision = "" if row.precision == "fp32" else row.precision
    nms = "nms" if row.options["nms"] == "inside" else ""
    return f"{file_name(line, f'v{number}', of_format, precision, nms)}.{suffix}" if stem else row.file_name
