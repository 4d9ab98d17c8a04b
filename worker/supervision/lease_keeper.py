"""Keeping a claim while its task works: renewing the lease, polling the row, stopping the task when there is a reason.

The heartbeat has a thread of its own, free of all other work. Another thread polls the row twice a second. The task
calls `raise_if_stopped()`, which never waits.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

import structlog

from core import clock
from core.domain.errors import OutOfSpace, Unavailable
from core.services.work.leases import ClaimLost, ClaimStatus
from worker.threads import start_in_thread

POLL_ROW_SECONDS = 0.5  # the delay of a cancel; its ladder takes 3 s, and 5 s are promised
PATIENCE = 0.75  # of a lease: after 45 of 60 s without a heartbeat the claim counts as lost, before the sweep takes it
CHECK_THREAD_SECONDS = 0.05
RETRY_SECONDS = 1.0

Result = TypeVar("Result")
log = structlog.get_logger(__name__)


class CancelRequested(Exception):
    """The user requested to cancel: throw the work away."""


class DrainRequested(Exception):
    """This worker is to end: give the row back."""


class LeaseKeeper:
    """A context: the claim is renewed inside it.

    `heartbeat(worked_seconds)` renews the lease; False when it matches no row. `poll()` reads the row. A claim that was
    lost stays lost: no heartbeat follows, and code that writes in its name calls `raise_if_lost()` first.
    """

    def __init__(
        self,
        heartbeat: Callable[[float], bool],
        poll: Callable[[], ClaimStatus],
        draining: threading.Event,
        *,
        lease_seconds: float,
        heartbeat_seconds: float,
    ) -> None:
        self._heartbeat = heartbeat
        self._poll = poll
        self._draining = draining
        self._heartbeat_seconds = heartbeat_seconds
        self._patience_seconds = PATIENCE * lease_seconds
        self._over = threading.Event()
        self._lost = threading.Event()
        self._cancel = threading.Event()
        self._stop = threading.Event()
        self._last_heartbeat_at = clock.monotonic()
        self._worked = Stopwatch()

    def __enter__(self) -> Self:
        for target in (self._keep_heartbeat, self._keep_polling):
            threading.Thread(target=target, daemon=True, name=target.__name__.strip("_")).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()

    @property
    def stop_requested(self) -> bool:
        """The user requested to stop: keep the best so far."""
        return self._stop.is_set()

    def raise_if_lost(self) -> None:
        """Raises ClaimLost."""
        if self._is_lost():
            raise ClaimLost

    def raise_if_stopped(self) -> None:
        """Raises ClaimLost, CancelRequested or DrainRequested."""
        self.raise_if_lost()
        if self._cancel.is_set():
            raise CancelRequested
        if self._draining.is_set():
            raise DrainRequested

    def run_in_thread(self, work: Callable[[], Result]) -> Result:
        """Do `work` (a fetch, a put) in a thread and wait for it while there is no reason to stop.

        When there is one, this raises at once and leaves the thread behind: what it still stores is an object that
        no row names, and what it still reads goes to a folder that is being removed.
        """
        future = start_in_thread(work, name="interruptible")
        while not wait_for([future], timeout=CHECK_THREAD_SECONDS).done:
            self.raise_if_stopped()
        return future.result()

    def retry_until_lost(self, work: Callable[[], Result]) -> Result:
        """Repeat a short write to the database until it answers. Raises ClaimLost, before the first try too."""
        while True:
            self.raise_if_lost()
            try:
                return work()
            except (Unavailable, OutOfSpace) as error:  # a full disk may be emptied while the claim lasts
                log.warning("database.retried", error=error.detail)
            if self._over.wait(RETRY_SECONDS):
                raise ClaimLost

    def pause(self, seconds: float) -> None:
        self._over.wait(seconds)

    @contextmanager
    def working(self) -> Iterator[None]:
        """The time inside counts as spent by the run, reported with the heartbeats and once more at the end."""
        self._worked.start()
        try:
            yield
        finally:
            self._worked.stop()
            self._heartbeat_once()

    def _is_lost(self) -> bool:
        _set_if(self._lost, clock.monotonic() - self._last_heartbeat_at > self._patience_seconds)
        return self._lost.is_set()

    def _keep_heartbeat(self) -> None:
        while not self._over.wait(self._heartbeat_seconds):
            self._heartbeat_once()

    def _heartbeat_once(self) -> None:
        if self._is_lost():
            return
        began, worked = clock.monotonic(), self._worked.take()
        try:
            if self._heartbeat(worked):
                self._last_heartbeat_at = began
            else:
                self._lost.set()
        except (Unavailable, OutOfSpace) as error:
            self._worked.put_back(worked)
            log.warning("heartbeat.missed", error=error.detail)
        except Exception:  # the thread must live on: PATIENCE decides when the claim is lost
            self._worked.put_back(worked)
            log.exception("heartbeat.failed")

    def _keep_polling(self) -> None:
        while not self._over.is_set():
            try:
                status = self._poll()
            except (Unavailable, OutOfSpace):
                continue  # PATIENCE decides how long that may last
            except Exception:  # as in the heartbeat
                log.exception("poll.failed")
                continue
            finally:
                self._over.wait(POLL_ROW_SECONDS)
            _set_if(self._lost, not status.mine)
            _set_if(self._cancel, status.cancel)
            _set_if(self._stop, status.stop)


class Stopwatch:
    """Seconds run and not yet taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: float | None = None
        self._seconds = 0.0

    def start(self) -> None:
        with self._lock:
            self._since = clock.monotonic()

    def stop(self) -> None:
        with self._lock:
            self._collect()
            self._since = None

    def take(self) -> float:
        with self._lock:
            self._collect()
            seconds, self._seconds = self._seconds, 0.0
            return seconds

    def put_back(self, seconds: float) -> None:
        with self._lock:
            self._seconds += seconds

    def _collect(self) -> None:
        if self._since is not None:
            now = clock.monotonic()
            self._seconds += now - self._since
            self._since = now


def _set_if(event: threading.Event, condition: bool) -> None:
    if condition:
        event.set()
