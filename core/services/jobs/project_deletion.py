"""Deleting a project: with its jobs, its runs, its operations and its versions."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import clock
from core.db.tables import AliasRow, JobRow, ProjectRow, RunRow, VersionRow
from core.domain.errors import ProjectInUse
from core.services.context import Platform
from core.services.jobs.copies import pending_copy_of_project
from core.services.jobs.deletion import delete_in
from core.services.jobs.derived import delete_derived_of_project
from core.services.operations.lifecycle import delete_operations, operations_in_the_way
from core.services.projects.commands import mark_project_deleted
from core.services.projects.lookup import project_in
from core.services.projects.test_sets import end_freeze_of
from core.services.runs.commands import active_runs_from

_LISTED = 20
_ALIAS_REMOVED = 0


def delete_project(platform: Platform, ref: str, *, cancel: bool = False) -> ProjectRow:
    """Mark a project deleted, and all that is in it; retention removes objects and what people wrote.

    `cancel` ends its active work first. Its name is not given again.
    Raises ProjectNotFound, ProjectRenamed, Gone, and ProjectInUse for aliases that point at its versions, for runs of
    other projects that are fine-tuned from one, for datasets of other projects that are to be prepared of the ZIP of
    one of its datasets, and for active work.
    """
    with platform.db.transaction() as session:
        project = project_in(session, ref, lock=True)
        _refuse_aliased(session, project)
        _refuse_parent(session, project)
        _refuse_copied(session, project)
        if not cancel:
            _refuse_active(session, project)
        at = clock.now()
        living = select(JobRow).where(JobRow.project_id == project.id, JobRow.deleted_at.is_(None))
        # In the order of all who lock several rows.
        for job in session.execute(living.order_by(JobRow.id).with_for_update()).scalars().all():
            delete_in(session, job, cancel=True, at=at)  # by the same time: they were deleted with it
        end_freeze_of(session, project.id, at=at)
        delete_operations(session, at=at, project_id=project.id)
        delete_derived_of_project(session, project.id, at=at)
        return mark_project_deleted(session, project.id, at=at)


def _refuse_aliased(session: Session, project: ProjectRow) -> None:
    pointing = (AliasRow.project_id == project.id, AliasRow.number != _ALIAS_REMOVED)
    aliases = list(session.execute(select(AliasRow.alias).where(*pointing).order_by(AliasRow.alias)).scalars())
    if aliases:
        detail = f"The alias {aliases[0]} points at a version of the project: remove it first."
        raise ProjectInUse(detail, project=project.slug, aliases=aliases)


def _refuse_parent(session: Session, project: ProjectRow) -> None:
    runs = active_runs_from(session, VersionRow.project_id == project.id, but_not=RunRow.project_id == project.id)
    if runs:
        detail = f"The run {runs[0]} of another project is fine-tuned from a version of it: cancel it, or wait."
        raise ProjectInUse(detail, project=project.slug, work=runs)


def _refuse_copied(session: Session, project: ProjectRow) -> None:
    copy = pending_copy_of_project(session, project)
    if copy is not None:
        raise ProjectInUse(copy.why, project=project.slug, work=[copy.job_id])


def _refuse_active(session: Session, project: ProjectRow) -> None:
    work = [*_active_ids(session, JobRow, project), *_active_ids(session, RunRow, project)]
    work += operations_in_the_way(session, project_id=project.id)
    if work:
        detail = "Jobs, runs or operations of the project are active; add ?cancel=true to end them."
        raise ProjectInUse(detail, project=project.slug, work=work[:_LISTED])


def _active_ids(session: Session, table: type[JobRow] | type[RunRow], project: ProjectRow) -> list[str]:
    states = sorted(str(state) for state in {table.lifecycle.waiting, *table.lifecycle.active})
    active = (table.project_id == project.id, table.state.in_(states))
    return list(session.execute(select(table.id).where(*active).order_by(table.id)).scalars())
