import socket

import pytest

from core.db import open_database
from core.services.work.locks import note_worker
from deploy import worker_health


def test_a_container_is_healthy_while_its_own_worker_sends_heartbeats(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_DATABASE_URL", sqlite_url)
    database = open_database(sqlite_url)

    note_worker(database, "another-host:1", "train")
    assert worker_health.main() == 1

    note_worker(database, f"{socket.gethostname()}:1", "train")
    assert worker_health.main() == 0
    database.close()


def test_a_container_whose_database_is_unreachable_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_DATABASE_URL", "postgresql+psycopg://nobody@/none?host=/no/such/folder")

    assert worker_health.main() == 1
