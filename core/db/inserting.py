"""INSERT ... ON CONFLICT DO NOTHING, for SQLite and PostgreSQL."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from core.db.base import Base


def insert_if_absent(session: Session, table: type[Base], values: Mapping[str, Any]) -> bool:
    """Returns False where a row with this key exists; that row stays unchanged."""
    insert = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    key = next(iter(table.__table__.primary_key))
    statement = insert(table).values(**values).on_conflict_do_nothing().returning(key)
    return session.execute(statement).first() is not None
