"""The log of each attempt at a run: its tail while it runs, the object with the whole log once it has ended.

The tail goes through the database, which every API process reads at once. The store writes a key once: a log that grows
would be a new object every few seconds.
"""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.inserting import insert_if_absent
from core.db.tables import RunLogRow, RunRow
from core.services.on_commit import OnCommit
from core.services.work.leases import Claim

TAIL_BYTES = 64 * 1024  # some hundred epochs of ultralytics; every database writes such a row in 1 to 2 ms


def note_log_tail(db: Database, claim: Claim, tail: bytes, *, total_bytes: int) -> None:
    """Replace the tail of a running attempt's log. A log whose object is named already stays as it is."""
    with db.transaction() as session:
        _write(session, claim, tail=tail[-TAIL_BYTES:], total_bytes=total_bytes)


def keep_log(session: Session, claim: Claim, key: str | None) -> None:
    """Name the object with the whole log, in place of its tail. None: the whole log is not stored, the tail stays."""
    if key is None:
        return
    _write(session, claim, key=key, tail=b"")
    session.execute(update(RunRow).where(RunRow.id == claim.id).values(log_key=key))


def keeping_log(claim: Claim, key: str | None) -> OnCommit:
    """`keep_log` within the transaction that ends the attempt."""
    return lambda session, _row: keep_log(session, claim, key)


def find_log(db: Database, run_id: str, *, attempt: int | None = None) -> RunLogRow | None:
    """The log of an attempt, or of the newest attempt that has printed anything."""
    statement = select(RunLogRow).where(RunLogRow.run_id == run_id)
    if attempt is not None:
        statement = statement.where(RunLogRow.attempt == attempt)
    with db.reading() as session:
        return session.execute(statement.order_by(RunLogRow.attempt.desc()).limit(1)).scalar_one_or_none()


def _write(session: Session, claim: Claim, **values: object) -> None:
    # Keyed by attempt: a worker presumed dead does not overwrite the log of its successor.
    mine = {"run_id": claim.id, "attempt": claim.attempt}
    at = clock.now()
    if not insert_if_absent(session, RunLogRow, {"tail": b"", "total_bytes": 0, **mine, **values, "updated_at": at}):
        unkept = update(RunLogRow).filter_by(**mine).where(RunLogRow.key.is_(None))
        session.execute(unkept.values(**values, updated_at=at))
