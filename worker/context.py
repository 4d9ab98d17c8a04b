"""What a worker process is: the platform, a name, and whether it was told to end."""

import os
import socket
import threading
from dataclasses import dataclass, field

import structlog

from core.domain.errors import Unavailable
from core.services.context import Platform, open_platform
from core.services.work.locks import note_worker
from core.settings import Settings

NOTE_SECONDS = 15.0  # /ready wants a worker seen in the last minute: four chances

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Worker:
    """One process of a role: prepare, train or housekeeping. `draining` is set when it was told to end."""

    platform: Platform
    role: str
    name: str
    draining: threading.Event = field(default_factory=threading.Event)


def open_worker(settings: Settings, role: str) -> Worker:
    return Worker(open_platform(settings), role, f"{socket.gethostname()}:{os.getpid()}")


def announce(worker: Worker) -> None:
    """Say from now on, in a thread of its own, that this worker is alive."""
    threading.Thread(target=_announce, args=(worker,), daemon=True, name="announce").start()


def _announce(worker: Worker) -> None:
    while True:
        try:
            note_worker(worker.platform.db, worker.name, worker.role)
        except Unavailable as error:
            log.warning("worker.unseen", error=error.detail)
        except Exception:  # seen again when it can be: the thread lives as long as the worker
            log.exception("worker.unseen")
        if worker.draining.wait(NOTE_SECONDS):
            return
