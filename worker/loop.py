"""From one message to the next: do the row it names, then whatever else waits, then be idle."""

from collections.abc import Callable, Mapping

import structlog

from core.domain.errors import Unavailable
from core.queue import PREPARE, TRAIN
from core.services.maintenance.recovery import oldest_waiting
from worker.context import Worker
from worker.tasks.prepare import prepare_job
from worker.tasks.train import train_run

TASKS: Mapping[str, Callable[[Worker, str], None]] = {PREPARE: prepare_job, TRAIN: train_run}

log = structlog.get_logger(__name__)


def work(worker: Worker, row_id: str | None = None) -> None:
    """Do the row, then claim the oldest waiting ones until there are none. Never raises.

    A row that came back (given back, its child killed) is not taken twice in a row: the sweep enqueues it.
    """
    seen: set[str] = set()
    try:
        while not worker.draining.is_set():
            row_id = row_id or oldest_waiting(worker.platform.db, worker.role, but_not=seen)
            if row_id is None:
                return
            seen.add(row_id)
            TASKS[worker.role](worker, row_id)
            row_id = None
    except Unavailable as error:
        log.warning(
            "work.stopped", reason=error.detail
        )  # the row waits; the sweep enqueues it when the database is back
    except Exception:
        log.exception("work.unforeseen", row_id=row_id)
