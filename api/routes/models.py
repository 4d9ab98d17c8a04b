"""Model versions, their artifacts, downloads and aliases."""

from collections.abc import Sequence
from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.dependencies import PAGE, AsLink, CurrentPlatform, Cursor, Limit
from api.http.downloads import MAY_CHANGE, NEVER_CHANGES, StoredFile, file_name, send_stored
from api.http.idempotency import Idempotency
from api.http.openapi import file_responses, problem_responses
from api.http.problems import invalid_fields
from api.http.reading import CurrentReads
from api.schemas import PageOf
from api.schemas.links import link
from api.schemas.models import (
    Alias,
    ModelVersion,
    ModelVersions,
    SetAlias,
    alias_item,
    alias_of,
    version_json,
    versions_page_json,
)
from core.db.tables import ArtifactRow, VersionRow
from core.domain import errors
from core.domain.media_types import ARTIFACT_TYPES
from core.services.context import Platform
from core.services.models import versions
from core.services.models.refs import is_job, name_of_line
from core.services.views import version_overviews

router = APIRouter(tags=["models"])

_MISSING = (errors.JobNotFound, errors.Gone, errors.ProjectNotFound, errors.ProjectRenamed, errors.VersionNotFound)


@router.get(
    "/models",
    summary="List the model versions of all jobs",
    response_model=PageOf[ModelVersion],
    responses=problem_responses(errors.CursorInvalid, *_MISSING[:4]),
)
async def list_models(
    platform: CurrentPlatform,
    reads: CurrentReads,
    job_id: str | None = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> Response:
    """Newest first."""

    def read() -> bytes:
        page = versions.list_versions(platform.db, cursor=cursor, limit=limit, ref=job_id, whole=False)
        return versions_page_json(_versions_json(platform, page.items), next_cursor=page.next_cursor)

    return await reads.answer(read)


@router.get(
    "/models/{ref}",
    summary="List the model versions of a job or a project",
    response_model=ModelVersions,
    responses=problem_responses(*_MISSING[:4]),
)
async def list_job_models(
    platform: CurrentPlatform, reads: CurrentReads, ref: str, cursor: Cursor = None, limit: Limit = PAGE
) -> Response:
    """Newest first, with the aliases that point at them."""

    def read() -> bytes:
        page = versions.list_versions(platform.db, cursor=cursor, limit=limit, ref=ref, whole=False)
        links = {"self": link(f"/models/{ref}")}
        if is_job(ref):
            links["job"] = link(f"/jobs/{ref}")
        if page.items:
            links["download"] = link(f"/download/model/{ref}")
        return versions_page_json(
            _versions_json(platform, page.items),
            job_id=ref if is_job(ref) else None,
            next_cursor=page.next_cursor,
            aliases=[alias_item(row) for row in versions.aliases_of(platform.db, ref)],
            links=links,
        )

    return await reads.answer(read)


@router.get(
    "/models/{ref}/{version}",
    summary="Read a model version",
    response_model=ModelVersion,
    responses=problem_responses(*_MISSING),
)
async def get_model(platform: CurrentPlatform, reads: CurrentReads, ref: str, version: str) -> Response:
    """Metrics, params, fingerprint, artifacts with their sha256. `version` is, for example, `v2`, or `latest`."""

    def read() -> bytes:
        return _versions_json(platform, [versions.find_version(platform.db, ref, version=version)])[0]

    return await reads.answer(read)


@router.head("/models/{ref}/{version}/artifacts/{name}", include_in_schema=False)
@router.get(
    "/models/{ref}/{version}/artifacts/{name}",
    summary="Download an artifact",
    response_class=Response,
    responses=file_responses(*ARTIFACT_TYPES)
    | problem_responses(*_MISSING, errors.ArtifactNotFound, errors.RangeInvalid),
)
def get_artifact(
    request: Request, platform: CurrentPlatform, ref: str, version: str, name: str, as_link: AsLink = False
) -> Response:
    """Send one artifact of a version: `best.pt`, `metrics.json`, `data.yaml`, `model.json`, `results.csv` or a plot."""
    row = versions.find_version(platform.db, ref, version=version)
    artifact = versions.find_artifact(platform.db, row, name)
    path = link(f"/models/{ref}/v{row.number}/artifacts/{name}")
    is_latest = version == "latest"
    return send_stored(
        request,
        platform.store,
        _stored(platform, row, artifact),
        cache=MAY_CHANGE if is_latest else NEVER_CHANGES,
        location=path,
        as_link=as_link,
    )


@router.head("/download/model/{ref}", include_in_schema=False)
@router.get(
    "/download/model/{ref}",
    summary="Download the weights of a model",
    response_class=Response,
    responses=file_responses("application/octet-stream")
    | problem_responses(*_MISSING, errors.AliasNotFound, errors.RangeInvalid),
)
def download_model(
    request: Request,
    platform: CurrentPlatform,
    ref: str,
    version: str | None = None,
    alias: str | None = None,
    as_link: AsLink = False,
) -> Response:
    """By `version`, by `alias`, or the latest. Content-Location names the version; ranges are supported."""
    if version and alias:
        problem = {"field": "alias", "message": "send either version or alias"}
        raise invalid_fields([problem])
    row = versions.find_version(platform.db, ref, version=version, alias=alias)
    artifact = versions.find_artifact(platform.db, row, row.weights_name)
    may_change = version in (None, "latest")
    return send_stored(
        request,
        platform.store,
        _stored(platform, row, artifact),
        cache=MAY_CHANGE if may_change else NEVER_CHANGES,
        location=link(f"/download/model/{ref}", version=f"v{row.number}"),
        as_link=as_link,
    )


@router.put(
    "/models/{ref}/aliases/{alias}",
    summary="Point an alias at a version",
    responses=problem_responses(*_MISSING, errors.AliasReserved),
)
def set_alias(platform: CurrentPlatform, ref: str, alias: str, body: SetAlias) -> Alias:
    """Sets an alias such as `production`. Every move is kept in its history."""
    versions.set_alias(platform.db, ref, alias, version=body.version)
    return alias_of(versions.get_alias(platform.db, ref, alias), ref)


@router.get(
    "/models/{ref}/aliases/{alias}",
    summary="Read an alias and its history",
    responses=problem_responses(*_MISSING[:4], errors.AliasNotFound),
)
def get_alias(platform: CurrentPlatform, ref: str, alias: str) -> Alias:
    """The version that it points at now, and every move, oldest first."""
    return alias_of(versions.get_alias(platform.db, ref, alias), ref)


@router.post(
    "/models/{ref}/aliases/{alias}/rollback",
    response_model=Alias,
    summary="Roll an alias back to its previous version",
    responses=problem_responses(
        *_MISSING[:4],
        errors.AliasNotFound,
        errors.NoEarlierVersion,
        errors.RequestInFlight,
        errors.IdempotencyKeyReused,
    ),
)
def roll_back_alias(platform: CurrentPlatform, idempotency: Idempotency, ref: str, alias: str) -> Alias | Response:
    """Goes back one step in the history; the rollback is kept in it too."""
    as_json = partial(alias_of, ref=ref)
    with idempotency.claimed():
        if replayed := idempotency.replay():
            return replayed
        rolled_back = versions.roll_back_alias(platform.db, ref, alias, on_commit=idempotency.keep(as_json))
    return as_json(rolled_back)


@router.delete(
    "/models/{ref}/aliases/{alias}",
    status_code=204,
    response_class=Response,
    summary="Remove an alias",
    responses=problem_responses(*_MISSING[:4], errors.AliasNotFound),
)
def remove_alias(platform: CurrentPlatform, ref: str, alias: str) -> Response:
    """The version stays. An alias that is set again keeps its history but cannot be rolled back past its removal."""
    versions.remove_alias(platform.db, ref, alias)
    return Response(status_code=204)


def _versions_json(platform: Platform, rows: Sequence[VersionRow]) -> list[bytes]:
    mlflow = platform.settings.mlflow_link
    return [version_json(each, mlflow_link=mlflow) for each in version_overviews(platform.db, rows)]


def _stored(platform: Platform, version: VersionRow, artifact: ArtifactRow) -> StoredFile:
    name = file_name(name_of_line(platform.db, version), f"v{version.number}", artifact.name)
    return StoredFile(artifact.key, artifact.bytes, artifact.sha256, artifact.media_type, file_name=name)
