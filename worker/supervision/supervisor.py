"""Supervising a process: one loop for all commands. It passes on the reports and ends the process on request."""

import math
import signal
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from core import clock
from core.domain.errors import OutOfSpace, Unavailable
from core.services.work.leases import ClaimLost
from pipeline.process.specs import ChildSpec
from worker.supervision.launcher import Launcher, ProcessExit, SupervisedProcess
from worker.supervision.lease_keeper import CancelRequested, DrainRequested, LeaseKeeper

TICK_SECONDS = 0.1  # the longest delay of a report, and of noticing the exit
RETRY_REPORT_SECONDS = 1.0
WATCHDOG_SECONDS = 0.5  # a loop that has not reacted by then is blocked in the database: the watchdog ends the process

Report = Callable[[dict[str, Any]], None]
Sample = Callable[[dict[str, float]], None]
log = structlog.get_logger(__name__)


def supervise(
    lease: LeaseKeeper,
    launcher: Launcher,
    spec: ChildSpec,
    *,
    log_path: Path,
    report: Report,
    sample: Sample | None = None,
    sample_seconds: float = 15.0,
    limit_seconds: float = math.inf,
) -> ProcessExit:
    """Run a command to its end. `report` gets each report in order; one that raises Unavailable or OutOfSpace is
    repeated.

    After `limit_seconds` it is killed.

    Raises ClaimLost (the process is killed), CancelRequested (it got the chance to end by itself), DrainRequested
    (killed: its finished checkpoints lie in `spec.out`). Nothing of the process outlives this call.
    """
    process = launcher.start(spec, log=log_path)
    log.info("child.started", command=spec.command, process=process.name, out=str(spec.out))
    reports = ReportQueue(process, report)
    watchdog = Watchdog(lease, process)
    try:
        with lease.working():
            ended = _wait(lease, process, reports, sample, sample_seconds, ends=clock.monotonic() + limit_seconds)
        watchdog.close()
        reports.pass_on_all(lease)
        log.info("child.exited", process=process.name, status=ended.status)
        return ended
    except CancelRequested:
        watchdog.stop()
        process.cancel()
        raise
    except DrainRequested:
        watchdog.stop()
        process.kill()
        reports.pass_on()  # a checkpoint that was finished in the last moment
        raise
    except ClaimLost:
        log.warning("child.killed", process=process.name, reason="claim lost")
        raise
    finally:
        watchdog.stop()
        process.kill()


def _wait(
    lease: LeaseKeeper,
    process: SupervisedProcess,
    reports: "ReportQueue",
    sample: Sample | None,
    sample_seconds: float,
    *,
    ends: float,
) -> ProcessExit:
    sampled_at, stop_sent = clock.monotonic(), False
    while (ended := process.wait(TICK_SECONDS)) is None:
        lease.raise_if_stopped()
        if clock.monotonic() > ends:
            process.kill()
            return ProcessExit(-signal.SIGKILL, out_of_memory=False, out_of_time=True)
        if lease.stop_requested and not stop_sent:
            process.send("stop")
            stop_sent = True
        reports.pass_on()
        if sample is not None and clock.monotonic() - sampled_at >= sample_seconds:
            sampled_at = clock.monotonic()
            _pass_on_sample(process, sample)
    return ended


def _pass_on_sample(process: SupervisedProcess, sample: Sample) -> None:
    values = process.sample()
    try:
        sample(values)
    except (Unavailable, OutOfSpace) as error:
        log.warning("sample.dropped", error=error.detail)  # the next one follows soon


class Watchdog:
    """Ends the process when the lease has ended and the loop does not react. It never waits for the database."""

    def __init__(self, lease: LeaseKeeper, process: SupervisedProcess) -> None:
        self._lease = lease
        self._process = process
        self._over = threading.Event()
        self._reason: ClaimLost | CancelRequested | DrainRequested | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="watchdog")
        self._thread.start()

    def stop(self) -> None:
        """After this it signals nothing any more: the process may be reaped."""
        self._over.set()
        self._thread.join()

    def close(self) -> None:
        """Stop. Raises the reason for which the process was ended, even if the claim has come back since."""
        self.stop()
        if self._reason is not None:
            raise self._reason

    def _run(self) -> None:
        while not self._over.wait(TICK_SECONDS):
            try:
                self._lease.raise_if_stopped()
            except (ClaimLost, CancelRequested, DrainRequested) as reason:
                if self._over.wait(WATCHDOG_SECONDS):
                    return
                self._reason = reason
                log.warning("child.ended_by_watchdog", process=self._process.name, reason=type(reason).__name__)
                if isinstance(reason, CancelRequested):
                    self._process.cancel()
                else:
                    self._process.kill()
                return


class ReportQueue:
    """Reports of a process, each passed on once and in order; one that the database did not take is kept."""

    def __init__(self, process: SupervisedProcess, report: Report) -> None:
        self._process = process
        self._report = report
        self._waiting: deque[dict[str, Any]] = deque()
        self._not_before = 0.0

    def pass_on(self) -> bool:
        """False: some are left, because the database does not answer."""
        self._waiting.extend(self._process.read_progress())
        if clock.monotonic() < self._not_before:
            return not self._waiting
        try:
            while self._waiting:
                self._report(self._waiting[0])
                self._waiting.popleft()
        except (Unavailable, OutOfSpace) as error:
            log.warning("progress.delayed", error=error.detail)
            self._not_before = clock.monotonic() + RETRY_REPORT_SECONDS
            return False
        return True

    def pass_on_all(self, lease: LeaseKeeper) -> None:
        while not self.pass_on():
            lease.raise_if_stopped()
            lease.pause(TICK_SECONDS)
