"""The platform that every use case runs on, opened once a process."""

from dataclasses import dataclass

from core.db import Database, open_database
from core.queue import TaskQueue, open_queue
from core.settings import Settings
from core.storage import ObjectStore, open_store


@dataclass(frozen=True, slots=True)
class Platform:
    """Safe for threads, like each of its parts."""

    settings: Settings
    db: Database
    store: ObjectStore
    queue: TaskQueue


def open_platform(settings: Settings) -> Platform:
    """Connects to nothing before the first use."""
    db = open_database(settings.database, reserve_bytes=settings.disk_reserve_bytes // 4)
    return Platform(settings, db, open_store(settings), open_queue(settings))
