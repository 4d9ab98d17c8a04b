"""`python -m worker prepare | train | operations | housekeeping`: one process of that role, until SIGTERM or Ctrl-C.

`python -m worker all`: a process for each of them.
"""

import importlib
import os
import signal
import sys
import warnings
from types import FrameType

from core.logging import configure_logging
from core.queue import ROLES
from core.settings import Settings, load_settings
from worker.context import Worker, announce, open_worker
from worker.inputs.scratch import clean_machine

HOUSEKEEPING = "housekeeping"
ALL = "all"
CELERY = ("celery.apps.worker", "worker.app")
TASK_OF = {role: task for task, role in ROLES.items()}


def main(arguments: list[str]) -> int:
    roles = (*TASK_OF, HOUSEKEEPING)
    if len(arguments) != 1 or arguments[0] not in (*roles, ALL):
        sys.stderr.write(f"usage: python -m worker {' | '.join((*roles, ALL))}\n")
        return 2
    if arguments[0] == ALL:
        _run_all(roles)
    else:
        _run(arguments[0])
    sys.stdout.flush()
    sys.stderr.flush()
    # Not by returning: that would wait for a put that a drained attempt left behind.
    os._exit(0)


def _run_all(roles: tuple[str, ...]) -> None:
    settings = load_settings()
    configure_logging(settings)
    from worker.several import run_roles

    for module in ("worker.tasks.housekeeping", *(CELERY if settings.broker_url else ("worker.loop",))):
        importlib.import_module(module)  # once for all processes

    run_roles(roles, _run)


def _run(role: str) -> None:
    """Until the worker of this role ends."""
    settings = load_settings()
    configure_logging(settings)
    if role == HOUSEKEEPING:
        from worker.tasks.housekeeping import run_housekeeping

        run_housekeeping(_own_loop(settings, role))
    elif settings.broker_url:
        _serve_queue(role)
    else:
        _poll_for_work(_own_loop(settings, role))


def _serve_queue(role: str) -> None:
    from celery.platforms import SecurityWarning

    from worker.app import app

    warnings.simplefilter("ignore", SecurityWarning)  # as root: messages are JSON with an id, nothing to unpickle

    options = ["--pool", "threads", "--concurrency", "1", "--without-gossip", "--without-mingle"]
    options += ["--loglevel", "WARNING", "--hostname", f"{role}-{os.getpid()}@%h"]
    app.worker_main(["--quiet", "worker", "-Q", TASK_OF[role], *options])


def _poll_for_work(worker: Worker) -> None:
    """Without a broker there are no messages: poll the database."""
    from worker.loop import work

    while not worker.draining.wait(worker.platform.settings.sweep_seconds):
        work(worker)


def _own_loop(settings: Settings, role: str) -> Worker:
    """A worker without Celery: SIGTERM and Ctrl-C drain it."""
    worker = open_worker(settings, role)

    def drain(_number: int, _frame: FrameType | None) -> None:
        worker.draining.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, drain)
    announce(worker)
    clean_machine(worker.platform)
    return worker


if __name__ == "__main__":
    main(sys.argv[1:])
