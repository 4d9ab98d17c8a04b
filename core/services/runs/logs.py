"""What each attempt at a run printed: its end while it runs, the object that holds it whole once it has ended.

The end goes through the database, which every API process sees at once. The store writes a key once: a log that grows
would be a new object every few seconds.
"""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.inserting import insert_if_absent
from core.db.tables import RunLogRow
from core.services.work.leases import Claim

TAIL_BYTES = 64 * 1024  # some hundred epochs of ultralytics; a row that every database takes in a millisecond or two


def note_log_tail(db: Database, claim: Claim, tail: bytes, *, total_bytes: int) -> None:
    """Replace the end of a running attempt's log. One that is kept whole already stays as it is."""
    with db.transaction() as session:
        _write(session, claim, tail=tail[-TAIL_BYTES:], total_bytes=total_bytes)


def keep_log(session: Session, claim: Claim, key: str | None) -> None:
    """Name the object that holds the whole log; its end is needed no more. None: the end is all there is."""
    if key is not None:
        _write(session, claim, key=key, tail=b"")


def find_log(db: Database, run_id: str, *, attempt: int | None = None) -> RunLogRow | None:
    """The log of an attempt, or of the newest that has printed anything."""
    statement = select(RunLogRow).where(RunLogRow.run_id == run_id)
    if attempt is not None:
        statement = statement.where(RunLogRow.attempt == attempt)
    with db.reading() as session:
        return session.execute(statement.order_by(RunLogRow.attempt.desc()).limit(1)).scalar_one_or_none()


def _write(session: Session, claim: Claim, **values: object) -> None:
    # Keyed by attempt: a worker presumed dead writes beside its successor, never over it.
    mine = {"run_id": claim.id, "attempt": claim.attempt}
    at = clock.now()
    if not insert_if_absent(session, RunLogRow, {"tail": b"", "total_bytes": 0, **mine, **values, "updated_at": at}):
        unkept = update(RunLogRow).filter_by(**mine).where(RunLogRow.key.is_(None))
        session.execute(unkept.values(**values, updated_at=at))
