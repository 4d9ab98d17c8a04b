"""Corrections that a revision took along which does not come about: they are drafts again.

One draft an image, and what is sent later takes the place of what was sent before: of a correction that comes back
and a draft of the same image, the later one stays.
"""

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session, aliased

from core.db.tables import CorrectionRow, JobRow


def lock_drafts(session: Session, job_id: str) -> None:
    """Of the dataset that this job extends, by its row, which comes before that of the job wherever several are locked.

    Until the end of the transaction nobody adds a draft.
    """
    parent = select(JobRow.parent_job_id).where(JobRow.id == job_id).scalar_subquery()
    session.execute(select(JobRow.id).where(JobRow.id == parent).with_for_update())


def release_corrections(session: Session, job_id: str) -> None:
    """In a transaction that holds `lock_drafts`."""
    other = aliased(CorrectionRow)
    same = (other.job_id == CorrectionRow.job_id, other.image == CorrectionRow.image)
    taken = CorrectionRow.applied_to == job_id
    returning = exists().where(*same, other.applied_to == job_id, other.updated_at > CorrectionRow.updated_at)
    newer = exists().where(*same, other.applied_to.is_(None))
    for statement in (
        delete(CorrectionRow).where(CorrectionRow.applied_to.is_(None), returning),
        delete(CorrectionRow).where(taken, newer),
        update(CorrectionRow).where(taken).values(applied_to=None),
    ):
        session.execute(statement.execution_options(synchronize_session=False))
