"""Housekeeping: sweep, clean, sync MLflow. Several processes may run; named locks let one at a time do each."""

import threading
from collections.abc import Callable
from functools import partial

import structlog

from core.domain.errors import DarkroomError
from core.services.maintenance.recovery import SleepWatch, enqueue_waiting, sweep_lost_leases
from core.services.projects.names import log_names
from core.services.work.locks import take_lock
from worker.context import Worker
from worker.tasks.mlflow_sync import LOCK, MlflowSync
from worker.tasks.retention import clean

LOCK_SECONDS = 30.0  # a housekeeper that died is replaced after this

log = structlog.get_logger(__name__)


def run_housekeeping(worker: Worker) -> None:
    """Runs until the worker drains. Cleaning and the MLflow sync have threads of their own: the sweep never waits."""
    settings = worker.platform.settings
    threads = [
        threading.Thread(target=_repeat, args=(worker, "clean", clean, settings.clean_seconds), daemon=True),
        threading.Thread(target=_sync_mlflow, args=(worker,), daemon=True),
    ]
    for thread in threads:
        thread.start()
    watch = SleepWatch(lease_seconds=settings.lease_seconds)
    _repeat(worker, "sweep", partial(sweep, watch=watch), settings.sweep_seconds)


def sweep(worker: Worker, *, watch: SleepWatch) -> None:
    """Give back the rows of lost workers, then enqueue the rows that wait. No worker counts as lost for its sleep."""
    if not watch.has_just_slept():
        for row_id in sweep_lost_leases(worker.platform.db):
            log.warning("lease.lost", id=row_id, **log_names(worker.platform.db, row_id))
    enqueue_waiting(worker.platform)


def _repeat(worker: Worker, name: str, work: Callable[[Worker], None], seconds: float) -> None:
    while True:
        try:
            if take_lock(worker.platform.db, name, worker.name, seconds=max(LOCK_SECONDS, 3 * seconds)):
                work(worker)
        except DarkroomError as error:
            log.warning(f"{name}.failed", error=error.detail)
        except Exception:
            log.exception(f"{name}.failed")  # tried again in the next round
        if worker.draining.wait(seconds):
            return


def _sync_mlflow(worker: Worker) -> None:
    if not worker.platform.settings.mlflow_url:
        return
    sync = MlflowSync(worker.platform, worker.name)
    _repeat(worker, LOCK, lambda _worker: sync(), worker.platform.settings.sweep_seconds)
