"""Migrations: run once, as a separate step, never by each process at its start."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event

from core.db import open_database
from core.db.tables import METADATA

_SCRIPTS = Path(__file__).resolve().parents[2] / "migrations"


def upgrade(url: str, revision: str = "head") -> None:
    """Upgrade the database to `revision`. Two at once are safe: the second waits and then has nothing to do."""
    with _migrating(url) as config:
        command.upgrade(config, revision)


def downgrade(url: str, revision: str) -> None:
    """Bring the schema back to `revision`. Raises RuntimeError where rows have no place in the older one."""
    with _migrating(url) as config:
        command.downgrade(config, revision)


def drift(url: str) -> list[str]:
    """The differences between the tables in code and the migrated database; more than one head is one too."""
    heads = ScriptDirectory.from_config(alembic_config()).get_heads()
    found = [] if len(heads) == 1 else [f"{len(heads)} heads: {', '.join(heads)}"]
    database = open_database(url)
    try:
        with database.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            found += [str(difference) for difference in compare_metadata(context, METADATA)]
    finally:
        database.close()
    return found


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    return config


@contextmanager
def _migrating(url: str) -> Iterator[Config]:
    """A configuration whose connection is in a transaction that no second migration shares."""
    database = open_database(url)
    is_sqlite = database.engine.dialect.name == "sqlite"
    if is_sqlite:
        event.listen(database.engine, "connect", _without_foreign_keys)
    try:
        with database.engine.execution_options(darkroom_writes=True).begin() as connection:
            if not is_sqlite:
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # a large table takes longer
                connection.exec_driver_sql("SET LOCAL lock_timeout = 0")  # a second migration waits for the first
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7253021)")
            config = alembic_config()
            config.attributes["connection"] = connection
            yield config
            if is_sqlite:
                _check_foreign_keys(connection)
    finally:
        database.close()


def _without_foreign_keys(connection: Any, _record: Any) -> None:
    """SQLite alters a table by copying it, and dropping the old one would delete the rows that refer to it."""
    connection.execute("PRAGMA foreign_keys=OFF")


def _check_foreign_keys(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(5)
    if broken:
        raise RuntimeError(f"After the migration, rows name others that do not exist: {[tuple(row) for row in broken]}")
