"""What a worker process is: the platform, a name, and whether it was told to end."""

import logging
import os
import socket
import sys
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


def configure_logs(settings: Settings) -> None:
    """Events `noun.verb` with fields, as text or JSON lines, on stderr."""
    level = logging.getLevelNamesMapping().get(settings.log_level.upper(), logging.INFO)
    logging.basicConfig(level=max(level, logging.WARNING), format="%(asctime)s %(name)s %(message)s")
    last = structlog.processors.JSONRenderer() if settings.log_json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
