"""Repairing an upload: a new job whose source is the repaired ZIP, which its worker makes of that upload."""

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db import Database
from core.db.tables import FindingRow, JobRow, ProjectRow
from core.domain.errors import JobNotRepairable
from core.domain.states import JobState
from core.queue import PREPARE
from core.services.context import Platform
from core.services.jobs.commands import add_job, job_in, new_job_id
from core.services.on_commit import OnCommit, do_nothing
from core.services.paging import Page, page_of
from core.services.projects.lookup import join_project, project_in, raise_other_kind
from core.services.projects.names import log_names

log = structlog.get_logger(__name__)

_REPAIRABLE = (JobState.READY, JobState.REJECTED)


def repair_job(
    platform: Platform, job_id: str, *, project: str | None = None, on_commit: OnCommit = do_nothing
) -> JobRow:
    """The job that repairs this one, a new one unless it exists: in `project`, by default in that of the broken job.

    Raises JobNotFound, Gone, JobNotRepairable, and of its project SlugInvalid, ProjectIsImplicit, ProjectKindMismatch.
    """
    with platform.db.transaction() as session:
        owner = _lock_owner(session, job_in(session, job_id), project)
        broken = job_in(session, job_id, lock=True)
        row = _repair_in(session, job_id, owner if project else None)
        known = row is not None
        if row is None:
            row = _new_repair(session, broken, owner)
        on_commit(session, row)
    if not known:
        platform.queue.enqueue(PREPARE, row.id)
        log.info("job.received", job_id=row.id, repair_of=job_id, **log_names(platform.db, row.id))
    return row


def list_repairs(db: Database, job_id: str, *, cursor: str | None, limit: int) -> Page[FindingRow]:
    """Every change of the repair, in the order of its log. Raises JobNotFound, Gone."""
    with db.reading() as session:
        job_in(session, job_id)
        statement = select(FindingRow).where(FindingRow.job_id == job_id, FindingRow.code.startswith("repair-"))
        return page_of(session, statement, FindingRow.number, cursor=cursor, limit=limit)


def _lock_owner(session: Session, broken: JobRow, slug: str | None) -> ProjectRow | None:
    """The project that the repair joins, locked before the job. None: the repair has one of its own."""
    if slug is not None:
        return join_project(session, slug, kind=broken.kind)
    owner = project_in(session, broken.project_id, lock=True)
    return None if owner.implicit else owner


def _repair_in(session: Session, job_id: str, owner: ProjectRow | None) -> JobRow | None:
    """The newest repair that is in progress or done, of one project if given. Call it under the lock of the job that
    it repairs."""
    over = [str(JobState.DELETED), str(JobState.FAILED)]
    statement = select(JobRow).where(JobRow.repair_of == job_id, JobRow.state.not_in(over))
    if owner is not None:
        statement = statement.where(JobRow.project_id == owner.id)
    return session.execute(statement.order_by(JobRow.id.desc()).limit(1)).scalar_one_or_none()


def _new_repair(session: Session, broken: JobRow, owner: ProjectRow | None) -> JobRow:
    if owner is not None and broken.kind is not None:
        raise_other_kind(owner, broken.kind)
    if broken.state not in _REPAIRABLE:
        detail = f"The job is {broken.state}; only a ready or rejected job can be repaired."
        raise JobNotRepairable(detail, job_id=broken.id, state=broken.state)
    if broken.source_key is None:
        raise JobNotRepairable("The uploaded ZIP is no longer stored: upload it again.", job_id=broken.id)
    return add_job(
        session,
        new_job_id(),
        name=f"{broken.name[:189]} (repaired)",  # 200 is the column's width
        options=broken.options,
        project=None if owner is None else owner.slug,
        repair_of=broken.id,
        huggingface=broken.huggingface,
        imported_from=broken.imported_from,
        # Of the upload, until the repaired ZIP is stored.
        source_name=broken.source_name,
        source_bytes=broken.source_bytes,
        source_sha256=broken.source_sha256,
        source_key=None,
    )
