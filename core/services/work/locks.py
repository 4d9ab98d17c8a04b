"""Named locks with a lease, and the list of workers that are alive."""

from typing import Any

from sqlalchemy import select, update

from core.db import Database
from core.db.clock import db_now
from core.db.inserting import insert_if_absent
from core.db.tables import LockRow, WorkerRow
from core.services.paging import Page, page_of

ALIVE_SECONDS = 60.0  # a worker records that it is alive every 15 s


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


def note_worker(db: Database, name: str, role: str, devices: dict[str, Any] | None = None) -> None:
    """Record that this worker is alive now, and what it computes on, where that is known."""
    with db.transaction() as session:
        insert_if_absent(session, WorkerRow, {"name": name, "role": role, "seen_at": 0.0})
        alive = {"role": role, "seen_at": db_now(), "devices": devices}
        session.execute(update(WorkerRow).where(WorkerRow.name == name).values(alive))


def list_workers(db: Database, *, cursor: str | None, limit: int) -> Page[WorkerRow]:
    """Those that were alive in the last minute, by name. Raises CursorInvalid."""
    with db.reading() as session:
        alive = select(WorkerRow).where(WorkerRow.seen_at > db_now() - ALIVE_SECONDS)
        return page_of(session, alive, WorkerRow.name, cursor=cursor, limit=limit)
