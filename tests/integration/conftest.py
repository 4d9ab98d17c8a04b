"""A platform with a directory store and a queue that only polls, and the API over it on a port of its own.

On SQLite; where a test uses the fixture `database_url`, on each of its databases.
"""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import structlog

from core.services.context import Platform, open_platform
from core.settings import Settings
from tests.servers.api import serving


@pytest.fixture(scope="session", autouse=True)
def _plain_logs() -> None:
    """structlog's own default draws each traceback with its locals, which takes seconds."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(),
        ]
    )


@pytest.fixture
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Platform]:
    url = request.getfixturevalue("database_url" if "database_url" in request.fixturenames else "sqlite_url")
    opened = open_platform(Settings(home=tmp_path / "home", database_url=url))
    yield opened
    opened.db.close()


@pytest.fixture
def client(platform: Platform) -> Iterator[httpx.Client]:
    with serving(platform) as opened:
        yield opened
