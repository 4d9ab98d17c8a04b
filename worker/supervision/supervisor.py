"""Supervising a child process: one loop for both verbs. It passes on what the child tells and ends it when asked."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog

from core import clock
from core.domain.errors import Unavailable
from core.services.work.leases import ClaimLost
from pipeline.process.child import PROGRESS_FILE
from worker.supervision.child import Child, Tail
from worker.supervision.lease_keeper import CancelRequested, DrainRequested, LeaseKeeper
from worker.supervision.oom import MemoryWatch
from worker.supervision.system_metrics import GroupSampler

TICK_SECONDS = 0.1  # how late an epoch is told, and how late the end of the child is seen
TELL_AGAIN_SECONDS = 1.0
WATCH_SECONDS = 0.5  # a loop that has not acted by then waits for the database: the watch ends the child

Tell = Callable[[dict[str, Any]], None]
Sample = Callable[[dict[str, float]], None]
log = structlog.get_logger(__name__)


class Ending:
    """How a child ended by itself. `status` is negative for a signal, which was none of ours."""

    def __init__(self, status: int, *, out_of_memory: bool) -> None:
        self.status = status
        self.out_of_memory = out_of_memory


def supervise(
    lease: LeaseKeeper,
    command: Sequence[str],
    *,
    out: Path,
    log_path: Path,
    tell: Tell,
    sample: Sample | None = None,
    sample_seconds: float = 15.0,
) -> Ending:
    """Run a child to its end. `tell` gets each line of progress in order; while it raises Unavailable, again.

    Raises ClaimLost (the group is killed), CancelAsked (it was asked, then made to end), DrainAsked (killed: its
    finished checkpoints lie in `out`). No process of the group outlives this call.
    """
    memory = MemoryWatch()
    child = Child(command, out=out, log=log_path)
    log.info("child.started", pid=child.pid, out=str(out))
    sampler = GroupSampler(child.pid)
    sampled_at, said_stop = clock.monotonic(), False
    lines = Lines(Tail(out / PROGRESS_FILE), tell)
    watch = Watch(lease, child)
    try:
        with lease.working():
            while (status := child.status(wait_seconds=TICK_SECONDS)) is None:
                lease.raise_if_stopped()
                if lease.stop_requested and not said_stop:
                    child.say("stop")
                    said_stop = True
                lines.pass_on()
                if sample is not None and clock.monotonic() - sampled_at >= sample_seconds:
                    sampled_at = clock.monotonic()
                    _tell_sample(sampler, memory, sample)
        watch.close()
        lines.pass_on_all(lease)
        log.info("child.ended", pid=child.pid, status=status)
        return Ending(status, out_of_memory=memory.ran_out())
    except CancelRequested:
        watch.stop()
        child.cancel()
        raise
    except DrainRequested:
        watch.stop()
        child.kill()
        lines.pass_on()  # a checkpoint that was finished in the last moment
        raise
    except ClaimLost:
        log.warning("child.killed", pid=child.pid, reason="claim lost")
        raise
    finally:
        watch.stop()
        child.kill()


class Watch:
    """Ends the child when there is a reason to and the loop does not act, blocked in the database. Asks no database."""

    def __init__(self, lease: LeaseKeeper, child: Child) -> None:
        self._lease = lease
        self._child = child
        self._over = threading.Event()
        self._reason: ClaimLost | CancelRequested | DrainRequested | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="watch")
        self._thread.start()

    def stop(self) -> None:
        """Signals nothing any more after this: the child may be reaped."""
        self._over.set()
        self._thread.join()

    def close(self) -> None:
        """Stop. Raises the reason that this watch ended the child for, even if the claim has come back since."""
        self.stop()
        if self._reason is not None:
            raise self._reason

    def _run(self) -> None:
        while not self._over.wait(TICK_SECONDS):
            try:
                self._lease.raise_if_stopped()
            except (ClaimLost, CancelRequested, DrainRequested) as reason:
                if self._over.wait(WATCH_SECONDS):
                    return
                self._reason = reason
                log.warning("child.ended_by_watch", pid=self._child.pid, reason=type(reason).__name__)
                if isinstance(reason, CancelRequested):
                    self._child.cancel()
                else:
                    self._child.kill()
                return


class Lines:
    """Lines of progress, each told once and in order; one that could not be told is kept."""

    def __init__(self, tail: Tail, tell: Tell) -> None:
        self._tail = tail
        self._tell = tell
        self._waiting: deque[dict[str, Any]] = deque()
        self._not_before = 0.0

    def pass_on(self) -> bool:
        """False: some are left, because the database does not answer."""
        self._waiting.extend(self._tail.read())
        if clock.monotonic() < self._not_before:
            return not self._waiting
        try:
            while self._waiting:
                self._tell(self._waiting[0])
                self._waiting.popleft()
        except Unavailable as error:
            log.warning("progress.waits", error=error.detail)
            self._not_before = clock.monotonic() + TELL_AGAIN_SECONDS
            return False
        return True

    def pass_on_all(self, lease: LeaseKeeper) -> None:
        while not self.pass_on():
            lease.raise_if_stopped()
            lease.pause(TICK_SECONDS)


def _tell_sample(sampler: GroupSampler, memory: MemoryWatch, sample: Sample) -> None:
    values = sampler.sample()
    memory.note(int(values.get("memory_bytes", 0)))
    try:
        sample(values)
    except Unavailable as error:
        log.warning("sample.lost", error=error.detail)  # the next one comes soon
