"""Named locks with a lease, and the list of workers that are alive."""

from sqlalchemy import update

from core.db import Database
from core.db.clock import db_now
from core.db.inserting import insert_if_absent
from core.db.tables import LockRow, WorkerRow


def take_lock(db: Database, name: str, holder: str, *, seconds: float) -> bool:
    """Take or renew a named lock. False: another holder has it, and its lease has not expired."""
    with db.transaction() as session:
        insert_if_absent(session, LockRow, {"name": name, "holder": holder, "expires_at": 0.0})
        statement = (
            update(LockRow)
            .where(LockRow.name == name, (LockRow.holder == holder) | (LockRow.expires_at < db_now()))
            .values(holder=holder, expires_at=db_now() + seconds)
            .returning(LockRow.name)
        )
        return session.execute(statement).first() is not None


def note_worker(db: Database, name: str, role: str) -> None:
    """Record that this worker is alive now."""
    with db.transaction() as session:
        insert_if_absent(session, WorkerRow, {"name": name, "role": role, "seen_at": 0.0})
        session.execute(update(WorkerRow).where(WorkerRow.name == name).values(role=role, seen_at=db_now()))
