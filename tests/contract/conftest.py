"""A platform on each database, with a directory store and a queue that only polls."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.services.context import Platform, open_platform
from core.settings import Settings


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    opened = open_platform(Settings(home=tmp_path / "home", database_url=database_url))
    yield opened
    opened.db.close()
