"""What every use case stands on: settings, database, store and bell, opened once for each process."""

from dataclasses import dataclass

from core.db import Database, open_database
from core.queue import Bell, open_bell
from core.settings import Settings
from core.storage import ObjectStore, open_store


@dataclass(frozen=True, slots=True)
class Platform:
    settings: Settings
    db: Database
    store: ObjectStore
    bell: Bell


def open_platform(settings: Settings) -> Platform:
    """Nothing is connected before its first use."""
    return Platform(settings, open_database(settings.database), open_store(settings), open_bell(settings))
