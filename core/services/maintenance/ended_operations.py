"""What an ended operation keeps: its row. Its objects go first, then its events become one.

Failed ones keep both for a while: a retry needs what a request sent for it. The worker deletes the objects.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update

from core import clock
from core.db import Database
from core.db.tables import EventRow, OperationRow
from core.db.transitions import public_fields
from core.domain.states import OPERATION_LIFECYCLE, RunState
from core.services.maintenance.erasure import ROWS_AT_ONCE, delete_rows

_AT_ONCE = 100
_ENDED = sorted(map(str, OPERATION_LIFECYCLE.ended))


def forget_operation_objects(db: Database, *, failed_before: datetime) -> list[str]:
    """Mark ended operations that need their objects no more; from then on they cannot be retried. Returns their ids."""
    unneeded = or_(
        OperationRow.state != str(RunState.FAILED),
        OperationRow.finished_at < failed_before,
        OperationRow.deleted_at.is_not(None),
    )
    ended = (OperationRow.purged_at.is_(None), OperationRow.state.in_(_ENDED), unneeded)
    with db.transaction() as session:
        found = session.execute(select(OperationRow.id).where(*ended).order_by(OperationRow.id).limit(_AT_ONCE))
        # One may be retried between the two statements, and then needs its objects.
        mark = update(OperationRow).where(*ended).values(purged_at=clock.now()).returning(OperationRow.id)
        return [
            row_id for row_id in found.scalars().all() if session.execute(mark.where(OperationRow.id == row_id)).first()
        ]


def operations_to_condense(db: Database, *, before: datetime) -> list[str]:
    """Operations without objects that ended before `before`, or whose job or project was deleted."""
    whole = select(OperationRow.id).where(OperationRow.condensed_at.is_(None), OperationRow.purged_at.is_not(None))
    old = whole.where(OperationRow.finished_at < before).order_by(OperationRow.finished_at)
    deleted = whole.where(OperationRow.deleted_at.is_not(None)).order_by(OperationRow.id)
    with db.reading() as session:
        return [row_id for rows in (deleted, old) for row_id in session.execute(rows.limit(_AT_ONCE)).scalars()]


def condense_operation(db: Database, operation_id: str, *, at_once: int = ROWS_AT_ONCE) -> None:
    """Keep one event that says all; of an operation whose job or project was deleted none, and nothing that it names.

    The fold of its events is its state at any moment.
    """
    with db.transaction() as session:
        row = session.get_one(OperationRow, operation_id)
        newest = (EventRow.subject_id == row.id, EventRow.seq == row.event_seq)
        session.execute(update(EventRow).where(*newest).values(type="state", data=public_fields(row)))
    deleted = row.deleted_at is not None
    last = row.event_seq if deleted else row.event_seq - 1
    delete_rows(db, EventRow.subject_id, EventRow.seq, operation_id, at_once, up_to=last)
    forgotten: dict[str, Any] = {"params": {}, "result": None, "problem": None, "target": None} if deleted else {}
    with db.transaction() as session:
        whole = update(OperationRow).where(OperationRow.id == operation_id)
        session.execute(whole.values(**forgotten, condensed_at=clock.now()))
