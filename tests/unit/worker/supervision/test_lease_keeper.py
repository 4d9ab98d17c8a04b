"""A lease keeper stops its task within a moment when there is a reason."""

import threading
import time
from collections.abc import Callable

import pytest

from core.domain.errors import OutOfSpace, Unavailable
from core.services.work.leases import ClaimLost, ClaimStatus
from tests.waiting import wait_until
from worker.supervision.lease_keeper import CancelRequested, DrainRequested, LeaseKeeper

MINE = ClaimStatus(mine=True, cancel=False, stop=False)


def lease(
    heartbeat: Callable[[float], bool] = lambda _: True,
    poll: Callable[[], ClaimStatus] = lambda: MINE,
    draining: threading.Event | None = None,
    lease_seconds: float = 1.0,
) -> LeaseKeeper:
    return LeaseKeeper(
        heartbeat, poll, draining or threading.Event(), lease_seconds=lease_seconds, heartbeat_seconds=0.05
    )


def until_raised(held: LeaseKeeper, kind: type[Exception], *, seconds: float) -> None:
    with pytest.raises(kind):
        wait_until(held.raise_if_stopped, seconds=seconds, what=kind.__name__)


def test_a_heartbeat_that_matches_no_row_loses_the_claim() -> None:
    with lease(heartbeat=lambda _: False) as held:
        until_raised(held, ClaimLost, seconds=1)


def test_heartbeats_that_fail_lose_the_claim_before_the_lease_is_over() -> None:
    def fail(_: float) -> bool:
        raise Unavailable

    with lease(heartbeat=fail) as held:
        held.raise_if_stopped()
        time.sleep(0.3)
        held.raise_if_stopped()  # the database may come back
        until_raised(held, ClaimLost, seconds=0.6)


def test_time_that_stood_still_loses_the_claim_at_once() -> None:
    """As for a worker that was stopped and goes on: the first check of the clock finds it, without a heartbeat."""
    blocked = threading.Event()
    with lease(heartbeat=lambda _: blocked.wait(5)) as held:
        time.sleep(0.8)
        with pytest.raises(ClaimLost):
            held.raise_if_stopped()
        blocked.set()


def test_nothing_is_written_in_the_name_of_a_claim_that_was_given_up() -> None:
    """Not even when the database answers again: the sweep may have given the row to another worker."""
    answering = threading.Event()
    heartbeats: list[float] = []

    def heartbeat(worked: float) -> bool:
        if not answering.is_set():
            raise Unavailable
        heartbeats.append(worked)
        return True

    with lease(heartbeat=heartbeat) as held:
        with held.working():
            until_raised(held, ClaimLost, seconds=2)
            answering.set()
            time.sleep(0.2)  # four heartbeats
        with pytest.raises(ClaimLost):
            held.retry_until_lost(lambda: heartbeats.append(0.0))
    assert heartbeats == []


def test_a_cancel_a_drain_and_a_stop_are_noticed() -> None:
    draining = threading.Event()
    with lease(poll=lambda: ClaimStatus(mine=True, cancel=True, stop=True)) as held:
        until_raised(held, CancelRequested, seconds=1)
        assert held.stop_requested
    with lease(draining=draining) as held:
        held.raise_if_stopped()
        draining.set()
        until_raised(held, DrainRequested, seconds=1)


def test_slow_work_in_a_thread_does_not_delay_a_cancel() -> None:
    cancel = threading.Event()
    release = threading.Event()
    with lease(poll=lambda: ClaimStatus(mine=True, cancel=cancel.is_set(), stop=False)) as held:
        assert held.run_in_thread(lambda: 42) == 42
        with pytest.raises(ZeroDivisionError):
            held.run_in_thread(lambda: 1 // 0)
        threading.Timer(0.1, cancel.set).start()
        began = time.monotonic()
        with pytest.raises(CancelRequested):
            held.run_in_thread(lambda: release.wait(30))
        assert time.monotonic() - began < 2
        release.set()


def test_a_short_write_is_repeated_until_the_database_answers() -> None:
    answers = iter([Unavailable(), "written"])

    def write() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    with lease(lease_seconds=10) as held:
        assert held.retry_until_lost(write) == "written"


def test_a_full_disk_or_an_unforeseen_error_ends_neither_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.supervision.lease_keeper.POLL_ROW_SECONDS", 0.02)
    heartbeat_errors = iter([OutOfSpace(), ZeroDivisionError()])
    poll_errors = iter([OutOfSpace(), ZeroDivisionError()])
    cancelling = ClaimStatus(mine=True, cancel=True, stop=False)
    renewed = threading.Event()

    def heartbeat(_: float) -> bool:
        if error := next(heartbeat_errors, None):
            raise error
        renewed.set()
        return True

    def poll() -> ClaimStatus:
        if error := next(poll_errors, None):
            raise error
        return cancelling

    with lease(heartbeat, poll, lease_seconds=10) as held:
        assert renewed.wait(2)
        until_raised(held, CancelRequested, seconds=2)


def test_the_time_worked_is_reported_once_and_a_missed_heartbeat_loses_none_of_it() -> None:
    reported: list[float] = []
    missed = iter([True, True])

    def heartbeat(worked: float) -> bool:
        if next(missed, False):
            raise Unavailable
        reported.append(worked)
        return True

    with lease(heartbeat=heartbeat) as held:
        time.sleep(0.2)
        with held.working():
            time.sleep(0.4)
        time.sleep(0.2)
    assert 0.35 < sum(reported) < 0.6
