"""The database: SQLite (WAL) on one machine, PostgreSQL for a team. Sessions are synchronous."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker

from core.db.idle_connections import try_idle_connections
from core.db.reserve_file import ReserveFile
from core.db.totals import write_totals
from core.domain.errors import OutOfSpace, Unavailable

__all__ = [
    "Database",
    "open_database",
]

BUSY_TIMEOUT_MS = 30_000  # SQLite: writers queue this long before they give up
SYNCHRONOUS = "FULL"  # a commit is on the disk before it is answered; NORMAL may lose the newest in a power cut
_WRITES = "darkroom_writes"
_SERVER_TIMEOUTS = "-c statement_timeout=30000 -c lock_timeout=20000"  # ms; options of the URL override these


class Database:
    """Opens sessions. `transaction` commits at the end of its block or rolls back; `reading` never writes."""

    def __init__(self, engine: Engine, reserve: ReserveFile | None = None) -> None:
        self.engine = engine
        self._reserve = reserve
        self._reading = sessionmaker(_reading_engine(engine), expire_on_commit=False)
        self._writing = sessionmaker(engine.execution_options(**{_WRITES: True}), expire_on_commit=False)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """No network and no file I/O inside: SQLite has one writer at a time, and it is this block."""
        if self._reserve:
            self._reserve.release_if_full()
        with _named_failures(), self._writing.begin() as session:
            yield session
            write_totals(session)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with _named_failures(), self._reading() as session:
            yield session

    def keep_reserve(self) -> None:
        """Keep some space of the disk back for the time when it is full. Does nothing for a database elsewhere."""
        if self._reserve:
            self._reserve.keep()

    def close(self) -> None:
        self.engine.dispose()


def _reading_engine(engine: Engine) -> Engine:
    """On PostgreSQL without BEGIN and ROLLBACK: each statement has its own snapshot either way."""
    return engine if engine.dialect.name == "sqlite" else engine.execution_options(isolation_level="AUTOCOMMIT")


def open_database(url: str, *, reserve_bytes: int = 0) -> Database:
    """No connection is made before the first query. `reserve_bytes`: of the reserve file of a SQLite database."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        server = {"pool_size": 10, "max_overflow": 20, "pool_timeout": 10}
        engine = create_engine(url, connect_args=_with_timeouts(parsed), json_deserializer=_parsed, **server)
        try_idle_connections(engine)
        return Database(engine)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    # 20 connections: half as many as the API has threads for plain `def` endpoints
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000},
        json_deserializer=_parsed,
        pool_size=20,
        max_overflow=40,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    path = Path(parsed.database) if parsed.database and reserve_bytes else None
    return Database(engine, ReserveFile(path.with_name(f"{path.name}.reserve"), reserve_bytes) if path else None)


def _parsed(text: str) -> Any:
    """A JSON value. pydantic's parser is three times as fast as Python's, and refuses lone surrogates."""
    try:
        return from_json(text)
    except ValueError:
        return json.loads(text)


def _with_timeouts(url: URL) -> dict[str, Any]:
    """A server that disappears, or a lock that is never released, becomes an error after seconds."""
    options = url.query.get("options", "")
    return {
        "connect_timeout": 5,
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        "options": f"{_SERVER_TIMEOUTS} {options if isinstance(options, str) else ' '.join(options)}".strip(),
    }


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # _begin_sqlite begins the transactions
    for pragma in (
        "journal_mode=WAL",
        f"synchronous={SYNCHRONOUS}",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first fails at its first write when another has written in between: lock at the start.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _named_failures() -> Iterator[None]:
    try:
        yield
    except PoolTimeoutError as error:
        raise Unavailable("The database has no free connection.", service="database") from error
    except (OperationalError, InterfaceError) as error:
        if _is_full(error):
            raise OutOfSpace("The database's disk is full.") from error
        raise Unavailable("The database does not answer.", service="database") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable("The connection to the database broke.", service="database") from error
        raise


def _is_full(error: DBAPIError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_FULL or getattr(error.orig, "sqlstate", "") == "53100"
