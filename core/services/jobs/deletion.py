"""Deletion of a job, or what is in its way."""

from datetime import datetime

import structlog
from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from core import clock
from core.db.tables import AliasRow, JobRow, RunRow, VersionRow
from core.db.transitions import move
from core.domain.errors import Conflict, JobInUse
from core.domain.model_names import dataset_name
from core.domain.states import RUN_ACTIVE, JobState
from core.services.context import Platform
from core.services.jobs.commands import job_in
from core.services.jobs.copies import pending_copy_of_job
from core.services.jobs.derived import delete_derived_of_job
from core.services.jobs.released_drafts import lock_drafts, release_corrections
from core.services.operations.lifecycle import delete_operations, operations_in_the_way
from core.services.projects.commands import mark_project_deleted
from core.services.projects.lookup import project_in
from core.services.projects.names import log_names
from core.services.projects.test_sets import raise_if_frozen
from core.services.runs.commands import active_runs_from, cancel_in

log = structlog.get_logger(__name__)


def delete_job(platform: Platform, job_id: str, *, cancel: bool = False) -> JobRow:
    """Mark a job deleted, with its runs, its versions and what was made of them; retention removes objects and rows.

    The project of a single upload is deleted with it. `cancel` cancels its active runs and operations.
    Raises JobNotFound, Gone, DatasetFrozen, and JobInUse for a job with active work, an aliased version, one from
    which an active run of another job is fine-tuned, or one that is being extended or prepared again.
    """
    with platform.db.transaction() as session:
        project = project_in(session, job_in(session, job_id).project_id, lock=True, allow_deleted=True)
        lock_drafts(session, job_id)
        job = job_in(session, job_id, lock=True)
        raise_if_frozen(session, job)
        _refuse_aliased(session, job)
        _refuse_parent(session, job)
        _refuse_extended(session, job)
        _refuse_copied(session, job)
        row = delete_in(session, job, cancel=cancel)
        if project.implicit:
            mark_project_deleted(session, project.id)
    log.info("job.deleted", job_id=job_id, **log_names(platform.db, job_id))
    return row


def delete_in(session: Session, job: JobRow, *, cancel: bool, at: datetime | None = None) -> JobRow:
    """Inside a transaction that has locked the project, the dataset that it extends, and the job. `at`: by default now.

    Raises JobInUse for active work, Conflict.
    """
    job_id, before = job.id, job.state
    runs, operations = _active_runs(session, job_id), operations_in_the_way(session, job_id=job_id)
    if (runs or operations) and not cancel:
        counts = f"runs: {len(runs)}, operations: {len(operations)}"
        detail = f"It has active work ({counts}); add ?cancel=true to cancel it."
        raise JobInUse(detail, job_id=job_id, runs=runs, operations=operations)
    for run_id in runs:
        cancel_in(session, run_id)
    at = at or clock.now()
    row = move(
        session,
        JobRow,
        job_id,
        JobState.DELETED,
        deleted_at=at,
        finished_at=at,
        lease_expires_at=None,
        mlflow_deleted_at=None if _has_runs(session, job_id) else at,
    )
    if row is None:
        raise Conflict("The job changed while it was being deleted; try again.", job_id=job_id)
    session.execute(update(RunRow).where(RunRow.job_id == job_id).values(deleted_at=at))
    living = (VersionRow.job_id == job_id, VersionRow.deleted_at.is_(None))
    session.execute(update(VersionRow).where(*living).values(deleted_at=at, mlflow_deleted_at=at))
    delete_operations(session, at=at, job_id=job_id)
    delete_derived_of_job(session, job_id, at=at)
    if before != JobState.READY:
        release_corrections(session, job_id)
    return row


def _refuse_aliased(session: Session, job: JobRow) -> None:
    numbers = select(VersionRow.number).where(VersionRow.job_id == job.id)
    pointing = (AliasRow.project_id == job.project_id, AliasRow.number.in_(numbers))
    aliases = sorted(session.execute(select(AliasRow.alias).where(*pointing)).scalars())
    if aliases:
        detail = f"The alias {aliases[0]} points at a version of this job: move it to another one or remove it first."
        raise JobInUse(detail, job_id=job.id, aliases=aliases)


def _refuse_parent(session: Session, job: JobRow) -> None:
    runs = active_runs_from(session, VersionRow.job_id == job.id, but_not=RunRow.job_id == job.id)
    if runs:
        detail = f"The run {runs[0]} of another job is fine-tuned from a version of this job: cancel it, or wait."
        raise JobInUse(detail, job_id=job.id, runs=runs)


def _refuse_extended(session: Session, job: JobRow) -> None:
    """Of a job that an extension reads, or will read. One that failed needs a user: it does not keep its parent."""
    states = [str(state) for state in (JobState.RECEIVED, JobState.PREPARING)]
    extending = (JobRow.parent_job_id == job.id, JobRow.extension.is_not(None), JobRow.state.in_(states))
    found = session.execute(select(JobRow).where(*extending).order_by(JobRow.id).limit(1)).scalar_one_or_none()
    if found is not None:
        name = dataset_name(found.project, found.revision)
        detail = f"{name} (the job {found.id}) extends this one and is {found.state}: wait for it, or delete it first."
        raise JobInUse(detail, job_id=job.id, extensions=[found.id])


def _refuse_copied(session: Session, job: JobRow) -> None:
    copy = pending_copy_of_job(session, job)
    if copy is not None:
        raise JobInUse(copy.why, job_id=job.id, copies=[copy.job_id])


def _has_runs(session: Session, job_id: str) -> bool:
    """MLflow knows a job by its runs alone."""
    return bool(session.execute(select(exists().where(RunRow.job_id == job_id))).scalar_one())


def _active_runs(session: Session, job_id: str) -> list[str]:
    active = [str(state) for state in RUN_ACTIVE]
    # Always in the same order: two transactions that lock several runs do not deadlock.
    wanted = select(RunRow.id).where(RunRow.job_id == job_id, RunRow.state.in_(active)).order_by(RunRow.id)
    return list(session.execute(wanted).scalars())
