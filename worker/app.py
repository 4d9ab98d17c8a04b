"""The Celery application. Three tasks; a message names a row, and the row holds the rest.

`python -m worker train` is how it is started; `celery -A worker.app worker -Q train --pool threads -c 1` does the same.
"""

from functools import lru_cache
from typing import Any

from celery.signals import worker_init, worker_ready, worker_shutting_down

from core.logging import configure_logging
from core.queue import OPERATE, PREPARE, ROLES, TRAIN
from core.queue.app import make_celery, task_name
from core.settings import load_settings
from worker.context import Worker, announce, open_worker
from worker.inputs.scratch import clean_machine
from worker.loop import work

app = make_celery(load_settings())  # Celery wants it at import; it connects to nothing
app.conf.worker_redirect_stdouts = False  # our log lines are whole as they are


@app.task(name=task_name(PREPARE))  # type: ignore[untyped-decorator]
def prepare(job_id: str) -> None:
    work(worker_of(ROLES[PREPARE]), job_id)


@app.task(name=task_name(TRAIN))  # type: ignore[untyped-decorator]
def train(run_id: str) -> None:
    work(worker_of(ROLES[TRAIN]), run_id)


@app.task(name=task_name(OPERATE))  # type: ignore[untyped-decorator]
def operate(operation_id: str) -> None:
    work(worker_of(ROLES[OPERATE]), operation_id)


@lru_cache(maxsize=len(ROLES))
def worker_of(role: str) -> Worker:
    """This process's worker, opened at its first use."""
    return open_worker(load_settings(), role)


@worker_init.connect  # type: ignore[untyped-decorator]
def _begin(**_: Any) -> None:
    configure_logging(load_settings())


@worker_ready.connect  # type: ignore[untyped-decorator]
def _announce(**_: Any) -> None:
    for role in _roles():
        announce(worker_of(role))
        clean_machine(worker_of(role).platform)


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _drain(**_: Any) -> None:
    for role in _roles():
        worker_of(role).draining.set()


def _roles() -> list[str]:
    """Those of the queues that this process was started for."""
    return [role for task, role in ROLES.items() if task in app.amqp.queues.consume_from]
