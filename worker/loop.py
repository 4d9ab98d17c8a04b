"""Work on the row that a message names, then on the other rows that wait, until there are none."""

from collections.abc import Callable, Mapping

import structlog

from core.domain.errors import Unavailable
from core.queue import OPERATE, PREPARE, ROLES, TRAIN
from core.services.maintenance.recovery import oldest_waiting
from worker.context import Worker
from worker.tasks.operations.operate import operate
from worker.tasks.prepare import prepare_job
from worker.tasks.train import train_run

TASKS: Mapping[str, Callable[[Worker, str], None]] = {PREPARE: prepare_job, TRAIN: train_run, OPERATE: operate}
_TASK_OF = {role: task for task, role in ROLES.items()}

log = structlog.get_logger(__name__)


def work(worker: Worker, row_id: str | None = None) -> None:
    """Work on the row, then on the oldest waiting ones until there are none. Never raises.

    A row that came back (given back, its child killed) is not taken twice in a row: the sweep enqueues it.
    """
    task, tried = _TASK_OF[worker.role], set[str]()
    try:
        while not worker.draining.is_set():
            row_id = row_id or oldest_waiting(worker.platform.db, task, but_not=tried)
            if row_id is None:
                return
            tried.add(row_id)
            TASKS[task](worker, row_id)
            row_id = None
    except Unavailable as error:
        # The row waits; the sweep enqueues it when the database is back.
        log.warning("work.stopped", reason=error.detail)
    except Exception:
        log.exception("work.failed", row_id=row_id)
