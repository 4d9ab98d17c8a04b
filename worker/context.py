"""A worker process: the platform, a role, a name, its launcher, and whether it is draining."""

import os
import socket
import threading
from dataclasses import dataclass, field
from typing import Any

import structlog

from core.domain.errors import Unavailable
from core.services.context import Platform, open_platform
from core.services.work.locks import note_worker
from core.settings import Settings
from worker.supervision.devices import devices
from worker.supervision.launcher import Launcher
from worker.supervision.local_launcher import LocalLauncher

ANNOUNCE_SECONDS = 15.0  # /ready wants a worker announced in the last minute: four chances

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Worker:
    """One process of a role: prepare, train, operations or housekeeping. `draining` is set when it is to end."""

    platform: Platform
    role: str
    name: str
    launcher: Launcher = field(default_factory=LocalLauncher)
    draining: threading.Event = field(default_factory=threading.Event)


def open_worker(settings: Settings, role: str) -> Worker:
    return Worker(open_platform(settings), role, f"{socket.gethostname()}:{os.getpid()}")


def announce(worker: Worker) -> None:
    """Write to the database every 15 s, in a thread, that this worker is alive."""
    threading.Thread(target=_announce, args=(worker,), daemon=True, name="announce").start()


def _announce(worker: Worker) -> None:
    found: dict[str, Any] | None = None
    while True:
        try:
            note_worker(worker.platform.db, worker.name, worker.role, found)
            if found is None:
                found = devices(worker.role)
                continue  # they are written at once
        except Unavailable as error:
            log.warning("worker.not_announced", error=error.detail)
        except Exception:  # tried again: the thread lives as long as the worker
            log.exception("worker.not_announced")
        if worker.draining.wait(ANNOUNCE_SECONDS):
            return
