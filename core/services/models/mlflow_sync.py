"""Which rows the run tracker lacks. The worker sends them; what it sent is recorded by `mlflow_notes.py`."""

from collections.abc import Iterator
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import aliased

from core.db import Database
from core.db.tables import AliasRow, JobRow, ProjectRow, RunRow, VersionRow
from core.domain.states import RUN_ENDED, RunState

_AT_ONCE = 50
_Row = TypeVar("_Row", RunRow, VersionRow)


def projects_to_update(db: Database, *, but_not: set[str]) -> list[ProjectRow]:
    """Projects that changed since the tracker was sent them, and those copied before there were projects."""
    changed = (ProjectRow.deleted_at.is_(None), ProjectRow.mlflow_updated_at != ProjectRow.updated_at)
    with db.reading() as session:
        statement = select(ProjectRow).where(*changed, ProjectRow.id.not_in(but_not))
        return list(session.execute(statement.order_by(ProjectRow.id).limit(_AT_ONCE)).scalars())


def runs_in_tracker(db: Database, project_id: str) -> Iterator[RunRow]:
    """The project's runs that the tracker has, oldest first."""
    known = (RunRow.project_id == project_id, RunRow.deleted_at.is_(None), RunRow.mlflow_run_id.is_not(None))
    yield from _in_pages(db, RunRow, known)


def versions_in_tracker(db: Database, project_id: str) -> Iterator[VersionRow]:
    """The project's versions that the tracker has, oldest first."""
    living = (VersionRow.project_id == project_id, VersionRow.deleted_at.is_(None))
    yield from _in_pages(db, VersionRow, (*living, VersionRow.mlflow_version.is_not(None)))


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


def versions_to_mirror(db: Database, *, but_not: set[str]) -> list[VersionRow]:
    """The next version to register of each project, if its run is complete in the tracker: v1 before v2.

    An imported version has no run. `but_not`: ids of versions and runs. A version that they leave out does not delay
    the next one.
    """
    earlier = aliased(VersionRow)
    same_line = (earlier.project_id == VersionRow.project_id, earlier.number < VersionRow.number)
    before = select(earlier.id).where(*same_line, *_missing(earlier, but_not)).exists()
    complete = or_(VersionRow.run_id.is_(None), RunRow.mirrored_at.is_not(None))
    with db.reading() as session:
        statement = select(VersionRow).outerjoin(RunRow, RunRow.id == VersionRow.run_id)
        statement = statement.where(*_missing(VersionRow, but_not), complete, ~before)
        ordered = statement.order_by(VersionRow.project_id, VersionRow.number).limit(_AT_ONCE)
        return list(session.execute(ordered).scalars())


def aliases_to_mirror(db: Database) -> list[tuple[AliasRow, str, str | None]]:
    """Aliases that point elsewhere than in the tracker: with the name of the registered model, and the tracker's name
    of the version that they point at; None for an alias that was removed.
    """
    moved = or_(AliasRow.mirrored_number.is_(None), AliasRow.mirrored_number != AliasRow.number)
    same = and_(VersionRow.project_id == AliasRow.project_id, VersionRow.number == AliasRow.number)
    there = (ProjectRow.deleted_at.is_(None), ProjectRow.mlflow_name.is_not(None))
    known = or_(AliasRow.number == 0, VersionRow.mlflow_version.is_not(None))
    with db.reading() as session:
        statement = select(AliasRow, ProjectRow.mlflow_name, VersionRow.mlflow_version)
        statement = statement.join(ProjectRow, ProjectRow.id == AliasRow.project_id).outerjoin(VersionRow, same)
        ordered = statement.where(moved, *there, known).order_by(AliasRow.project_id, AliasRow.alias)
        return [(alias, str(name), version) for alias, name, version in session.execute(ordered).all()]


def versions_to_forget(db: Database, *, but_not: set[str]) -> list[tuple[VersionRow, str | None]]:
    """Versions that were deleted singly and that the tracker may still have, with the tracker's id of the run behind
    each; oldest first."""
    forgotten = (VersionRow.deleted_at.is_not(None), VersionRow.mlflow_deleted_at.is_(None))
    behind = func.coalesce(VersionRow.mlflow_run_id, RunRow.mlflow_run_id)
    with db.reading() as session:
        statement = select(VersionRow, behind).outerjoin(RunRow, RunRow.id == VersionRow.run_id)
        statement = statement.where(*forgotten, VersionRow.id.not_in(but_not))
        found = session.execute(statement.order_by(VersionRow.id).limit(_AT_ONCE)).all()
    return [(version, tracked_id) for version, tracked_id in found]


def jobs_to_forget(db: Database, *, but_not: set[str]) -> list[JobRow]:
    """Deleted jobs that the tracker may still have, oldest first."""
    forgotten = (JobRow.deleted_at.is_not(None), JobRow.mlflow_deleted_at.is_(None))
    with db.reading() as session:
        statement = select(JobRow).where(*forgotten, JobRow.id.not_in(but_not))
        return list(session.execute(statement.order_by(JobRow.id).limit(_AT_ONCE)).scalars())


def projects_to_forget(db: Database, *, but_not: set[str]) -> list[ProjectRow]:
    """Deleted projects that the tracker may still have, oldest first."""
    forgotten = (ProjectRow.deleted_at.is_not(None), ProjectRow.mlflow_name.is_not(None))
    with db.reading() as session:
        statement = select(ProjectRow).where(*forgotten, ProjectRow.id.not_in(but_not))
        return list(session.execute(statement.order_by(ProjectRow.id).limit(_AT_ONCE)).scalars())


def count_refused(db: Database) -> int:
    """Runs and imported versions that were not deleted of which the tracker refused the run or its version."""
    runs = select(RunRow.id).where(RunRow.deleted_at.is_(None), RunRow.mlflow_refused.is_not(None))
    refused = (VersionRow.deleted_at.is_(None), VersionRow.mlflow_refused.is_not(None))
    versions = select(func.coalesce(VersionRow.run_id, VersionRow.id)).where(*refused)
    with db.reading() as session:
        return session.execute(select(func.count()).select_from(runs.union(versions).subquery())).scalar_one()


def count_refused_changes(db: Database) -> tuple[int, int]:
    """Projects of which the tracker refused a change or the deletion, and deleted jobs that it refused to delete."""
    projects = select(ProjectRow.id).where(ProjectRow.mlflow_refused.is_not(None))
    forgotten = (JobRow.deleted_at.is_not(None), JobRow.mlflow_deleted_at.is_(None))
    jobs = select(JobRow.id).where(*forgotten, JobRow.mlflow_refused.is_not(None))
    with db.reading() as session:
        counts = [session.execute(select(func.count()).select_from(each.subquery())) for each in (projects, jobs)]
        return counts[0].scalar_one(), counts[1].scalar_one()


def _missing(table: Any, but_not: set[str]) -> tuple[ColumnElement[bool], ...]:
    """A version of this table that the tracker lacks, unless it or its run is left out."""
    run_allowed = or_(table.run_id.is_(None), table.run_id.not_in(but_not))
    return table.deleted_at.is_(None), table.mlflow_version.is_(None), table.id.not_in(but_not), run_allowed


def _in_pages(db: Database, table: type[_Row], where: tuple[ColumnElement[bool], ...]) -> Iterator[_Row]:
    after = ""
    while True:
        with db.reading() as session:
            page = select(table).where(*where, table.id > after).order_by(table.id).limit(_AT_ONCE)
            rows = list(session.execute(page).scalars())
        yield from rows
        if len(rows) < _AT_ONCE:
            return
        after = rows[-1].id
