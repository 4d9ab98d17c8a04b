"""The bundle of a model version: one ZIP with all that its users need. The first request queues its operation."""

from functools import partial

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import AsLink, CurrentPlatform, Wait
from api.http.downloads import MAY_CHANGE, StoredFile, file_name, send_stored
from api.http.long_poll import read_when_settled
from api.http.made_on_read import WAITS, queues_nothing, waiting
from api.routes.models import MISSING
from api.schemas.links import link
from core.db.tables import BundleRow
from core.domain import errors
from core.services.context import Platform
from core.services.models.bundles import Standing, find_bundle, request_bundle
from core.services.models.refs import name_of_line
from http_common.openapi import file_responses, problem_responses

router = APIRouter(tags=["exports"])

MEDIA_TYPE = "application/zip"


@router.head("/models/{ref}/{version}/bundle", include_in_schema=False)
@router.get(
    "/models/{ref}/{version}/bundle",
    summary="Download the bundle of a version",
    response_class=Response,
    responses=file_responses(MEDIA_TYPE)
    | WAITS
    | problem_responses(*MISSING, errors.BundleWithoutOnnx, errors.BundleFailed, errors.RangeInvalid),
)
async def download_bundle(
    request: Request,
    platform: CurrentPlatform,
    ref: str,
    version: str,
    wait: Wait = 0,
    as_link: AsLink = False,
) -> Response:
    """Weights, ONNX with its certificate, model card, metrics, labels, preprocessing, licences, and `predict.py`, which
    needs onnxruntime, numpy and pillow. `python -m pipeline verify` checks it offline.

    It is written once, when it is first asked for: until then GET answers 202 with the operation, which it has queued.
    HEAD, and what a browser prefetches, queue nothing.
    """
    read = partial(_find, request, platform, ref, version)
    standing = await read_when_settled(request, platform.db, read, _waits_for, seconds=wait)
    if standing.bundle is None:
        return waiting(standing.operation, standing.slug)
    return await run_in_threadpool(_send, request, platform, ref, standing, standing.bundle, as_link)


def _find(request: Request, platform: Platform, ref: str, version: str) -> Standing:
    if queues_nothing(request):
        return find_bundle(platform.db, ref, version)
    return request_bundle(platform, ref, version)


def _waits_for(standing: Standing) -> str | None:
    return standing.operation.id if standing.operation else None


def _send(
    request: Request, platform: Platform, ref: str, standing: Standing, bundle: BundleRow, as_link: bool
) -> Response:
    number = standing.version.number
    name = file_name(name_of_line(platform.db, standing.version), f"v{number}", "bundle.zip")
    return send_stored(
        request,
        platform.store,
        StoredFile(bundle.key, bundle.bytes, bundle.sha256, MEDIA_TYPE, file_name=name),
        cache=MAY_CHANGE,  # after its ONNX was deleted and made again, it is another one
        location=link(f"/models/{ref}/v{number}/bundle"),
        as_link=as_link,
    )
