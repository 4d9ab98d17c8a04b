"""Aliases: names for versions that can be moved. By a project, and by the id of one of its jobs."""

from typing import Protocol

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.responses import Response

from api.dependencies import CurrentPlatform, OfProject
from api.http.idempotency import Idempotency, IdempotentRequest
from api.routes.models import MISSING
from api.schemas import PageOf
from api.schemas.models import Alias, AliasItem, SetAlias, alias_item, alias_of, alias_of_project
from core.domain import errors
from core.services.context import Platform
from core.services.models import versions
from core.services.models.served import why_not_served
from core.services.models.versions import AliasHistory
from http_common.openapi import problem_responses

router = APIRouter(tags=["models"])


class AsJson(Protocol):
    def __call__(self, alias: AliasHistory, ref: str, /, *, warning: str | None) -> Alias: ...


_SET = problem_responses(*MISSING, errors.AliasReserved)
_FOUND = problem_responses(*MISSING[:4], errors.AliasNotFound)
_ROLLED_BACK = problem_responses(
    *MISSING[:4], errors.AliasNotFound, errors.NoEarlierVersion, errors.RequestInFlight, errors.IdempotencyKeyReused
)


@router.get("/projects/{project}/aliases", summary="List the aliases of a project", responses=_FOUND)
def list_aliases(platform: CurrentPlatform, project: OfProject) -> PageOf[AliasItem]:
    """By name."""
    return PageOf(items=[alias_item(row) for row in versions.aliases_of(platform.db, project)])


@router.put("/projects/{project}/aliases/{alias}", summary="Point an alias of a project at a version", responses=_SET)
def set_alias_of_project(platform: CurrentPlatform, project: OfProject, alias: str, body: SetAlias) -> Alias:
    """Sets an alias such as `production`. Every move is kept in its history. `warning` says why predictions are not
    answered by the version, where they are not: it has no export that passed, or none yet."""
    versions.set_alias(platform.db, project, alias, version=body.version)
    return _answered(platform, versions.get_alias(platform.db, project, alias), project, alias_of_project)


@router.get(
    "/projects/{project}/aliases/{alias}", summary="Read an alias of a project and its history", responses=_FOUND
)
def get_alias_of_project(platform: CurrentPlatform, project: OfProject, alias: str) -> Alias:
    """The version that it points at now, and every move, oldest first."""
    return _answered(platform, versions.get_alias(platform.db, project, alias), project, alias_of_project)


@router.post(
    "/projects/{project}/aliases/{alias}/rollback",
    response_model=Alias,
    summary="Roll an alias of a project back to its previous version",
    responses=_ROLLED_BACK,
)
def roll_back_alias_of_project(
    platform: CurrentPlatform, idempotency: Idempotency, project: OfProject, alias: str
) -> Alias | Response:
    """Goes back one step in the history; the rollback is kept in it too."""
    return _rolled_back(platform, idempotency, project, alias, alias_of_project)


@router.delete(
    "/projects/{project}/aliases/{alias}",
    status_code=204,
    response_class=Response,
    summary="Remove an alias of a project",
    responses=_FOUND,
)
def remove_alias_of_project(platform: CurrentPlatform, project: OfProject, alias: str) -> Response:
    """The version stays. An alias that is set again keeps its history but cannot be rolled back past its removal."""
    return remove_alias(platform, project, alias)


@router.put("/models/{ref}/aliases/{alias}", summary="Point an alias at a version", responses=_SET)
def set_alias(platform: CurrentPlatform, ref: str, alias: str, body: SetAlias) -> Alias:
    """As by the project, whose alias it is; `ref` may be the id of a job."""
    versions.set_alias(platform.db, ref, alias, version=body.version)
    return _answered(platform, versions.get_alias(platform.db, ref, alias), ref, alias_of)


@router.get("/models/{ref}/aliases/{alias}", summary="Read an alias and its history", responses=_FOUND)
def get_alias(platform: CurrentPlatform, ref: str, alias: str) -> Alias:
    """The version that it points at now, and every move, oldest first."""
    return _answered(platform, versions.get_alias(platform.db, ref, alias), ref, alias_of)


@router.post(
    "/models/{ref}/aliases/{alias}/rollback",
    response_model=Alias,
    summary="Roll an alias back to its previous version",
    responses=_ROLLED_BACK,
)
def roll_back_alias(platform: CurrentPlatform, idempotency: Idempotency, ref: str, alias: str) -> Alias | Response:
    """Goes back one step in the history; the rollback is kept in it too."""
    return _rolled_back(platform, idempotency, ref, alias, alias_of)


@router.delete(
    "/models/{ref}/aliases/{alias}",
    status_code=204,
    response_class=Response,
    summary="Remove an alias",
    responses=_FOUND,
)
def remove_alias(platform: CurrentPlatform, ref: str, alias: str) -> Response:
    """The version stays. An alias that is set again keeps its history but cannot be rolled back past its removal."""
    versions.remove_alias(platform.db, ref, alias)
    return Response(status_code=204)


def _rolled_back(
    platform: Platform, idempotency: IdempotentRequest, ref: str, alias: str, as_json: AsJson
) -> Alias | Response:
    def keep(session: Session, found: AliasHistory) -> None:
        answer = as_json(found, ref, warning=_warning(session, platform, found))
        idempotency.keep(lambda _: answer)(session, found)

    with idempotency.claimed():
        if replayed := idempotency.replay():
            return replayed
        rolled_back = versions.roll_back_alias(platform.db, ref, alias, on_commit=keep)
    return _answered(platform, rolled_back, ref, as_json)


def _answered(platform: Platform, found: AliasHistory, ref: str, as_json: AsJson) -> Alias:
    with platform.db.reading() as session:
        return as_json(found, ref, warning=_warning(session, platform, found))


def _warning(session: Session, platform: Platform, found: AliasHistory) -> str | None:
    precision = platform.settings.serving_precision
    return why_not_served(session, found.row.project, found.row.number, precision=precision)
