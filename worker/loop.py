"""Work on the row that a message names, then on the other rows that wait, until there are none."""

from collections.abc import Callable, Mapping
from importlib import import_module

import structlog

from core.domain.errors import Unavailable
from core.queue import OPERATE, PREPARE, ROLES, TRAIN
from core.services.maintenance.recovery import oldest_waiting
from worker.context import Worker

# Imported for its first row: a worker of one role does without the 9 MiB of the others.
FUNCTIONS: Mapping[str, str] = {
    PREPARE: "worker.tasks.prepare:prepare_job",
    TRAIN: "worker.tasks.train:train_run",
    OPERATE: "worker.tasks.operations.operate:operate",
}
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
            _function_of(task)(worker, row_id)
            row_id = None
    except Unavailable as error:
        # The row waits; the sweep enqueues it when the database is back.
        log.warning("work.stopped", reason=error.detail)
    except Exception:
        log.exception("work.failed", row_id=row_id)


def _function_of(task: str) -> Callable[[Worker, str], None]:
    module, _, name = FUNCTIONS[task].partition(":")
    function: Callable[[Worker, str], None] = getattr(import_module(module), name)
    return function
