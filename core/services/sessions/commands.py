"""Use cases of sessions.

The cookie has 256 random bits, the row their sha256: who reads the database can open no page. A session is one of the
token that it was opened with, so that a changed token ends all of them.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from hashlib import scrypt, sha256

from sqlalchemy import delete, insert, select, update

from core import clock
from core.db import Database
from core.db.clock import db_now
from core.db.tables import SessionRow
from core.domain.errors import SessionNotFound
from core.domain.ids import new_id
from core.services.paging import Page, page_of
from core.settings import Settings

USED_EVERY = timedelta(hours=1)  # `last_used_at` is no more precise: a session of a page is read several times a second


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """`secret` is for the cookie, and stored nowhere."""

    row: SessionRow
    secret: str


def open_session(db: Database, settings: Settings, *, label: str) -> OpenedSession:
    """For a browser that has given the token of `settings`. `label` says which one it is, at most 80 characters."""
    secret, now = secrets.token_urlsafe(32), clock.now()
    statement = (
        insert(SessionRow)
        .values(
            id=new_id("session", clock.now_ms()),
            secret_sha256=_digest(secret),
            token_digest=token_digest(settings),
            label=label,
            created_at=now,
            last_used_at=now,
            expires_at=db_now() + settings.session_days * 86400,
        )
        .returning(SessionRow)
    )
    with db.transaction() as session:
        return OpenedSession(session.execute(statement).scalar_one(), secret)


def find_session(db: Database, settings: Settings, secret: str) -> str | None:
    """The id of the session with this secret; None when it was revoked, has expired, or belongs to another token."""
    valid = (
        SessionRow.secret_sha256 == _digest(secret),
        SessionRow.token_digest == token_digest(settings),
        SessionRow.expires_at > db_now(),
    )
    with db.reading() as session:
        found = session.execute(select(SessionRow.id, SessionRow.last_used_at).where(*valid)).one_or_none()
    if found is None:
        return None
    session_id, last_used_at = found
    now = clock.now()
    if now - last_used_at > USED_EVERY:
        with db.transaction() as session:
            session.execute(update(SessionRow).where(SessionRow.id == session_id).values(last_used_at=now))
    return str(session_id)


def list_sessions(db: Database, settings: Settings, *, cursor: str | None, limit: int) -> Page[SessionRow]:
    """Those that are valid, newest first. Raises CursorInvalid."""
    valid = (SessionRow.token_digest == token_digest(settings), SessionRow.expires_at > db_now())
    with db.reading() as session:
        return page_of(
            session, select(SessionRow).where(*valid), SessionRow.id, cursor=cursor, limit=limit, newest_first=True
        )


def revoke_session(db: Database, session_id: str) -> None:
    """Raises SessionNotFound."""
    with db.transaction() as session:
        gone = session.execute(delete(SessionRow).where(SessionRow.id == session_id).returning(SessionRow.id)).first()
    if gone is None:
        detail = f"There is no session {session_id[:80]}; it may have ended or expired."
        raise SessionNotFound(detail, session_id=session_id[:80])


def revoke_all_sessions(db: Database) -> int:
    """The number of those that there were."""
    with db.transaction() as session:
        return len(session.execute(delete(SessionRow).returning(SessionRow.id)).all())


def delete_expired_sessions(db: Database) -> None:
    with db.transaction() as session:
        session.execute(delete(SessionRow).where(SessionRow.expires_at < db_now()))


def token_digest(settings: Settings) -> str:
    return _token_digest(settings.api_token.get_secret_value())


@lru_cache(maxsize=8)
def _token_digest(token: str) -> str:
    """By a slow function, because a person may have chosen the token; once a process."""
    return scrypt(token.encode(), salt=b"darkroom sessions", n=2**14, r=8, p=1, dklen=32).hex()


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
