"""Leased work over a table of its own: a description of the table is all that another kind of work needs."""

import time
from collections.abc import Iterator
from enum import StrEnum

import pytest
from sqlalchemy import update
from sqlalchemy.orm import DeclarativeBase

from core import clock
from core.db.base import Base, Leased, Resumable
from core.domain.errors import OutOfMemory, StoreRefused
from core.domain.limits import MAX_LOST_LEASES, MAX_REFUSALS
from core.domain.states import Lifecycle
from core.services.context import Platform
from core.services.maintenance.recovery import SleepWatch, enqueue_waiting, oldest_waiting, sweep_lost_leases
from core.services.work import endings, leases
from core.services.work.events import events_after
from core.services.work.leases import Claim, ClaimLost
from tests.waiting import wait_until
from worker.context import Worker
from worker.tasks.housekeeping import sweep


class Work(StrEnum):
    WAITING = "waiting"
    WORKING = "working"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Tables(DeclarativeBase):
    type_annotation_map = Base.type_annotation_map


class WorkRow(Leased, Resumable, Tables):
    __tablename__ = "some_work"
    lifecycle = Lifecycle(
        moves={
            Work.WAITING: frozenset({Work.WORKING, Work.CANCELLED}),
            Work.WORKING: frozenset({Work.DONE, Work.FAILED, Work.CANCELLING, Work.WAITING}),
            Work.CANCELLING: frozenset({Work.CANCELLED}),
            Work.DONE: frozenset(),
            Work.FAILED: frozenset({Work.WAITING}),
            Work.CANCELLED: frozenset(),
        },
        waiting=Work.WAITING,
        working=Work.WORKING,
        succeeded=Work.DONE,
        failed=Work.FAILED,
        activity="doing this work",
        cancelling=Work.CANCELLING,
        cancelled=Work.CANCELLED,
    )
    public = ("state", "stage", "progress", "problem", "attempt", "checkpoint_epoch")
    of_attempt = ("stage", "progress")


@pytest.fixture(autouse=True)
def _table(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Tables.metadata.create_all(platform.db.engine)
    monkeypatch.setitem(leases.TABLES, "some-work", WorkRow)
    monkeypatch.setattr(platform.queue, "enqueue", lambda _task, _row_id: True)
    yield


def waiting(platform: Platform, work_id: str = "work_1") -> str:
    at = clock.now()
    with platform.db.transaction() as session:
        session.add(WorkRow(id=work_id, state=Work.WAITING, created_at=at, updated_at=at))
    return work_id


def claimed(platform: Platform, work_id: str = "work_1", *, lease_seconds: float = 60) -> Claim:
    found = leases.claim_row(platform.db, WorkRow, work_id, "w", lease_seconds=lease_seconds)
    assert found is not None
    return found[0]


def row_of(platform: Platform, work_id: str = "work_1") -> WorkRow:
    with platform.db.reading() as session:
        return session.get_one(WorkRow, work_id)


def test_it_is_claimed_renewed_reported_and_failed(platform: Platform) -> None:
    waiting(platform)
    claim = claimed(platform)
    assert leases.renew_lease(platform.db, WorkRow, claim, lease_seconds=60, worked_seconds=1.5)
    leases.report_progress(platform.db, WorkRow, claim, stage="half", progress={"done": 1, "total": 2})
    leases.record_checkpoint(platform.db, WorkRow, claim, key="k", epoch=3, sha256="4" * 64)
    endings.fail_attempt(platform.db, WorkRow, claim, OutOfMemory())
    row = row_of(platform)
    assert (row.state, row.stage, row.progress, row.checkpoint_epoch) == ("failed", None, None, 3)
    assert row.spent_seconds == 1.5 and row.finished_at is not None and row.lease_expires_at is None
    assert [event.type for event in events_after(platform.db, claim.id, seq=0)] == [
        "state",
        "progress",
        "checkpoint",
        "state",
    ]
    assert not leases.poll_claim(platform.db, WorkRow, claim).mine
    with pytest.raises(ClaimLost):
        leases.report_progress(platform.db, WorkRow, claim, stage="late")


def test_it_succeeds_once(platform: Platform) -> None:
    claim = claimed(platform, waiting(platform))
    row = endings.succeed_attempt(platform.db, WorkRow, claim, spent_seconds=2.0)
    assert (row.state, row.spent_seconds, row.lease_expires_at) == ("done", 2.0, None)
    with pytest.raises(ClaimLost):
        endings.succeed_attempt(platform.db, WorkRow, claim)


def test_it_is_given_back_and_enqueued_by_the_next_sweep(platform: Platform) -> None:
    claim = claimed(platform, waiting(platform))
    endings.give_back_attempt(platform.db, WorkRow, claim)
    assert oldest_waiting(platform.db, "some-work") == claim.id
    assert (enqueue_waiting(platform), enqueue_waiting(platform)) == (1, 0)
    again = claimed(platform)
    endings.give_back_attempt(platform.db, WorkRow, again, later=True)
    assert enqueue_waiting(platform) == 0, "it waits for its pause"
    assert not leases.renew_lease(platform.db, WorkRow, claim, lease_seconds=60), "an older attempt"


def test_a_store_that_refuses_it_fails_it_in_the_end(platform: Platform) -> None:
    waiting(platform)
    for number in range(1, MAX_REFUSALS + 1):
        row = endings.refuse_attempt(platform.db, WorkRow, claimed(platform), StoreRefused("denied"))
        assert row.state == ("failed" if number == MAX_REFUSALS else "waiting")
        assert oldest_waiting(platform.db, "some-work") is None, "no worker takes it before its pause"
    assert (row_of(platform).problem or {})["slug"] == "store-refused"


def test_after_its_pause_a_refused_one_is_taken(platform: Platform) -> None:
    waiting(platform)
    for pause_seconds in (10, 20):
        row = endings.refuse_attempt(platform.db, WorkRow, claimed(platform), StoreRefused("denied"))
        assert row.enqueued_at is not None
        for seconds, taken in ((pause_seconds - 1, None), (pause_seconds, row.id)):
            with platform.db.transaction() as session:
                session.execute(update(WorkRow).values(enqueued_at=row.enqueued_at - seconds))
            assert oldest_waiting(platform.db, "some-work") == taken


def test_a_checkpoint_further_on_sets_its_lost_leases_to_zero(platform: Platform) -> None:
    waiting(platform)
    counts = []
    for epoch in (1, 1, 2):  # the second attempt started afresh: its checkpoint is no progress
        claim = claimed(platform, lease_seconds=-1)
        leases.record_checkpoint(platform.db, WorkRow, claim, key="k", epoch=epoch, sha256="4" * 64)
        sweep_lost_leases(platform.db)
        counts.append(row_of(platform).lost_leases)
    assert counts == [1, 2, 1]


def test_after_a_sleep_of_the_machine_workers_have_a_lease_to_come_back(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a night with a closed lid: the date went on, on the database too, and the monotonic clock did not."""
    slept_seconds, awake = 0.0, time.monotonic
    monkeypatch.setattr(clock, "monotonic", lambda: awake() - slept_seconds)
    housekeeper, watch = Worker(platform, "housekeeping", "h"), SleepWatch(lease_seconds=1.0)
    back, gone = (claimed(platform, waiting(platform, name)) for name in ("work_1", "work_2"))
    sweep(housekeeper, watch=watch)
    slept_seconds = 3600.0
    for claim in (back, gone):
        leases.renew_lease(platform.db, WorkRow, claim, lease_seconds=-3540.0)
    sweep(housekeeper, watch=watch)
    assert row_of(platform, back.id).state == row_of(platform, gone.id).state == "working"
    assert leases.renew_lease(platform.db, WorkRow, back, lease_seconds=60)
    wait_until(lambda: not watch.has_just_slept(), seconds=5, what="the lease after the sleep has passed")
    sweep(housekeeper, watch=watch)
    assert row_of(platform, back.id).lost_leases == 0
    assert (row_of(platform, gone.id).state, row_of(platform, gone.id).lost_leases) == ("waiting", 1)


def test_its_lost_leases_are_swept_and_fail_it_in_the_end(platform: Platform) -> None:
    work_id = waiting(platform)
    for _ in range(MAX_LOST_LEASES):
        claimed(platform, lease_seconds=-1)
        assert sweep_lost_leases(platform.db) == [work_id]
    problem = row_of(platform).problem or {}
    assert problem["slug"] == "worker-lost" and problem["detail"] == "3 workers were lost while doing this work."
