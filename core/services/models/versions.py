"""Model versions, their artifacts and their aliases. Versions are never deleted singly and never change."""

import re
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from core import clock
from core.db import Database
from core.db.tables import AliasMoveRow, AliasRow, ArtifactRow, VersionRow
from core.domain.errors import AliasNotFound, AliasReserved, ArtifactNotFound, NoEarlierVersion, VersionNotFound
from core.services.jobs.commands import job_in
from core.services.on_commit import OnCommit, do_nothing
from core.services.paging import Page, page_of

_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_RESERVED = re.compile(r"latest|v\d+")  # MLflow reserves them too
NOWHERE = 0  # the number and the position of a removed alias
_NUMBER = re.compile(r"v?([1-9]\d{0,8})")


def list_versions(
    db: Database, *, cursor: str | None, limit: int, job_id: str | None = None, whole: bool = True
) -> Page[VersionRow]:
    """Newest first; of one job, or across all. Not `whole`: without params, metrics and artifacts.

    Raises JobNotFound, Gone.
    """
    left_out = () if whole else tuple(map(defer, (VersionRow.params, VersionRow.metrics, VersionRow.artifacts)))
    with db.reading() as session:
        statement = select(VersionRow).where(VersionRow.deleted_at.is_(None)).options(*left_out)
        if job_id:
            job_in(session, job_id)
            statement = statement.where(VersionRow.job_id == job_id)
        return page_of(session, statement, VersionRow.id, cursor=cursor, limit=limit, newest_first=True)


def find_version(db: Database, job_id: str, *, version: str | None = None, alias: str | None = None) -> VersionRow:
    """By `v2` (or `2`), by alias, or the latest. Raises JobNotFound, Gone, VersionNotFound, AliasNotFound."""
    with db.reading() as session:
        job_in(session, job_id)
        statement = select(VersionRow).where(VersionRow.job_id == job_id)
        if alias and alias != "latest":
            statement = statement.where(VersionRow.number == _alias_in(session, job_id, alias).number)
        elif version and version != "latest":
            statement = statement.where(VersionRow.number == _number(job_id, version))
        row = session.execute(statement.order_by(VersionRow.number.desc()).limit(1)).scalar_one_or_none()
    if row is None:
        wanted = f"no version {version}" if version else "no versions"
        raise VersionNotFound(f"The job {job_id} has {wanted}.", job_id=job_id, version=version)
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


def set_alias(db: Database, job_id: str, alias: str, *, version: str) -> AliasRow:
    """Point an alias at a version, and record the move. Raises AliasReserved, JobNotFound, Gone, VersionNotFound."""
    _refuse_reserved(alias)
    with db.transaction() as session:
        job_in(session, job_id, lock=True)  # locked: the job cannot be deleted while it gets its first alias
        number = _number(job_id, version)
        exists = select(VersionRow.id).where(VersionRow.job_id == job_id, VersionRow.number == number)
        if session.execute(exists).first() is None:
            raise VersionNotFound(f"The job {job_id} has no v{number}.", job_id=job_id, version=version)
        row = session.get(AliasRow, (job_id, alias), with_for_update=True)
        if row is None:
            row = AliasRow(job_id=job_id, alias=alias, number=number, position=0, moves=0, updated_at=clock.now())
            session.add(row)
            session.flush()
        elif row.number == number:
            return row
        _move_alias(session, row, action="set", number=number, position_after=row.moves + 1)
    return row


def roll_back_alias(
    db: Database, job_id: str, alias: str, *, on_commit: OnCommit = do_nothing
) -> tuple[AliasRow, list[AliasMoveRow]]:
    """Point an alias at its previous version in the history, and record the move. Returns the same as `get_alias`.

    Raises JobNotFound, Gone, AliasNotFound, NoEarlierVersion.
    """
    with db.transaction() as session:
        job_in(session, job_id, lock=True)
        row = _alias_in(session, job_id, alias)
        current = session.get_one(AliasMoveRow, (job_id, alias, row.position))
        if current.position_before == 0:
            raise NoEarlierVersion(
                f"{alias} is at the start of its history: there is no earlier version.", job_id=job_id, alias=alias
            )
        earlier = session.get_one(AliasMoveRow, (job_id, alias, current.position_before))
        _move_alias(session, row, action="rollback", number=earlier.number, position_after=earlier.position)
        session.flush()
        rolled_back = row, _moves_in(session, job_id, alias)
        on_commit(session, rolled_back)
    return rolled_back


def remove_alias(db: Database, job_id: str, alias: str) -> None:
    """Remove an alias, and record the move. A later `set` begins a new history for rollbacks.

    Raises JobNotFound, Gone, AliasNotFound.
    """
    with db.transaction() as session:
        job_in(session, job_id, lock=True)
        row = _alias_in(session, job_id, alias)
        _move_alias(session, row, action="remove", number=row.number, position_after=NOWHERE)
        row.number = NOWHERE


def get_alias(db: Database, job_id: str, alias: str) -> tuple[AliasRow, list[AliasMoveRow]]:
    """An alias and its moves, oldest first. Raises JobNotFound, Gone, AliasNotFound."""
    with db.reading() as session:
        job_in(session, job_id)
        row = _alias_in(session, job_id, alias)
        return row, _moves_in(session, job_id, alias)


def aliases_of(db: Database, job_id: str) -> list[AliasRow]:
    with db.reading() as session:
        statement = (
            select(AliasRow).where(AliasRow.job_id == job_id, AliasRow.number != NOWHERE).order_by(AliasRow.alias)
        )
        return list(session.execute(statement).scalars())


def _move_alias(session: Session, row: AliasRow, *, action: str, number: int, position_after: int) -> None:
    position_before = row.position
    row.moves += 1
    row.number = number
    row.position = position_after
    row.updated_at = clock.now()
    move = AliasMoveRow(
        job_id=row.job_id,
        alias=row.alias,
        position=row.moves,
        action=action,
        number=number,
        position_after=position_after,
        position_before=position_before,
        at=row.updated_at,
    )
    session.add(move)


def _moves_in(session: Session, job_id: str, alias: str) -> list[AliasMoveRow]:
    mine = (AliasMoveRow.job_id == job_id, AliasMoveRow.alias == alias)
    return list(session.execute(select(AliasMoveRow).where(*mine).order_by(AliasMoveRow.position)).scalars())


def _alias_in(session: Session, job_id: str, alias: str) -> AliasRow:
    row = session.get(AliasRow, (job_id, alias))
    if row is None or row.number == NOWHERE:
        raise AliasNotFound(f"The job {job_id} has no alias {alias!r}.", job_id=job_id, alias=alias)
    return row


def _refuse_reserved(alias: str) -> None:
    if _RESERVED.fullmatch(alias) or not _ALIAS.fullmatch(alias):
        raise AliasReserved(
            "Use up to 64 lower-case letters, digits, - and _, a letter first; `latest` and `v1` are reserved.",
            alias=alias[:200],
        )


def _number(job_id: str, version: str) -> int:
    match = _NUMBER.fullmatch(version)
    if match is None:
        raise VersionNotFound(f"The job {job_id} has no {version[:80]!r}: versions are v1, v2, ...", job_id=job_id)
    return int(match.group(1))
