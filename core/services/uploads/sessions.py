"""Use cases of a resumable upload: created, leased to one request at a time, extended part by part, deleted.

For each part the object is stored first; then one statement records it and moves the offset. All bytes below the offset
are therefore stored for good, and a request that lost its lease can neither move the offset nor overwrite a part.
The last step, from parts to a job, is in finish.py.
"""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import ColumnElement, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.clock import db_now
from core.db.tables import UploadPartRow, UploadRow
from core.domain.errors import DarkroomError, Gone, UploadLocked, UploadNotFound, UploadOffsetDiffers
from core.domain.ids import new_id
from core.services.jobs.commands import new_job_id
from core.services.on_commit import OnCommit, do_nothing
from core.services.projects.lookup import raise_if_not_joinable
from core.settings import Settings

OPEN, DONE, REFUSED = "open", "done", "refused"
LEASE_SECONDS = 30.0  # another request can take over from one that died after this
HEARTBEAT_SECONDS = 8.0  # three may be missed
PROMISE_SECONDS = 3600.0  # a client that was interrupted continues within minutes; one that never comes blocks no other
_BATCH = 100

log = structlog.get_logger(__name__)


EXTENDS = "extends"  # among the options of an upload: the job that it extends


@dataclass(frozen=True, slots=True)
class UploadLease:
    """The right to change one upload. `token` distinguishes it from the lease of a request that took over."""

    upload_id: str
    token: str


@dataclass(frozen=True, slots=True)
class NewUpload:
    """What the client announces before the first byte. `sha256` is that of the whole upload, if promised;
    `client_metadata` is returned to the client as it was sent; `project` is the name of the one that it joins;
    `extends` the job that it extends, with the options that differ from those of that job."""

    length_bytes: int
    source_name: str
    name: str
    options: dict[str, Any]
    sha256: str | None
    client_metadata: str | None = None
    project: str | None = None
    extends: str | None = None


def create_upload(db: Database, settings: Settings, new: NewUpload, *, on_commit: OnCommit = do_nothing) -> UploadRow:
    """Raises SlugInvalid, ProjectIsImplicit, Gone of its project, which is made when the upload is complete."""
    if new.project:
        raise_if_not_joinable(db, new.project)
    with db.transaction() as session:
        statement = (
            insert(UploadRow)
            .values(
                id=new_id("upload", clock.now_ms()),
                state=OPEN,
                name=new.name,
                source_name=new.source_name,
                options={EXTENDS: new.extends, **new.options} if new.extends else new.options,
                project=new.project,
                length_bytes=new.length_bytes,
                received_bytes=0,
                sha256=new.sha256,
                client_metadata=new.client_metadata,
                job_id=new_job_id(),
                expires_at=db_now() + settings.keep_upload_hours * 3600,
                created_at=clock.now(),
            )
            .returning(UploadRow)
        )
        row = session.execute(statement).scalar_one()
        on_commit(session, row)
    return row


def get_upload(db: Database, upload_id: str) -> UploadRow:
    """Raises UploadNotFound."""
    with db.reading() as session:
        return _upload_in(session, upload_id)


def parts_of(db: Database, upload_id: str) -> list[UploadPartRow]:
    """The stored parts of an upload, in order and without gaps."""
    with db.reading() as session:
        statement = select(UploadPartRow).where(UploadPartRow.upload_id == upload_id).order_by(UploadPartRow.start)
        return list(session.execute(statement).scalars())


def lease_upload(db: Database, upload_id: str, *, offset: int) -> tuple[UploadLease, UploadRow]:
    """Lease an open upload whose offset is `offset`.

    Raises UploadNotFound, Gone (refused or expired), UploadOffsetDiffers, UploadLocked.
    """
    lease = UploadLease(upload_id, secrets.token_hex(16))
    free = or_(UploadRow.holder.is_(None), UploadRow.lease_expires_at < db_now())
    with db.transaction() as session:
        row = _change(
            session,
            (UploadRow.id == upload_id, UploadRow.state == OPEN, UploadRow.received_bytes == offset, free),
            holder=lease.token,
            lease_expires_at=db_now() + LEASE_SECONDS,
        )
        if row is None:
            raise _why_not(_upload_in(session, upload_id), offset)
    return lease, row


@contextmanager
def renewing_lease(db: Database, lease: UploadLease) -> Iterator[None]:
    """Renew the lease in a thread during the block, however slowly its bytes arrive."""
    ended = threading.Event()

    def heartbeat() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            try:
                with db.transaction() as session:
                    _change(session, _has_lease(lease), lease_expires_at=db_now() + LEASE_SECONDS)
            except DarkroomError as error:  # the database may be back at the next heartbeat
                log.warning("upload.heartbeat_failed", upload_id=lease.upload_id, error=error.detail)

    thread = threading.Thread(target=heartbeat, daemon=True, name=f"lease {lease.upload_id}")
    thread.start()
    try:
        yield
    finally:
        ended.set()


def add_part(db: Database, settings: Settings, lease: UploadLease, part: UploadPartRow) -> UploadRow:
    """Record a stored part and move the offset to its end. Raises UploadLocked when another request took over."""
    with db.transaction() as session:
        row = _change(
            session,
            (*_has_lease(lease), UploadRow.received_bytes == part.start),
            received_bytes=part.start + part.bytes,
            lease_expires_at=db_now() + LEASE_SECONDS,
            expires_at=db_now() + settings.keep_upload_hours * 3600,
        )
        if row is None:
            raise UploadLocked("Another request took over this upload, or deleted it.", upload_id=lease.upload_id)
        session.add(part)
    return row


def release_upload(db: Database, lease: UploadLease) -> None:
    with db.transaction() as session:
        _change(session, _has_lease(lease), holder=None, lease_expires_at=None)


def mark_done(session: Session, lease: UploadLease) -> None:
    """Runs in the transaction that creates the job: both or neither. Raises UploadLocked."""
    if _change(session, _has_lease(lease), state=DONE, holder=None, lease_expires_at=None) is None:
        raise UploadLocked("Another request took over this upload, or deleted it.", upload_id=lease.upload_id)
    session.execute(delete(UploadPartRow).where(UploadPartRow.upload_id == lease.upload_id))


def refuse_upload(db: Database, lease: UploadLease, problem: DarkroomError) -> None:
    """The bytes are not those that the client promised: keep the problem and delete the parts."""
    with db.transaction() as session:
        _change(
            session, _has_lease(lease), state=REFUSED, problem=problem.as_problem(), holder=None, lease_expires_at=None
        )
        session.execute(delete(UploadPartRow).where(UploadPartRow.upload_id == lease.upload_id))


def delete_upload_rows(db: Database, upload_id: str) -> None:
    """Delete an upload and its parts, leased or not: the holder of a lease gets UploadLocked at its next step."""
    with db.transaction() as session:
        session.execute(delete(UploadPartRow).where(UploadPartRow.upload_id == upload_id))
        session.execute(delete(UploadRow).where(UploadRow.id == upload_id))


def expired_uploads(db: Database) -> list[str]:
    """The ids of at most 100 uploads that expired and are not leased."""
    free = or_(UploadRow.holder.is_(None), UploadRow.lease_expires_at < db_now())
    with db.reading() as session:
        statement = select(UploadRow.id).where(UploadRow.expires_at < db_now(), free).limit(_BATCH)
        return list(session.execute(statement).scalars())


def promised_bytes(db: Database, *, keep_seconds: float, but_not: str | None = None) -> int:
    """What open uploads still need of a store on a disk: the parts to come, and the object joined from all parts.

    An upload without new bytes for PROMISE_SECONDS keeps its parts, but loses its promise until it asks again.
    `keep_seconds`: after its last bytes an upload expires.
    """
    active = UploadRow.expires_at > db_now() + (keep_seconds - min(PROMISE_SECONDS, keep_seconds))
    promised = (UploadRow.state == OPEN, active, UploadRow.id != (but_not or ""))
    needed = func.sum(2 * UploadRow.length_bytes - UploadRow.received_bytes)
    with db.reading() as session:
        return int(session.execute(select(func.coalesce(needed, 0)).where(*promised)).scalar_one())


def complete_uploads(db: Database) -> list[str]:
    """The ids of at most 100 open uploads with all bytes stored: a process died before it created the job."""
    complete = (UploadRow.state == OPEN, UploadRow.received_bytes == UploadRow.length_bytes)
    with db.reading() as session:
        return list(session.execute(select(UploadRow.id).where(*complete).limit(_BATCH)).scalars())


def _upload_in(session: Session, upload_id: str) -> UploadRow:
    row = session.get(UploadRow, upload_id)
    if row is None:
        raise UploadNotFound(
            f"There is no upload {upload_id[:80]}; it may have expired or been deleted.", upload_id=upload_id[:80]
        )
    return row


def _why_not(row: UploadRow, offset: int) -> DarkroomError:
    if row.state == REFUSED:
        return Gone("The upload was refused: start a new one.", upload_id=row.id, problem=row.problem)
    if row.received_bytes != offset:
        detail = f"The upload continues at byte {row.received_bytes}, not {offset}."
        return UploadOffsetDiffers(detail, upload_id=row.id, offset=row.received_bytes, length=row.length_bytes)
    if row.state == DONE:
        return UploadOffsetDiffers("The upload is complete.", upload_id=row.id, offset=offset, length=row.length_bytes)
    return UploadLocked("Another request is sending to this upload; try again in a few seconds.", upload_id=row.id)


def _has_lease(lease: UploadLease) -> tuple[ColumnElement[bool], ...]:
    return (UploadRow.id == lease.upload_id, UploadRow.state == OPEN, UploadRow.holder == lease.token)


def _change(session: Session, where: tuple[ColumnElement[bool], ...], **changes: Any) -> UploadRow | None:
    statement = (
        update(UploadRow)
        .where(*where)
        .values(**changes)
        .returning(UploadRow)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return session.execute(statement).scalar_one_or_none()
