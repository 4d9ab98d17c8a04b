"""Corrections that a revision took along which does not come about."""

from sqlalchemy import exists, update
from sqlalchemy.orm import Session, aliased

from core.db.tables import CorrectionRow


def release_corrections(session: Session, job_id: str) -> None:
    """Those that a revision took along which does not come about are drafts again, unless there is a newer one."""
    newer = aliased(CorrectionRow)
    same = (newer.job_id == CorrectionRow.job_id, newer.image == CorrectionRow.image, newer.applied_to.is_(None))
    taken = (CorrectionRow.applied_to == job_id, ~exists().where(*same))
    session.execute(
        update(CorrectionRow).where(*taken).values(applied_to=None).execution_options(synchronize_session=False)
    )
