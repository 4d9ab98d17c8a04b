"""Model versions, their artifacts and downloads. Their aliases are in aliases.py."""

from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.dependencies import PAGE, AsLink, CurrentPlatform, Cursor, Limit, ProjectFilter
from api.http.downloads import MAY_CHANGE, NEVER_CHANGES, StoredFile, file_name, send_stored
from api.http.reading import CurrentReads, Reads
from api.schemas import PageOf
from api.schemas.links import link
from api.schemas.models import (
    ModelVersion,
    ModelVersions,
    alias_item,
    version_json,
    versions_page_json,
)
from core.db.tables import ArtifactRow, VersionRow
from core.domain import errors
from core.domain.media_types import ARTIFACT_TYPES
from core.services.context import Platform
from core.services.models import versions
from core.services.models.refs import is_job, name_of_line, slug_of_line
from core.services.views import version_overviews
from http_common.openapi import file_responses, problem_responses
from http_common.problems import invalid_fields

router = APIRouter(tags=["models"])

MISSING = (errors.JobNotFound, errors.Gone, errors.ProjectNotFound, errors.ProjectRenamed, errors.VersionNotFound)


@router.get(
    "/models",
    summary="List the model versions of all jobs",
    response_model=PageOf[ModelVersion],
    responses=problem_responses(errors.CursorInvalid, *MISSING[:4]),
)
async def list_models(
    platform: CurrentPlatform,
    reads: CurrentReads,
    job_id: str | None = None,
    project: ProjectFilter = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> Response:
    """Newest first. By `job_id` or `project`, those of one."""
    if job_id and project:
        raise invalid_fields([{"field": "project", "message": "send either job_id or project"}])
    if job_id and not is_job(job_id):
        raise errors.JobNotFound(f"There is no job {job_id[:80]}.", job_id=job_id[:80])
    if project and is_job(project):
        raise errors.ProjectNotFound(f"There is no project {project[:80]}.", project=project[:80])
    return await page_of_models(platform, reads, cursor=cursor, limit=limit, ref=job_id or project)


async def page_of_models(
    platform: Platform, reads: Reads, *, cursor: str | None, limit: int, ref: str | None
) -> Response:
    """`ref`: of one job or project."""

    def read() -> bytes:
        page = versions.list_versions(platform.db, cursor=cursor, limit=limit, ref=ref, whole=False)
        return versions_page_json(_versions_json(platform, page.items), next_cursor=page.next_cursor)

    return await reads.answer(read)


@router.get(
    "/models/{ref}",
    summary="List the model versions of a job or a project",
    response_model=ModelVersions,
    responses=problem_responses(*MISSING[:4]),
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
            project=slug_of_line(platform.db, ref),
            next_cursor=page.next_cursor,
            aliases=[alias_item(row) for row in versions.aliases_of(platform.db, ref)],
            links=links,
        )

    return await reads.answer(read)


@router.get(
    "/models/{ref}/{version}",
    summary="Read a model version",
    response_model=ModelVersion,
    responses=problem_responses(*MISSING),
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
    | problem_responses(*MISSING, errors.ArtifactNotFound, errors.RangeInvalid),
)
def get_artifact(
    request: Request, platform: CurrentPlatform, ref: str, version: str, name: str, as_link: AsLink = False
) -> Response:
    """Send one artifact of a version: `best.pt`, `metrics.json`, `data.yaml`, `model.json`, `results.csv` or a plot."""
    row = versions.find_version(platform.db, ref, version=version)
    artifact = versions.find_artifact(platform.db, row, name)
    path = link(f"/models/{ref}/v{row.number}/artifacts/{name}")
    is_latest = version == versions.LATEST
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
    | problem_responses(*MISSING, errors.AliasNotFound, errors.AliasElsewhere, errors.RangeInvalid),
)
def download_model(
    request: Request,
    platform: CurrentPlatform,
    ref: str,
    version: str | None = None,
    alias: str | None = None,
    as_link: AsLink = False,
) -> Response:
    """By `version`, by `alias`, or the latest; of a project its `production`, else the latest. Content-Location names
    the version; ranges are supported."""
    if version and alias:
        problem = {"field": "alias", "message": "send either version or alias"}
        raise invalid_fields([problem])
    row = versions.find_version(platform.db, ref, version=version, alias=alias)
    artifact = versions.find_artifact(platform.db, row, row.weights_name)
    may_change = not version or version == versions.LATEST
    return send_stored(
        request,
        platform.store,
        _stored(platform, row, artifact),
        cache=MAY_CHANGE if may_change else NEVER_CHANGES,
        location=link(f"/download/model/{ref}", version=f"v{row.number}"),
        as_link=as_link,
    )


def _versions_json(platform: Platform, rows: Sequence[VersionRow]) -> list[bytes]:
    mlflow = platform.settings.mlflow_link
    return [version_json(each, mlflow_link=mlflow) for each in version_overviews(platform.db, rows)]


def _stored(platform: Platform, version: VersionRow, artifact: ArtifactRow) -> StoredFile:
    name = file_name(name_of_line(platform.db, version), f"v{version.number}", artifact.name)
    return StoredFile(artifact.key, artifact.bytes, artifact.sha256, artifact.media_type, file_name=name)
