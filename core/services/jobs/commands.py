"""What a user does with a job: upload, read, list, retry. It is deleted in deletion.py; a worker uses lifecycle.py."""

from typing import Any

import structlog
from sqlalchemy import bindparam, exists, select
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.clock import db_now
from core.db.tables import FindingRow, JobRow, ProjectRow
from core.db.transitions import move, record_event
from core.domain.errors import JobNotFound, JobNotRetryable
from core.domain.finding_codes import Severity
from core.domain.ids import new_id
from core.domain.keys import upload_key
from core.domain.model_names import dataset_name
from core.domain.states import JobState
from core.queue import PREPARE
from core.services.context import Platform
from core.services.on_commit import OnCommit, do_nothing
from core.services.paging import Page, page_of
from core.services.projects.deleted import deleted_job
from core.services.projects.lookup import join_project, next_revision, open_implicit, project_in
from core.services.projects.names import log_names

WRITTEN = "written"  # in `extension`: its ZIP has been stored, and what it is made of is deleted

log = structlog.get_logger(__name__)

_JOB = select(JobRow).where(JobRow.id == bindparam("job_id"))  # built once: that takes a third of a read
_LOCKED_JOB = _JOB.with_for_update().execution_options(populate_existing=True)  # as it is now


def new_job_id() -> str:
    """The id is chosen first: the key of the upload's object contains it, before the row exists."""
    return new_id("job", clock.now_ms())


def receive_job(
    platform: Platform,
    job_id: str,
    *,
    name: str,
    options: dict[str, Any],
    source_name: str,
    source_bytes: int,
    source_sha256: str,
    project: str | None = None,
    on_commit: OnCommit = do_nothing,
) -> JobRow:
    """Commit the row that names the stored object at `upload_key(job_id)`, then enqueue it. Raises as `add_job`."""
    with platform.db.transaction() as session:
        row = add_job(
            session,
            job_id,
            name=name,
            options=options,
            source_name=source_name,
            source_bytes=source_bytes,
            source_sha256=source_sha256,
            source_key=upload_key(job_id),
            project=project,
        )
        on_commit(session, row)
    platform.queue.enqueue(PREPARE, job_id)
    log.info("job.received", job_id=job_id, **log_names(platform.db, job_id))
    return row


def add_job(
    session: Session,
    job_id: str,
    *,
    name: str,
    options: dict[str, Any],
    source_name: str,
    source_bytes: int,
    source_sha256: str,
    source_key: str | None,
    project: str | None = None,
    kind: str | None = None,
    repair_of: str | None = None,
    huggingface: dict[str, Any] | None = None,
    imported_from: dict[str, Any] | None = None,
    owner: ProjectRow | None = None,
    parent_job_id: str | None = None,
    extension: dict[str, Any] | None = None,
) -> JobRow:
    """A job that waits. Without a `source_key` its worker makes the source: the ZIP of `repair_of` repaired, a ZIP of
    the files of `huggingface` or `imported_from`, or `parent_job_id` with its `extension`. It becomes the next dataset
    of `owner`, which is locked; else of the project with the slug `project`, which is made if there is none; without
    one, of a project of its own. `kind`: of the dataset, where that is known.
    Raises SlugInvalid, ProjectIsImplicit, ProjectKindMismatch, Gone.
    """
    at = clock.now()
    if owner is None:
        owner = join_project(session, project, kind=kind) if project else open_implicit(session, job_id, name)
    row = JobRow(
        id=job_id,
        project_id=owner.id,
        project=owner.slug,
        revision=next_revision(session, owner.id),
        name=name,
        state=str(JobState.RECEIVED),
        options=options,
        repair_of=repair_of,
        huggingface=huggingface,
        imported_from=imported_from,
        parent_job_id=parent_job_id,
        extension=extension,
        source_name=source_name,
        source_bytes=source_bytes,
        source_sha256=source_sha256,
        source_key=source_key,
        attempt=0,
        lost_leases=0,
        enqueue_count=1,
        enqueued_at=db_now(),
        event_seq=1,
        last_version=0,
        created_at=at,
        updated_at=at,
    )
    session.add(row)
    session.flush()
    record_event(session, row, "state", ("name", "state", "attempt", "last_version"))
    return row


def get_job(db: Database, job_id: str, *, allow_deleted: bool = False) -> JobRow:
    """Raises JobNotFound, and Gone for a deleted job unless `allow_deleted`."""
    with db.reading() as session:
        return job_in(session, job_id, allow_deleted=allow_deleted)


def job_in(session: Session, job_id: str, *, allow_deleted: bool = False, lock: bool = False) -> JobRow:
    """Read a job inside a transaction; `lock` locks its row until the end (PostgreSQL; SQLite has one writer)."""
    row = session.execute(_LOCKED_JOB if lock else _JOB, {"job_id": job_id}).scalar_one_or_none()
    if row is None:
        raise JobNotFound(f"There is no job {job_id}.", job_id=job_id)
    if row.state == JobState.DELETED and not allow_deleted:
        raise deleted_job(session, row)
    return row


def list_jobs(
    db: Database, *, cursor: str | None, limit: int, state: str | None = None, project: str | None = None
) -> Page[JobRow]:
    """Newest first. Deleted jobs are listed only with `state="deleted"`.

    `project`: a slug or an id. Raises ProjectNotFound, ProjectRenamed, Gone.
    """
    wanted = JobRow.state == state if state else JobRow.deleted_at.is_(None)
    with db.reading() as session:
        statement = select(JobRow).where(wanted)
        if project:
            statement = statement.where(JobRow.project_id == project_in(session, project).id)
        return page_of(session, statement, JobRow.id, cursor=cursor, limit=limit, newest_first=True)


def list_findings(
    db: Database, job_id: str, *, cursor: str | None, limit: int, code: str | None = None, severity: str | None = None
) -> Page[FindingRow]:
    """In the order in which they were found. Raises JobNotFound, Gone."""
    with db.reading() as session:
        job_in(session, job_id)
        statement = select(FindingRow).where(FindingRow.job_id == job_id)
        if code:
            statement = statement.where(FindingRow.code == code)
        if severity:
            statement = statement.where(FindingRow.severity == severity)
        return page_of(session, statement, FindingRow.number, cursor=cursor, limit=limit)


def has_error_of_the_whole(db: Database, job_id: str) -> bool:
    """Whether an error is about the dataset as a whole: it names no file, and stays when items are left out."""
    of_whole = (FindingRow.job_id == job_id, FindingRow.severity == Severity.ERROR, FindingRow.path == "")
    with db.reading() as session:
        return bool(session.execute(select(exists().where(*of_whole))).scalar_one())


def retry_job(platform: Platform, job_id: str, *, on_commit: OnCommit = do_nothing) -> JobRow:
    """failed -> received. Raises JobNotFound, Gone, JobNotRetryable."""
    with platform.db.transaction() as session:
        project_in(session, job_in(session, job_id).project_id, lock=True)  # nothing deletes its parent meanwhile
        before = job_in(session, job_id, lock=True)
        _refuse_orphan(session, before)
        # The source of a repair, an import or an extension is made by its worker, again if need be.
        made_by_worker = before.repair_of or before.huggingface or before.imported_from or before.extension
        was_made = (before.extension or {}).get(WRITTEN)
        if before.source_key is None and (was_made or not made_by_worker):
            raise JobNotRetryable("Its ZIP is no longer stored: upload it again.", job_id=job_id)
        row = move(
            session,
            JobRow,
            job_id,
            JobState.RECEIVED,
            sources=[JobState.FAILED],
            stage=None,
            progress=None,
            problem=None,
            finished_at=None,
            lost_leases=0,
            refusals=0,
            enqueue_count=1,
            enqueued_at=db_now(),
        )
        if row is None:
            raise JobNotRetryable(
                f"The job is {before.state}; only a failed job can be retried.", job_id=job_id, state=before.state
            )
        on_commit(session, row)
    platform.queue.enqueue(PREPARE, job_id)
    return row


def _refuse_orphan(session: Session, job: JobRow) -> None:
    """Of a failed extension whose ZIP is still to be made of a dataset that was deleted meanwhile."""
    if not job.extension or job.source_key is not None:
        return
    parent = session.get_one(JobRow, job.parent_job_id, populate_existing=True)
    if parent.deleted_at is not None:
        name = dataset_name(parent.project, parent.revision)
        detail = f"{name}, which it extends, was deleted: send what was added as a dataset of its own."
        raise JobNotRetryable(detail, job_id=job.id, state=job.state)
