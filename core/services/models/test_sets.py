"""Frozen test sets: the test split of a dataset, on which versions of its project are compared.

A request queues an operation, which lists the images and publishes the next generation. See
`core.services.projects.test_sets` for what holds while one is frozen.
"""

from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.tables import JobRow, OperationRow, ProjectRow, TestSetRow
from core.domain.errors import DatasetElsewhere, Gone, OperationFailed, TestSetNotFound
from core.domain.model_names import dataset_name
from core.domain.not_ready import not_ready
from core.domain.states import JobState
from core.services.context import Platform
from core.services.jobs.commands import job_in
from core.services.jobs.names import dataset_in
from core.services.operations.commands import add_operation, enqueue_operation, operation_in
from core.services.operations.kinds import FREEZE
from core.services.operations.lifecycle import complete_in
from core.services.paging import INTEGER_MAX, Page, page_of
from core.services.projects.lookup import project_in, touch_project
from core.services.projects.test_sets import current_test_set, end_freeze_of
from core.services.work.leases import Claim, ClaimLost
from core.storage import StoredObject


class FreezeStanding(NamedTuple):
    """`frozen`: the test set, where the dataset is frozen already; else `operation` freezes it."""

    slug: str
    job: JobRow
    frozen: TestSetRow | None
    operation: OperationRow | None


class FrozenSet(NamedTuple):
    """`revision`: the number of the dataset in the project."""

    slug: str
    revision: int
    row: TestSetRow


def dataset_to_freeze(db: Database, ref: str, dataset: str) -> JobRow:
    """Raises what finding them raises, JobNotReady, DatasetElsewhere."""
    with db.reading() as session:
        return _dataset(session, project_in(session, ref), dataset)


def freeze(platform: Platform, ref: str, dataset: str) -> FreezeStanding:
    """Queue what freezes the test split of a dataset, unless it is frozen, or being frozen.

    `dataset`: a job's id, `raccoons/d2` or `d2`. Raises as `dataset_to_freeze`.
    """
    with platform.db.transaction() as session:
        project = project_in(session, ref, lock=True)
        job = _dataset(session, project, dataset)
        frozen = current_test_set(session, project.id)
        if frozen is not None and frozen.job_id == job.id:
            return FreezeStanding(project.slug, job, frozen, None)
        params = {
            "project_id": project.id,
            "job_id": job.id,
            "dataset": dataset_name(job.project, job.revision),
            "fingerprint": job.fingerprint,
        }
        row, is_new = add_operation(session, FREEZE, params, project_id=project.id, job_id=job.id, target=job.id)
    if is_new:
        enqueue_operation(platform, row.id)
    return FreezeStanding(project.slug, job, None, row)


def standing_of(db: Database, operation_id: str) -> FreezeStanding:
    """How it stands with an operation that freezes: `frozen` once it has, or another has frozen the same."""
    with db.reading() as session:
        operation = operation_in(session, operation_id)
        project = project_in(session, str(operation.project_id))
        job = job_in(session, str(operation.job_id))
        frozen = current_test_set(session, project.id)
        if frozen is not None and frozen.job_id == job.id:
            return FreezeStanding(project.slug, job, frozen, None)
        return FreezeStanding(project.slug, job, None, operation)


def publish_test_set(db: Database, claim: Claim, stored: StoredObject, *, images: int) -> TestSetRow:
    """Publish in one transaction: the next generation, the end of the one before, the operation succeeded.

    Raises OperationFailed where the dataset was deleted meanwhile, ClaimLost.
    """
    with db.transaction() as session:
        operation = session.get(OperationRow, claim.id)
        if operation is None:
            raise ClaimLost
        project, job = _locked(session, operation)
        frozen, at = current_test_set(session, project.id), clock.now()
        if frozen is not None and frozen.job_id == job.id:  # by an operation that was faster: the list is the same
            complete_in(session, claim, _result(frozen))
            return frozen
        newest = select(func.max(TestSetRow.generation)).where(TestSetRow.project_id == project.id)
        row = TestSetRow(
            project_id=project.id,
            generation=(session.execute(newest).scalar() or 0) + 1,
            job_id=job.id,
            fingerprint=str(job.fingerprint),
            images=images,
            key=stored.key,
            bytes=stored.bytes,
            sha256=stored.sha256,
            created_at=at,
        )
        end_freeze_of(session, project.id, at=at)
        touch_project(session, project.id)
        complete_in(session, claim, _result(row))
        session.add(row)
    return row


def get_test_set(db: Database, ref: str) -> FrozenSet:
    """The one that is frozen. Raises TestSetNotFound, and what finding the project raises."""
    with db.reading() as session:
        project = project_in(session, ref)
        return _named(session, project, _current(session, project))


def get_generation(db: Database, ref: str, generation: int) -> FrozenSet:
    """One of them, also one that has ended. Raises TestSetNotFound, and what finding the project raises."""
    with db.reading() as session:
        project = project_in(session, ref)
        row = session.get(TestSetRow, (project.id, generation)) if 0 < generation <= INTEGER_MAX else None
        if row is None:
            raise TestSetNotFound(f"There is no generation {generation} of it.", project=project.slug)
        return _named(session, project, row)


def list_test_sets(db: Database, ref: str, *, cursor: str | None, limit: int) -> Page[FrozenSet]:
    """Every generation, newest first. Raises CursorInvalid, and what finding the project raises."""
    with db.reading() as session:
        project = project_in(session, ref)
        mine = select(TestSetRow).where(TestSetRow.project_id == project.id)
        page = page_of(session, mine, TestSetRow.generation, cursor=cursor, limit=limit, newest_first=True)
        named = select(JobRow.id, JobRow.revision).where(JobRow.id.in_({row.job_id for row in page.items}))
        revisions = dict(session.execute(named).all())
        items = [FrozenSet(project.slug, revisions[row.job_id], row) for row in page.items]
        return Page(items, page.next_cursor)


def end_freeze(db: Database, ref: str) -> None:
    """New datasets take its images again. Raises TestSetNotFound, and what finding the project raises."""
    with db.transaction() as session:
        project = project_in(session, ref, lock=True)
        _current(session, project)
        end_freeze_of(session, project.id, at=clock.now())
        touch_project(session, project.id)


def _dataset(session: Session, project: ProjectRow, dataset: str) -> JobRow:
    job = dataset_in(session, dataset, project=project)
    if job.project_id != project.id:
        name = dataset_name(job.project, job.revision)
        detail = f"{name} is no dataset of {project.slug}: a project freezes one of its own."
        raise DatasetElsewhere(detail, job_id=job.id, project=job.project)
    if job.state != JobState.READY or job.fingerprint is None:
        raise not_ready(job.id, job.state)
    return job


def _locked(session: Session, operation: OperationRow) -> tuple[ProjectRow, JobRow]:
    try:
        project = project_in(session, operation.params["project_id"], lock=True)
        return project, job_in(session, operation.params["job_id"], lock=True)
    except Gone as error:
        raise OperationFailed("The dataset was deleted.", job_id=operation.params["job_id"]) from error


def _result(row: TestSetRow) -> dict[str, object]:
    return {"generation": row.generation, "images": row.images, "sha256": row.sha256}


def _current(session: Session, project: ProjectRow) -> TestSetRow:
    row = current_test_set(session, project.id)
    if row is None:
        detail = f"Nothing is frozen: PUT /projects/{project.slug}/test-set with a job_id freezes its test split."
        raise TestSetNotFound(detail, project=project.slug)
    return row


def _named(session: Session, project: ProjectRow, row: TestSetRow) -> FrozenSet:
    return FrozenSet(project.slug, session.get_one(JobRow, row.job_id).revision, row)
