"""Which rows the run tracker lacks, and notes of those it has. The worker sends them."""

from typing import Any

from sqlalchemy import and_, func, or_, select, update

from core import clock
from core.db import Database
from core.db.tables import AliasRow, JobRow, RunRow, VersionRow
from core.domain.states import RUN_ENDED, RunState

_AT_ONCE = 50


def runs_to_mirror(db: Database, *, but_not: set[str]) -> list[RunRow]:
    """Runs with events that the tracker lacks, or that ended and are not complete there; oldest first."""
    ended = [str(state) for state in RUN_ENDED]
    begun = RunRow.state != str(RunState.QUEUED)
    behind = or_(RunRow.mirror_seq < RunRow.event_seq, RunRow.state.in_(ended))
    unfinished = (RunRow.deleted_at.is_(None), RunRow.mirrored_at.is_(None))
    with db.reading() as session:
        statement = select(RunRow).where(*unfinished, begun, behind, RunRow.id.not_in(but_not))
        statement = statement.order_by(RunRow.id).limit(_AT_ONCE)
        return list(session.execute(statement).scalars())


def version_of_run(db: Database, run_id: str) -> VersionRow | None:
    with db.reading() as session:
        return session.execute(select(VersionRow).where(VersionRow.run_id == run_id)).scalar_one_or_none()


def versions_to_mirror(db: Database, *, but_not: set[str]) -> list[tuple[VersionRow, RunRow]]:
    """The next version to register of each project, if its run is complete in the tracker: v1 before v2.

    `but_not`: ids of versions and runs. A version that they leave out does not delay the next one.
    """
    missing = (VersionRow.deleted_at.is_(None), VersionRow.mlflow_version.is_(None))
    allowed = (VersionRow.id.not_in(but_not), VersionRow.run_id.not_in(but_not))
    number = func.min(VersionRow.number).label("number")
    first = select(VersionRow.project_id, number).where(*missing, *allowed).group_by(VersionRow.project_id).subquery()
    same = and_(VersionRow.project_id == first.c.project_id, VersionRow.number == first.c.number)
    complete = RunRow.mirrored_at.is_not(None)
    with db.reading() as session:
        statement = select(VersionRow, RunRow).join(first, same).join(RunRow, RunRow.id == VersionRow.run_id)
        ordered = statement.where(complete).order_by(VersionRow.id).limit(_AT_ONCE)
        return [(version, run) for version, run in session.execute(ordered).all()]


def aliases_to_mirror(db: Database) -> list[tuple[AliasRow, VersionRow]]:
    """Aliases that point at another version than in the tracker, with that version, which the tracker has."""
    moved = or_(AliasRow.mirrored_number.is_(None), AliasRow.mirrored_number != AliasRow.number)
    same = and_(VersionRow.project_id == AliasRow.project_id, VersionRow.number == AliasRow.number)
    with db.reading() as session:
        statement = select(AliasRow, VersionRow).join(VersionRow, same).where(moved)
        return [(alias, version) for alias, version in session.execute(statement).all() if version.mlflow_version]


def aliases_to_remove(db: Database) -> list[AliasRow]:
    """Removed aliases that the tracker may still have."""
    mirrored = or_(AliasRow.mirrored_number.is_(None), AliasRow.mirrored_number != 0)
    with db.reading() as session:
        return list(session.execute(select(AliasRow).where(AliasRow.number == 0, mirrored)).scalars())


def note_run_mirrored(db: Database, run_id: str, **values: Any) -> None:
    """Sets mlflow_run_id, mirror_seq or both; a refusal before is over."""
    with db.transaction() as session:
        session.execute(update(RunRow).where(RunRow.id == run_id).values(**values, mlflow_refused=None))


def note_refused(db: Database, row: RunRow | VersionRow, reason: str) -> None:
    with db.transaction() as session:
        session.execute(update(type(row)).where(type(row).id == row.id).values(mlflow_refused=reason))


def count_refused(db: Database) -> int:
    """Runs of jobs that were not deleted of which the tracker refused the run or its version."""
    runs = select(RunRow.id).where(RunRow.deleted_at.is_(None), RunRow.mlflow_refused.is_not(None))
    versions = select(VersionRow.run_id).where(VersionRow.deleted_at.is_(None), VersionRow.mlflow_refused.is_not(None))
    with db.reading() as session:
        return session.execute(select(func.count()).select_from(runs.union(versions).subquery())).scalar_one()


def jobs_to_forget(db: Database, *, but_not: set[str]) -> list[str]:
    """Ids of deleted jobs that the tracker may still have, oldest first."""
    forgotten = (JobRow.deleted_at.is_not(None), JobRow.mlflow_deleted_at.is_(None))
    with db.reading() as session:
        statement = select(JobRow.id).where(*forgotten, JobRow.id.not_in(but_not))
        return list(session.execute(statement.order_by(JobRow.id).limit(_AT_ONCE)).scalars())


def note_job_forgotten(db: Database, job_id: str) -> None:
    with db.transaction() as session:
        session.execute(update(JobRow).where(JobRow.id == job_id).values(mlflow_deleted_at=clock.now()))


def note_run_complete(db: Database, run: RunRow) -> None:
    """Record that the tracker has everything of the run, unless it was retried since `run` was read."""
    as_read = (RunRow.id == run.id, RunRow.state == run.state, RunRow.attempt == run.attempt)
    with db.transaction() as session:
        session.execute(update(RunRow).where(*as_read).values(mirrored_at=clock.now(), mlflow_refused=None))


def note_version_mirrored(db: Database, version_id: str, name: str) -> None:
    with db.transaction() as session:
        registered = {"mlflow_version": name, "mlflow_refused": None}
        session.execute(update(VersionRow).where(VersionRow.id == version_id).values(registered))


def note_alias_mirrored(db: Database, alias: AliasRow) -> None:
    mine = (AliasRow.project_id == alias.project_id, AliasRow.alias == alias.alias)
    with db.transaction() as session:
        session.execute(update(AliasRow).where(*mine).values(mirrored_number=alias.number))
