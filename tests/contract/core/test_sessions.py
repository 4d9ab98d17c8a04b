"""Sessions of browsers, on each database."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from core import clock
from core.db.tables import SessionRow
from core.domain.errors import SessionNotFound
from core.services.context import Platform
from core.services.sessions import commands as sessions
from core.settings import Settings


def with_token(platform: Platform, token: str, **more: float) -> Settings:
    return platform.settings.model_copy(update={"api_token": Settings(api_token=token).api_token, **more})


def test_a_session_is_found_by_its_secret_until_it_is_revoked_or_expires(platform: Platform) -> None:
    db, settings = platform.db, with_token(platform, "one")
    first, second = (sessions.open_session(db, settings, label=label) for label in ("Firefox, Linux", "Safari, macOS"))
    assert sessions.find_session(db, settings, first.secret) == first.row.id
    assert sessions.find_session(db, settings, first.row.secret_sha256) is None  # what the database has opens nothing
    listed = sessions.list_sessions(db, settings, cursor=None, limit=1)
    assert [row.label for row in listed.items] == ["Safari, macOS"]
    rest = sessions.list_sessions(db, settings, cursor=listed.next_cursor, limit=9)
    assert [row.id for row in rest.items] == [first.row.id] and rest.next_cursor is None

    sessions.revoke_session(db, first.row.id)
    assert sessions.find_session(db, settings, first.secret) is None
    with pytest.raises(SessionNotFound):
        sessions.revoke_session(db, first.row.id)
    expired = sessions.open_session(db, with_token(platform, "one", session_days=-1), label="old")
    assert sessions.find_session(db, settings, expired.secret) is None
    assert [row.id for row in sessions.list_sessions(db, settings, cursor=None, limit=9).items] == [second.row.id]
    sessions.delete_expired_sessions(db)
    with pytest.raises(SessionNotFound):
        sessions.revoke_session(db, expired.row.id)
    assert sessions.find_session(db, settings, second.secret) == second.row.id
    assert sessions.revoke_all_sessions(db) == 1
    assert sessions.find_session(db, settings, second.secret) is None


def test_a_changed_token_ends_the_sessions_and_the_old_one_has_them_again(platform: Platform) -> None:
    db, old, new = platform.db, with_token(platform, "old"), with_token(platform, "new")
    opened = sessions.open_session(db, old, label="Firefox, Linux")
    assert sessions.find_session(db, new, opened.secret) is None
    assert sessions.list_sessions(db, new, cursor=None, limit=9).items == []
    assert sessions.find_session(db, old, opened.secret) == opened.row.id


def test_the_time_of_use_is_noted_once_an_hour(platform: Platform) -> None:
    db, settings = platform.db, with_token(platform, "one")
    opened = sessions.open_session(db, settings, label="Firefox, Linux")
    sessions.find_session(db, settings, opened.secret)
    (row,) = sessions.list_sessions(db, settings, cursor=None, limit=9).items
    assert row.last_used_at == opened.row.last_used_at
    with db.transaction() as session:
        session.execute(update(SessionRow).values(last_used_at=clock.now() - timedelta(hours=2)))
    sessions.find_session(db, settings, opened.secret)
    (row,) = sessions.list_sessions(db, settings, cursor=None, limit=9).items
    assert clock.now() - row.last_used_at < timedelta(minutes=1)
