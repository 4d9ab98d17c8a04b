"""Deleting the rows of a deleted job or project whose objects are gone: findings, events, artifacts, aliases.

A tombstone stays, which answers 410: ids, version numbers, digests and the rest of what docs/operations.md lists,
without any name or option that a person gave.
Every batch has a transaction of its own, so that no user waits behind a job with a million findings, and an interrupted
erasure goes on with what is left.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import InstrumentedAttribute

from core import clock
from core.db import Database
from core.db.tables import (
    AliasMoveRow,
    AliasRow,
    ArtifactRow,
    CorrectionRow,
    EventRow,
    FindingRow,
    JobRow,
    ProjectRow,
    ProjectSlugRow,
    RunRow,
    TestSetRow,
    VersionRow,
)
from core.domain.keys import artifacts_prefix, imported_prefix

ROWS_AT_ONCE = 2000  # 20 ms of SQLite's only writer
_AT_ONCE = 100
_VERSION_TOMBSTONE: Mapping[str, Any] = {"params": {}, "metrics": {}, "mlflow_refused": None}  # and `purged_at`


def jobs_to_erase(db: Database) -> list[str]:
    """Ids of deleted jobs whose objects are deleted and whose rows are not, oldest first."""
    unerased = (JobRow.deleted_at.is_not(None), JobRow.erased_at.is_(None), JobRow.purged_at.is_not(None))
    with db.reading() as session:
        return list(session.execute(select(JobRow.id).where(*unerased).order_by(JobRow.id).limit(_AT_ONCE)).scalars())


def erase_job(db: Database, job_id: str, *, at_once: int = ROWS_AT_ONCE) -> None:
    """Delete what the job, its runs and its versions list, in transactions of at most `at_once` rows."""
    with db.reading() as session:
        run_ids = list(session.execute(select(RunRow.id).where(RunRow.job_id == job_id)).scalars())
        version_ids = list(session.execute(select(VersionRow.id).where(VersionRow.job_id == job_id)).scalars())
    delete_rows(db, FindingRow.job_id, FindingRow.number, job_id, at_once)
    for run_id in run_ids:
        delete_rows(db, EventRow.subject_id, EventRow.seq, run_id, at_once)
    delete_rows(db, EventRow.subject_id, EventRow.seq, job_id, at_once)
    for version_id in version_ids:
        delete_rows(db, ArtifactRow.version_id, ArtifactRow.name, version_id, at_once)
    _leave_tombstone(db, job_id)


def projects_to_erase(db: Database) -> list[str]:
    """Ids of deleted projects whose jobs are erased, oldest first."""
    unerased = exists().where(JobRow.project_id == ProjectRow.id, JobRow.erased_at.is_(None))
    deleted = (ProjectRow.deleted_at.is_not(None), ProjectRow.erased_at.is_(None), ~unerased)
    with db.reading() as session:
        statement = select(ProjectRow.id).where(*deleted).order_by(ProjectRow.id).limit(_AT_ONCE)
        return list(session.execute(statement).scalars())


def versions_to_purge(db: Database) -> list[tuple[str, str]]:
    """Deleted versions whose objects exist: (id, prefix of the objects), oldest first."""
    unpurged = (VersionRow.deleted_at.is_not(None), VersionRow.purged_at.is_(None))
    columns = (VersionRow.id, VersionRow.run_id, VersionRow.operation_id, VersionRow.attempt)
    with db.reading() as session:
        found = session.execute(select(*columns).where(*unpurged).order_by(VersionRow.id).limit(_AT_ONCE)).all()
    return [
        (row_id, artifacts_prefix(run_id, attempt) if run_id else imported_prefix(str(operation_id)))
        for row_id, run_id, operation_id, attempt in found
    ]


def imports_of(db: Database, project_id: str) -> list[tuple[str, str]]:
    """(version, operation) ids of the versions that were imported: no job leads to them."""
    imported = (VersionRow.project_id == project_id, VersionRow.operation_id.is_not(None))
    with db.reading() as session:
        found = session.execute(select(VersionRow.id, VersionRow.operation_id).where(*imported))
        return [(version_id, str(operation_id)) for version_id, operation_id in found]


def erase_version(db: Database, version_id: str) -> None:
    """Delete what a deleted version lists, once its objects are deleted: its id, number and digests stay."""
    delete_rows(db, ArtifactRow.version_id, ArtifactRow.name, version_id, ROWS_AT_ONCE)
    with db.transaction() as session:
        tombstone = {**_VERSION_TOMBSTONE, "purged_at": clock.now()}
        session.execute(update(VersionRow).where(VersionRow.id == version_id).values(**tombstone))


def erase_project(db: Database, project_id: str) -> None:
    """Delete its aliases and what people wrote of it. Its name stays and answers 410.

    The name of a single upload's project has the upload's name in it, and goes.
    """
    with db.transaction() as session:
        for table in (AliasMoveRow, AliasRow, TestSetRow):
            session.execute(delete(table).where(table.project_id == project_id))
        row: dict[str, Any] = {"title": "", "description": "", "settings": {}, "erased_at": clock.now()}
        if session.get_one(ProjectRow, project_id).implicit:
            session.execute(delete(ProjectSlugRow).where(ProjectSlugRow.project_id == project_id))
            row["slug"] = project_id.replace("_", "-")
        session.execute(update(ProjectRow).where(ProjectRow.id == project_id).values(row))


def delete_rows(
    db: Database,
    owner: InstrumentedAttribute[Any],
    key: InstrumentedAttribute[Any],
    owner_id: str,
    at_once: int,
    *,
    up_to: int | None = None,
) -> None:
    """The rows of one owner, with keys up to `up_to`; `owner` and `key` are the primary key of their table."""
    batch = select(key).where(owner == owner_id).order_by(key).limit(at_once)
    if up_to is not None:
        batch = batch.where(key <= up_to)
    while True:
        with db.transaction() as session:
            statement = delete(owner.class_).where(owner == owner_id, key.in_(batch)).returning(key)
            deleted = len(session.execute(statement).all())
        if deleted < at_once:
            return


def _leave_tombstone(db: Database, job_id: str) -> None:
    """Last: what it marks as erased is complete."""
    with db.transaction() as session:
        session.execute(delete(CorrectionRow).where(CorrectionRow.job_id == job_id))
        tombstone = {**_VERSION_TOMBSTONE, "purged_at": clock.now()}
        session.execute(update(VersionRow).where(VersionRow.job_id == job_id).values(**tombstone))
        # Its objects are gone.
        run = dict.fromkeys(("progress", "notes", "problem", "log_key", "checkpoint_key", "mlflow_refused"))
        session.execute(update(RunRow).where(RunRow.job_id == job_id).values(**run, params={}))
        job = dict.fromkeys(
            (
                *("source_key", "metadata_key", "huggingface", "imported_from", "extension"),
                *("progress", "problem", "classes", "findings"),
            )
        )
        named = {"name": "", "source_name": "", "options": {}}  # what a person wrote goes too
        session.execute(update(JobRow).where(JobRow.id == job_id).values(**job, **named, erased_at=clock.now()))
