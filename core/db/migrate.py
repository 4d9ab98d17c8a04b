"""Migrations: run once, as a separate step, never by each process at its start."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from core.db import open_database
from core.db.tables import METADATA

_SCRIPTS = Path(__file__).resolve().parents[2] / "migrations"


def upgrade(url: str, revision: str = "head") -> None:
    """Upgrade the database to `revision`. Two at once are safe: the second waits and then has nothing to do."""
    database = open_database(url)
    try:
        with database.engine.execution_options(darkroom_writes=True).begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # a large table takes longer
                connection.exec_driver_sql("SET LOCAL lock_timeout = 0")  # a second migration waits for the first
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7253021)")
            config = alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        database.close()


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
