"""Model versions, their artifacts and their aliases. Versions are never deleted singly and never change.

Where a function takes a `ref`, that is the id of a job or the slug or id of a project.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import structlog
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session, defer

from core import clock
from core.db import Database
from core.db.tables import AliasMoveRow, AliasRow, ArtifactRow, VersionRow
from core.domain.errors import (
    AliasElsewhere,
    AliasNotFound,
    AliasReserved,
    ArtifactNotFound,
    Gone,
    NoEarlierVersion,
    VersionNotFound,
)
from core.domain.model_names import PRODUCTION, alias_name, version_name
from core.services.models.refs import Line, line_in
from core.services.on_commit import OnCommit, do_nothing
from core.services.paging import Page, page_of
from core.services.projects.lookup import touch_project
from core.services.projects.main_figures import MAIN_FIGURES, metrics_of

log = structlog.get_logger(__name__)

_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_RESERVED = re.compile(r"latest|v\d+")  # MLflow reserves them too
LATEST = "latest"
NOWHERE = 0  # the number and the position of a removed alias
_NUMBER = re.compile(r"v?([1-9]\d{0,8})")


class AliasHistory(NamedTuple):
    """An alias and its moves, oldest first. `is_elsewhere`: a job was asked, and the version is of another one."""

    row: AliasRow
    moves: list[AliasMoveRow]
    is_elsewhere: bool


class VersionBrief(NamedTuple):
    """A version as a line of a list. `model`: the param. `metrics`: the main ones alone."""

    row: VersionRow
    model: str | None
    metrics: dict[str, dict[str, float]]


_BRIEFS = select(VersionRow.id, VersionRow.params["model"].as_string(), *MAIN_FIGURES).where(
    VersionRow.id.in_(bindparam("ids", expanding=True))
)


def list_versions(
    db: Database, *, cursor: str | None, limit: int, ref: str | None = None, whole: bool = True
) -> Page[VersionRow]:
    """Newest first; of one job or project, or across all. Not `whole`: without params, metrics and artifacts.

    Raises JobNotFound, ProjectNotFound, ProjectRenamed, Gone.
    """
    left_out = () if whole else tuple(map(defer, (VersionRow.params, VersionRow.metrics, VersionRow.artifacts)))
    with db.reading() as session:
        statement = select(VersionRow).where(VersionRow.deleted_at.is_(None)).options(*left_out)
        if ref:
            statement = statement.where(line_in(session, ref).has_version)
        return page_of(session, statement, VersionRow.id, cursor=cursor, limit=limit, newest_first=True)


def version_briefs(db: Database, versions: Sequence[VersionRow]) -> list[VersionBrief]:
    """In the order of `versions`, which need not be whole."""
    with db.reading() as session:
        rows = session.execute(_BRIEFS, {"ids": [row.id for row in versions]})
        found = {row_id: (model, metrics_of(figures)) for row_id, model, *figures in rows}
    return [VersionBrief(row, *found[row.id]) for row in versions]


def find_version(db: Database, ref: str, *, version: str | None = None, alias: str | None = None) -> VersionRow:
    """By `v2` (or `2`), by alias, or without both: a job's latest; a project's `production`, else its latest.

    `ref`: as for `line_in`. Raises what that raises, and VersionNotFound, AliasNotFound, AliasElsewhere.
    """
    with db.reading() as session:
        return version_in(session, line_in(session, ref), version=version, alias=alias)


def version_in(session: Session, line: Line, *, version: str | None = None, alias: str | None = None) -> VersionRow:
    """As `find_version`, inside a transaction. Raises VersionNotFound, AliasNotFound, AliasElsewhere, Gone."""
    if alias and alias != LATEST:
        return _aliased(session, line, alias)
    if not (version or alias) and line.job is None and (production := _alias_row(session, line, PRODUCTION)):
        return _numbered(session, line, production.number, PRODUCTION)
    if version and version != LATEST:
        return _numbered(session, line, _number(line, version), version)
    newest = select(VersionRow).where(line.has_version, VersionRow.deleted_at.is_(None))
    row = session.execute(newest.order_by(VersionRow.number.desc()).limit(1)).scalar_one_or_none()
    if row is None:
        raise VersionNotFound(f"{line.called} has no versions.", **line.facts)
    return row


def artifacts_of(db: Database, version_ids: Sequence[str]) -> dict[str, list[ArtifactRow]]:
    """The artifacts of each version, by its id, sorted by name."""
    found: dict[str, list[ArtifactRow]] = {version_id: [] for version_id in version_ids}
    statement = select(ArtifactRow).where(ArtifactRow.version_id.in_(version_ids)).order_by(ArtifactRow.name)
    with db.reading() as session:
        for row in session.execute(statement).scalars():
            found[row.version_id].append(row)
    return found


def find_artifact(db: Database, version: VersionRow, name: str) -> ArtifactRow:
    """Raises ArtifactNotFound."""
    with db.reading() as session:
        row = session.get(ArtifactRow, (version.id, name))
    if row is None:
        raise ArtifactNotFound(f"v{version.number} has no artifact {name!r}.", job_id=version.job_id, name=name)
    return row


def set_alias(db: Database, ref: str, alias: str, *, version: str) -> AliasRow:
    """Point an alias at a version, and record the move.

    `ref`: as for `line_in`. Raises what that raises, and AliasReserved, VersionNotFound.
    """
    _refuse_reserved(alias)
    with db.transaction() as session:
        line = line_in(session, ref, lock=True)  # locked: nothing is deleted while it gets an alias
        number = _numbered(session, line, _number(line, version), version).number
        row = session.get(AliasRow, (line.project.id, alias), with_for_update=True)
        if row is None:
            at = clock.now()
            row = AliasRow(
                project_id=line.project.id,
                project=line.project.slug,
                alias=alias,
                number=number,
                position=0,
                moves=0,
                updated_at=at,
            )
            session.add(row)
            session.flush()
        elif row.number == number:
            return row
        _move_alias(session, row, action="set", number=number, position_after=row.moves + 1)
    _log_move("alias.set", line, row)
    return row


def roll_back_alias(db: Database, ref: str, alias: str, *, on_commit: OnCommit = do_nothing) -> AliasHistory:
    """Point an alias at the version before in its history, and record the move.

    Versions that were deleted meanwhile are passed over.
    `ref`: as for `line_in`. Raises what that raises, and AliasNotFound, NoEarlierVersion.
    """
    with db.transaction() as session:
        line = line_in(session, ref, lock=True)
        row = _alias_in(session, line, alias)
        earlier = _earlier(session, row)
        if earlier is None:
            raise NoEarlierVersion(
                f"{alias} is at the start of its history: there is no earlier version.", **line.facts, alias=alias
            )
        _move_alias(session, row, action="rollback", number=earlier.number, position_after=earlier.position)
        session.flush()
        rolled_back = _history_in(session, line, row)
        on_commit(session, rolled_back)
    _log_move("alias.rolled_back", line, row)
    return rolled_back


def remove_alias(db: Database, ref: str, alias: str) -> None:
    """Remove an alias, and record the move. A later `set` begins a new history for rollbacks.

    `ref`: as for `line_in`. Raises what that raises, and AliasNotFound.
    """
    with db.transaction() as session:
        line = line_in(session, ref, lock=True)
        row = _alias_in(session, line, alias)
        _move_alias(session, row, action="remove", number=row.number, position_after=NOWHERE)
        row.number = NOWHERE
    _log_move("alias.removed", line, row)


def get_alias(db: Database, ref: str, alias: str) -> AliasHistory:
    """`ref`: as for `line_in`. Raises what that raises, and AliasNotFound."""
    with db.reading() as session:
        line = line_in(session, ref)
        return _history_in(session, line, _alias_in(session, line, alias))


def aliases_of(db: Database, ref: str) -> list[AliasRow]:
    """Those of the project; by a job's id, those that point at a version of the job."""
    with db.reading() as session:
        line = line_in(session, ref)
        mine = (AliasRow.project_id == line.project.id, AliasRow.number != NOWHERE)
        statement = select(AliasRow).where(*mine).order_by(AliasRow.alias)
        if line.job is not None:
            statement = statement.where(AliasRow.number.in_(select(VersionRow.number).where(line.has_version)))
        return list(session.execute(statement).scalars())


def _aliased(session: Session, line: Line, alias: str) -> VersionRow:
    number = _alias_in(session, line, alias).number
    row = _version_of_project(session, line, number)
    if row is None:
        raise VersionNotFound(f"{line.called} has no v{number}.", **line.facts, version=f"v{number}")
    if line.job is not None and row.job_id != line.job.id:
        name = version_name(line.project.slug, number)
        detail = f"{alias} points at {name}, which is not of this job. Ask for it by the project: {line.project.slug}."
        raise AliasElsewhere(detail, alias=alias, name=name, project=line.project.slug, job_id=row.job_id)
    return row


def _numbered(session: Session, line: Line, number: int, version: str) -> VersionRow:
    row = _version_of_project(session, line, number)
    if row is None or (line.job is not None and row.job_id != line.job.id):
        raise VersionNotFound(f"{line.called} has no version {version}.", **line.facts, version=version)
    return row


def _version_of_project(session: Session, line: Line, number: int) -> VersionRow | None:
    same = (VersionRow.project_id == line.project.id, VersionRow.number == number)
    row = session.execute(select(VersionRow).where(*same)).scalar_one_or_none()
    if row is not None and row.deleted_at is not None:
        name = version_name(line.project.slug, number)
        facts = {"project": line.project.slug, "project_deleted": False, "deleted_at": row.deleted_at.isoformat()}
        raise Gone(f"{name} was deleted on {row.deleted_at:%Y-%m-%d}.", name=name, version_id=row.id, **facts)
    return row


def _earlier(session: Session, row: AliasRow) -> AliasMoveRow | None:
    """The `set` before the one in effect whose version is there."""
    move = session.get_one(AliasMoveRow, (row.project_id, row.alias, row.position))
    while move.position_before:
        move = session.get_one(AliasMoveRow, (row.project_id, row.alias, move.position_before))
        same = (VersionRow.project_id == row.project_id, VersionRow.number == move.number)
        living = select(VersionRow.id).where(*same, VersionRow.deleted_at.is_(None))
        if session.execute(living).first() is not None:
            return move
    return None


def _move_alias(session: Session, row: AliasRow, *, action: str, number: int, position_after: int) -> None:
    position_before = row.position
    row.moves += 1
    row.number = number
    row.position = position_after
    row.updated_at = clock.now()
    move = AliasMoveRow(
        project_id=row.project_id,
        alias=row.alias,
        position=row.moves,
        action=action,
        number=number,
        position_after=position_after,
        position_before=position_before,
        at=row.updated_at,
    )
    session.add(move)
    touch_project(session, row.project_id)


def _log_move(event: str, line: Line, row: AliasRow) -> None:
    slug = line.project.slug
    version = {} if row.number == NOWHERE else {"version": version_name(slug, row.number)}
    log.info(event, alias=alias_name(slug, row.alias), **version)


def _history_in(session: Session, line: Line, row: AliasRow) -> AliasHistory:
    mine = (AliasMoveRow.project_id == row.project_id, AliasMoveRow.alias == row.alias)
    moves = list(session.execute(select(AliasMoveRow).where(*mine).order_by(AliasMoveRow.position)).scalars())
    return AliasHistory(row, moves, line.job is not None and _is_elsewhere(session, line, row.number))


def _is_elsewhere(session: Session, line: Line, number: int) -> bool:
    own = select(VersionRow.id).where(VersionRow.number == number, line.has_version)
    return session.execute(own).first() is None


def _alias_in(session: Session, line: Line, alias: str) -> AliasRow:
    row = _alias_row(session, line, alias)
    if row is None:
        raise AliasNotFound(f"{line.called} has no alias {alias!r}.", **line.facts, alias=alias)
    return row


def _alias_row(session: Session, line: Line, alias: str) -> AliasRow | None:
    row = session.get(AliasRow, (line.project.id, alias))
    return None if row is None or row.number == NOWHERE else row


def _refuse_reserved(alias: str) -> None:
    if _RESERVED.fullmatch(alias) or not _ALIAS.fullmatch(alias):
        raise AliasReserved(
            "Use up to 64 lower-case letters, digits, - and _, a letter first; `latest` and `v1` are reserved.",
            alias=alias[:200],
        )


def _number(line: Line, version: str) -> int:
    match = _NUMBER.fullmatch(version)
    if match is None:
        raise VersionNotFound(f"{line.called} has no {version[:80]!r}: versions are v1, v2, ...", **line.facts)
    return int(match.group(1))
