"""A platform with a directory store and a queue that only polls, and the API over it on a port of its own.

On SQLite; where a test uses the fixture `database_url`, on each of its databases.
"""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import structlog

from core.services.context import Platform, open_platform
from core.settings import Settings
from core.storage import StoredObject
from core.storage.folder import FolderStore
from tests.builders.empty_plots import touching_plots
from tests.builders.warm_children import WARM
from tests.servers.api import serving

STARTING = ("worker.supervision.local_launcher", "api.images.renderer")  # the modules that start children


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


@pytest.fixture(scope="session", autouse=True)
def _children_are_forks() -> Iterator[None]:
    """Of a process that has imported what they need. Plots of datasets are empty files, in this process too."""
    with pytest.MonkeyPatch.context() as patch:
        for module in STARTING:
            patch.setattr(f"{module}.subprocess", WARM)
        patch.setattr("pipeline.prepare.run.drawing_plots", touching_plots)
        yield


@pytest.fixture
def new_interpreters(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test that looks for children among the processes, or at all that they make."""
    for module in STARTING:
        monkeypatch.setattr(f"{module}.subprocess", subprocess)


@pytest.fixture(autouse=True)
def _lent_objects_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever reads an object that was lent leaves its bytes, its time and its rights as they were."""
    lend = FolderStore.lend
    lent: dict[int, tuple[os.stat_result, str]] = {}

    def noting(self: FolderStore, key: str, path: Path) -> StoredObject:
        stored = lend(self, key, path)
        handle = os.open(path, os.O_RDONLY)
        found = os.fstat(handle)
        assert found.st_nlink > 1 and not found.st_mode & 0o222, "it is the object, read-only"
        lent[handle] = (found, stored.sha256)
        return stored

    monkeypatch.setattr(FolderStore, "lend", noting)
    yield
    for handle, (before, sha256) in lent.items():
        with open(handle, "rb") as file:
            now = os.fstat(file.fileno())
            assert (now.st_mode, now.st_size, now.st_mtime_ns) == (before.st_mode, before.st_size, before.st_mtime_ns)
            assert hashlib.file_digest(file, "sha256").hexdigest() == sha256


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
