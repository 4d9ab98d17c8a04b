"""The folder of a test sets its marker; the fixtures are real servers, each started at its first use."""

import gc
import os
import shutil
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine, create_engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache

import core.db
from core.db.migrate import upgrade
from core.domain.limits import MIB
from core.settings import Settings
from tests.servers import mlflow, needed, postgres, s3, valkey

# How long an example takes says how busy the machine is.
settings.register_profile("darkroom", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("darkroom")

HERE = Path(__file__).parent
FOLDERS = ("unit", "contract", "integration", "browser", "e2e")
# Files of one process: they share what takes seconds to start or to import.
TOGETHER = {
    "chromium": tuple(f"tests/browser/test_{name}.py" for name in ("every_page", "keyboard", "pages_in_use")),
    "mlflow": (
        *("tests/contract/core/test_tracker.py", "tests/integration/deploy/local/test_mlflow_server.py"),
        *("tests/integration/worker/test_mlflow_projects.py", "tests/integration/worker/test_mlflow_sync.py"),
    ),
    "trainers": tuple(
        f"tests/contract/pipeline/test_{name}.py"
        for name in (
            *("trainer", "yolo_trainer", "vit_trainer", "clip_trainer"),
            *("model_import", "exporters", "fine_tuning"),
        )
    ),
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`--dist loadfile`, but that some files go to one process."""
    from xdist.scheduler import LoadFileScheduling

    together = {path: name for name, paths in TOGETHER.items() for path in paths}

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = super()._split_scope(nodeid)
            return together.get(path, path)

    return Together(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """What collecting makes stays to the end: `gc` searches none of it for cycles, then and in the tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""
        if folder in FOLDERS:
            item.add_marker(folder)


@pytest.fixture(scope="session", autouse=True)
def _no_flush() -> Iterator[None]:
    """A test database need not survive a power cut. Processes that a test starts flush each commit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core.db, "SYNCHRONOUS", "OFF")
        yield


@pytest.fixture(scope="session", autouse=True)
def _statements_compiled_once() -> Iterator[None]:
    """A new engine compiles every statement again, which takes half of the time of a test with few rows."""
    compiled = LRUCache[Any, Any](2000)

    def engine(*arguments: Any, **options: Any) -> Engine:
        made = create_engine(*arguments, **options)
        made._compiled_cache = compiled
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core.db, "create_engine", engine)
        for dialect in (SQLiteDialect_pysqlite, PGDialect_psycopg):  # the keys of compiled statements contain theirs
            patch.setattr(dialect, "__eq__", lambda one, other: type(one) is type(other))
            patch.setattr(dialect, "__hash__", lambda one: hash(type(one)))
        yield


@pytest.fixture(scope="session", autouse=True)
def _certificates_read_once() -> Iterator[None]:
    """Each client of httpx reads the certificates of all authorities, which takes 35 ms; those of a test need none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context))
        yield


@pytest.fixture(autouse=True)
def _only_these_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads the settings, nor the `.env`, of the person who runs it."""
    for name in [name for name in os.environ if name.startswith("DARKROOM_") and not name.startswith("DARKROOM_TEST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    monkeypatch.setenv("DARKROOM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DARKROOM_OPEN", "0")  # no page opens on the desktop of whoever runs the tests
    monkeypatch.setenv("DARKROOM_EXPORT_ON_PUBLISH", "false")  # a test that looks at it switches it on
    monkeypatch.setenv("DARKROOM_EVALUATE_ON_PUBLISH", "false")  # as well
    monkeypatch.setenv("DARKROOM_DISK_RESERVE_BYTES", str(4 * MIB))  # a quarter of it lies beside each database


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server; its user may create databases."""
    with needed(postgres.postgres) as url:
        yield url


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    with needed(valkey.valkey) as url:
        yield url


@pytest.fixture
def private_valkey() -> Iterator[valkey.Valkey]:
    """A broker of the test's own, to kill and start again."""
    with needed(valkey.private_valkey) as server:
        yield server


@pytest.fixture
def private_postgres() -> Iterator[postgres.Postgres]:
    with needed(postgres.private_postgres) as server:
        yield server


@pytest.fixture
def private_s3() -> Iterator[s3.S3]:
    with needed(s3.private_s3) as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[dict[str, Any]]:
    """Stores of the tests share a session of boto3: a new one reads the description of S3's API, which takes 70 ms."""
    import boto3

    shared = boto3.session.Session()
    with needed(s3.s3) as settings, pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3.session, "Session", lambda: shared)
        yield settings


@pytest.fixture(scope="session")
def mlflow_url() -> Iterator[str]:
    """A tracking server."""
    with needed(mlflow.mlflow) as url:
        yield url


@pytest.fixture
def s3_settings(s3_server: dict[str, Any]) -> Settings:
    """Settings with a new bucket, and a prefix in it."""
    from core.storage.s3 import open_s3

    bucket = f"darkroom-test-{uuid4().hex[:12]}"
    settings = Settings(store_url=f"s3://{bucket}/some/prefix", **s3_server)
    open_s3(settings, bucket=bucket, prefix="").make_ready()
    return settings


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database, to copy."""
    with postgres.database(postgres_url) as url:
        upgrade(url)
        yield url.rpartition("/")[2].partition("?")[0]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "darkroom.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated database of the test's own, in a file."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'darkroom.db')}"


@pytest.fixture(scope="session")
def _postgres_copies(postgres_url: str, postgres_template: str) -> Iterator[postgres.Copies]:
    copies = postgres.Copies(postgres_url, postgres_template)
    yield copies
    copies.drop()


@pytest.fixture
def postgres_copy(_postgres_copies: postgres.Copies) -> Iterator[str]:
    """A migrated database of the test's own, on the server."""
    with _postgres_copies.one() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.integration)])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database of the test's own, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    yield request.getfixturevalue("postgres_copy")
