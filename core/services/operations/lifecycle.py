"""How an operation ends with a result, and with the job or project that it belongs to.

What it shares with other leased work (claim, report, fail, give back, ...) is in core/services/work.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, not_, select, update
from sqlalchemy.orm import Session

from core.db import Database
from core.db.tables import OperationRow
from core.domain.states import OPERATION_LIFECYCLE, RUN_ACTIVE
from core.services.operations.automatic import is_automatic
from core.services.operations.commands import cancel_in
from core.services.operations.kinds import DERIVING
from core.services.work.endings import end_attempt, succeed_attempt
from core.services.work.leases import Claim


def complete_operation(db: Database, claim: Claim, result: dict[str, Any]) -> OperationRow:
    """running -> succeeded. Raises ClaimLost."""
    return succeed_attempt(db, OperationRow, claim, result=result)


def complete_in(session: Session, claim: Claim, result: dict[str, Any]) -> OperationRow:
    """The same inside a transaction that writes what the operation made, after its other statements. Raises ClaimLost.

    Rows are locked in the order project, job, run, operation.
    """
    return end_attempt(session, OperationRow, claim, OPERATION_LIFECYCLE.succeeded, result=result)


def operations_in_the_way(session: Session, *, project_id: str | None = None, job_id: str | None = None) -> list[str]:
    """Ids of the operations that have not ended and that only `cancel` may end with their project, or with their job.

    One that only derives something, which people read without asking for an operation, ends with it in any case, and
    so does one that nobody requested.
    """
    wanted = _active(project_id, job_id).where(OperationRow.kind.not_in(DERIVING), not_(is_automatic()))
    return list(session.execute(wanted).scalars())


def delete_operations(
    session: Session, *, at: datetime, project_id: str | None = None, job_id: str | None = None
) -> None:
    """Cancel and mark the operations of a project, or of a job, that is being deleted; after its runs.

    Rows are locked in the order project, job, run, operation.
    """
    for operation_id in session.execute(_active(project_id, job_id).with_for_update()).scalars().all():
        cancel_in(session, operation_id)
    session.execute(update(OperationRow).where(*_belonging(project_id, job_id)).values(deleted_at=at))


def _active(project_id: str | None, job_id: str | None) -> Select[str]:
    active = (OperationRow.state.in_(sorted(map(str, RUN_ACTIVE))), *_belonging(project_id, job_id))
    # Always in the same order: two transactions that lock several operations do not deadlock.
    return select(OperationRow.id).where(*active).order_by(OperationRow.id)


def _belonging(project_id: str | None, job_id: str | None) -> tuple[ColumnElement[bool], ...]:
    if job_id is not None:
        return (OperationRow.job_id == job_id,)
    return (OperationRow.project_id == project_id,)
