"""The frozen test set of a project, read inside the transactions of others: what is prepared, trained and deleted."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session, aliased

from core.db import Database
from core.db.tables import JobRow, TestSetRow
from core.domain.errors import DatasetFrozen


class TestSetChanged(Exception):
    """Another test set than at the start of a preparation is frozen by now: its images were not compared."""

    __test__ = False  # pytest takes classes of this name for tests


def find_test_set(db: Database, project_id: str) -> TestSetRow | None:
    """The one that is frozen now."""
    with db.reading() as session:
        return current_test_set(session, project_id)


def current_test_set(session: Session, project_id: str) -> TestSetRow | None:
    current = (TestSetRow.project_id == project_id, TestSetRow.removed_at.is_(None))
    statement = select(TestSetRow).where(*current).execution_options(populate_existing=True)
    return session.execute(statement).scalar_one_or_none()


def extends(db: Database, job_id: str, ancestor_id: str) -> bool:
    """Whether a dataset extends another, by any number of revisions."""
    line = select(JobRow.id, JobRow.parent_job_id).where(JobRow.id == job_id).cte("line", recursive=True)
    parent = aliased(JobRow)
    line = line.union(select(parent.id, parent.parent_job_id).join(line, parent.id == line.c.parent_job_id))
    with db.reading() as session:
        return session.execute(select(line.c.id).where(line.c.id == ancestor_id)).first() is not None


def raise_if_frozen(session: Session, job: JobRow) -> None:
    """Before a dataset, or what is stored of it, is deleted; under the lock of its project. Raises DatasetFrozen."""
    frozen = current_test_set(session, job.project_id)
    if frozen is not None and frozen.job_id == job.id:
        raise DatasetFrozen(
            f"Its test split is the frozen test set of {job.project}: freeze another dataset, or end the freeze with "
            f"DELETE /projects/{job.project}/test-set.",
            job_id=job.id,
            project=job.project,
            generation=frozen.generation,
        )


def raise_if_changed(session: Session, project_id: str, generation: int | None) -> None:
    """`generation`: of the test set that was compared with. Raises TestSetChanged."""
    frozen = current_test_set(session, project_id)
    if generation != (None if frozen is None else frozen.generation):
        raise TestSetChanged


def end_freeze_of(session: Session, project_id: str, *, at: datetime) -> None:
    """Under the lock of the project."""
    current = (TestSetRow.project_id == project_id, TestSetRow.removed_at.is_(None))
    session.execute(update(TestSetRow).where(*current).values(removed_at=at))
