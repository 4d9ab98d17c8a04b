"""A server that ended our connections, as a restart does, costs no request once they were idle."""

import psycopg
import pytest
from sqlalchemy import text

from core.db import Database, open_database
from core.domain.errors import Unavailable


def test_idle_connections_are_replaced_without_a_failure(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.db.idle_connections.IDLE_SECONDS", 0.0)
    db = open_database(postgres_url)
    first = _backend(db)
    _end(postgres_url, first)
    assert _backend(db) != first
    db.close()


def test_one_that_was_just_in_use_fails_once_as_unavailable(postgres_url: str) -> None:
    db = open_database(postgres_url)
    first = _backend(db)
    _end(postgres_url, first)
    with pytest.raises(Unavailable):
        _backend(db)
    assert _backend(db) != first
    db.close()


def _backend(db: Database) -> int:
    with db.reading() as session:
        return int(session.execute(text("SELECT pg_backend_pid()")).scalar_one())


def _end(url: str, backend: int) -> None:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", (backend,))
