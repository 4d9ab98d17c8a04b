"""Jobs and runs move as their lifecycles allow, on every database."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from core.db.tables import AliasRow, JobRow, RunRow
from core.db.transitions import move, public_fields
from core.domain.errors import (
    CursorInvalid,
    Gone,
    JobInUse,
    JobNotReady,
    JobNotRetryable,
    NoEarlierVersion,
    OutOfMemory,
    PreparationFailed,
    RunNotCancellable,
    VersionNotFound,
)
from core.domain.limits import CLASSES_LISTED, MAX_LOST_LEASES
from core.domain.states import RunState
from core.services.context import Platform
from core.services.jobs import commands as jobs
from core.services.jobs import lifecycle as preparing
from core.services.jobs.deletion import delete_job
from core.services.maintenance import recovery as sweep
from core.services.models import versions
from core.services.runs import commands as runs
from core.services.work import endings, leases, locks
from core.services.work.events import events_after, standing_of
from core.services.work.leases import Claim, ClaimLost
from tests.builders.rows import (
    claimed_job,
    complete,
    outcome,
    publish,
    queued_run,
    ready_job,
    received_job,
    running_run,
    versions_of,
)


def fold(platform: Platform, subject_id: str) -> dict[str, Any]:
    folded: dict[str, Any] = {}
    for event in events_after(platform.db, subject_id, seq=0):
        folded |= event.data
    return folded


def test_a_job_is_claimed_once(platform: Platform) -> None:
    job = received_job(platform)
    first = leases.claim_row(platform.db, JobRow, job.id, "w1", lease_seconds=60)
    assert first is not None and first[0] == Claim(job.id, 1)
    assert leases.claim_row(platform.db, JobRow, job.id, "w2", lease_seconds=60) is None


def test_the_events_of_a_job_fold_into_what_polling_returns(platform: Platform) -> None:
    claim = claimed_job(platform)
    leases.report_progress(platform.db, JobRow, claim, stage="checking", progress={"done": 3, "total": 9})
    complete(platform, claim, findings=2)
    job = jobs.get_job(platform.db, claim.id)
    polled = {name: value for name, value in public_fields(job).items() if value is not None}
    folded = fold(platform, job.id)
    assert folded.pop("class_count") == 1
    assert {name: value for name, value in folded.items() if value is not None} == polled
    assert polled["state"] == "ready" and polled["findings"]["box-outside"]["count"] == 2
    assert standing_of(platform.db, job.id) == (4, True)


def test_no_event_and_no_answer_about_a_job_grows_with_its_classes(platform: Platform) -> None:
    names = [f"class {number}" for number in range(CLASSES_LISTED + 1)]
    claim = claimed_job(platform)
    job = complete(platform, claim, classes=names)
    assert job is not None and job.classes == names
    assert public_fields(job)["classes"] == names[:-1]
    folded = fold(platform, job.id)
    assert (folded["classes"], folded["class_count"]) == (names[:-1], CLASSES_LISTED + 1)


def test_the_events_of_a_run_fold_into_what_polling_returns(platform: Platform) -> None:
    claim = running_run(platform)
    leases.report_progress(platform.db, RunRow, claim, stage="training", progress={"epoch": 1, "epochs": 3})
    leases.report_progress(platform.db, RunRow, claim, "system", extra={"system": {"cpu_percent": 90.0}})
    leases.record_checkpoint(platform.db, RunRow, claim, key="k", epoch=1, sha256="4" * 64)
    publish(platform, claim)
    run = runs.get_run(platform.db, claim.id)
    folded = fold(platform, run.id)
    assert folded.pop("system") == {"cpu_percent": 90.0}
    polled = {name: value for name, value in public_fields(run).items() if value is not None}
    assert {name: value for name, value in folded.items() if value is not None} == polled
    assert [event.seq for event in events_after(platform.db, run.id, seq=0)] == list(range(1, run.event_seq + 1))


def test_a_rejected_job_keeps_its_findings_in_order(platform: Platform) -> None:
    claim = claimed_job(platform)
    preparing.reject_job(platform.db, claim, PreparationFailed("the data"), outcome(findings=3))
    page = jobs.list_findings(platform.db, claim.id, cursor=None, limit=2)
    rest = jobs.list_findings(platform.db, claim.id, cursor=page.next_cursor, limit=2)
    assert [row.number for row in page.items + rest.items] == [1, 2, 3] and rest.next_cursor is None
    with pytest.raises(JobNotRetryable):
        jobs.retry_job(platform, claim.id)


def test_a_cursor_of_another_list_is_refused(platform: Platform) -> None:
    with pytest.raises(CursorInvalid):
        jobs.list_findings(platform.db, received_job(platform).id, cursor="bm9uZQ", limit=2)


def test_a_failed_job_is_retried_and_the_old_attempt_can_write_nothing(platform: Platform) -> None:
    old = claimed_job(platform)
    endings.fail_attempt(platform.db, JobRow, old, PreparationFailed("ours"))
    jobs.retry_job(platform, old.id)
    again = leases.claim_row(platform.db, JobRow, old.id, "w", lease_seconds=60)
    assert again is not None and again[0].attempt == 2
    with pytest.raises(ClaimLost):
        complete(platform, old)
    assert not leases.renew_lease(platform.db, JobRow, old, lease_seconds=60)
    assert complete(platform, again[0]) is not None


def test_a_job_is_not_ready_with_a_prepared_set_whose_object_was_deleted_meanwhile(platform: Platform) -> None:
    claim = claimed_job(platform)
    assert complete(platform, claim, is_stored=False) is None, "put it again, and call again"
    assert preparing.find_prepared_set(platform.db, "f" * 64) is None
    assert jobs.get_job(platform.db, claim.id).state == "preparing"
    assert complete(platform, claim) is not None
    assert complete(platform, claimed_job(platform), is_stored=False) is not None, "its row names the object"


def test_a_run_needs_a_ready_job(platform: Platform) -> None:
    with pytest.raises(JobNotReady):
        queued_run(platform, received_job(platform).id)


def test_a_worker_whose_lease_was_lost_publishes_nothing(platform: Platform) -> None:
    lost = running_run(platform, lease=-1.0)
    assert sweep.sweep_lost_leases(platform.db) == [lost.id]
    again = leases.claim_row(platform.db, RunRow, lost.id, "w2", lease_seconds=60)
    assert again is not None
    for attempt_to_write in (
        lambda: publish(platform, lost),
        lambda: endings.fail_attempt(platform.db, RunRow, lost, OutOfMemory()),
        lambda: leases.record_checkpoint(platform.db, RunRow, lost, key="k", epoch=1, sha256="4" * 64),
    ):
        with pytest.raises(ClaimLost):
            attempt_to_write()
    assert publish(platform, again[0]).number == 1
    job_id = runs.get_run(platform.db, lost.id).job_id
    assert [row.number for row in versions_of(platform, job_id)] == [1]


def test_a_renewed_lease_is_not_swept(platform: Platform) -> None:
    claim = running_run(platform, lease=-1.0)
    assert leases.renew_lease(platform.db, RunRow, claim, lease_seconds=60, worked_seconds=2.5)
    assert sweep.sweep_lost_leases(platform.db) == []
    assert runs.get_run(platform.db, claim.id).spent_seconds == 2.5


def test_after_three_lost_leases_the_run_is_failed_as_worker_lost(platform: Platform) -> None:
    run = queued_run(platform)
    for _ in range(MAX_LOST_LEASES):
        assert leases.claim_row(platform.db, RunRow, run.id, "w", lease_seconds=-1.0)
        assert sweep.sweep_lost_leases(platform.db) == [run.id]
    row = runs.get_run(platform.db, run.id)
    assert row.state == "failed" and row.problem is not None and row.problem["slug"] == "worker-lost"
    assert runs.retry_run(platform, run.id).state == "queued"


def test_a_queued_run_is_cancelled_at_once_and_a_running_one_by_its_supervisor(platform: Platform) -> None:
    assert runs.cancel_run(platform.db, queued_run(platform).id).state == "cancelled"
    claim = running_run(platform)
    assert runs.cancel_run(platform.db, claim.id).state == "cancelling"
    assert leases.poll_claim(platform.db, RunRow, claim).cancel
    with pytest.raises(ClaimLost):
        publish(platform, claim)
    endings.cancel_attempt(platform.db, RunRow, claim)
    assert runs.cancel_run(platform.db, claim.id).state == "cancelled"


def test_a_run_that_is_given_back_while_it_is_cancelled_ends_cancelled(platform: Platform) -> None:
    claim = running_run(platform)
    with ThreadPoolExecutor(1) as pool:
        with platform.db.transaction() as session:
            move(session, RunRow, claim.id, RunState.QUEUED, stage=None, lease_expires_at=None)
            cancelled = pool.submit(runs.cancel_run, platform.db, claim.id)
            time.sleep(0.5)  # it has begun, and waits for this transaction
        assert cancelled.result(timeout=10).state == "cancelled"


def test_a_lease_lost_while_cancelling_becomes_cancelled(platform: Platform) -> None:
    claim = running_run(platform, lease=-1.0)
    runs.cancel_run(platform.db, claim.id)
    sweep.sweep_lost_leases(platform.db)
    assert runs.get_run(platform.db, claim.id).state == "cancelled"


def test_a_published_run_cannot_be_cancelled(platform: Platform) -> None:
    claim = running_run(platform)
    publish(platform, claim)
    with pytest.raises(RunNotCancellable):
        runs.cancel_run(platform.db, claim.id)


def test_waiting_rows_are_enqueued_again_later_and_later(platform: Platform) -> None:
    run = queued_run(platform)  # enqueued at once: not due for 10 s
    assert sweep.enqueue_waiting(platform) == 0
    claimed = leases.claim_row(platform.db, RunRow, run.id, "w", lease_seconds=60)
    assert claimed is not None
    endings.give_back_attempt(platform.db, RunRow, claimed[0])  # not enqueued since: due now, and then not again
    assert sweep.enqueue_waiting(platform) == 1
    assert sweep.enqueue_waiting(platform) == 0
    assert sweep.oldest_waiting(platform.db, "train") == run.id


def test_a_lock_is_held_by_one_until_it_expires(platform: Platform) -> None:
    assert locks.take_lock(platform.db, "sweep", "a", seconds=60)
    assert not locks.take_lock(platform.db, "sweep", "b", seconds=60)
    assert locks.take_lock(platform.db, "sweep", "a", seconds=-1)
    assert locks.take_lock(platform.db, "sweep", "b", seconds=60)


def test_rollback_walks_the_history_back_and_is_kept(platform: Platform) -> None:
    job = ready_job(platform)
    for _ in range(3):
        publish(platform, running_run(platform, job.id))

    def at() -> int:
        return versions.get_alias(platform.db, job.id, "production")[0].number

    with pytest.raises(VersionNotFound):
        versions.set_alias(platform.db, job.id, "production", version="v9")
    versions.set_alias(platform.db, job.id, "production", version="v1")
    versions.set_alias(platform.db, job.id, "production", version="v2")
    versions.roll_back_alias(platform.db, job.id, "production")
    assert at() == 1
    versions.set_alias(platform.db, job.id, "production", version="v3")
    assert versions.find_version(platform.db, job.id, alias="production").number == 3
    versions.roll_back_alias(platform.db, job.id, "production")
    assert at() == 1  # the one before v3 was v1, not the v2 that was rolled back
    with pytest.raises(NoEarlierVersion):
        versions.roll_back_alias(platform.db, job.id, "production")
    moves = versions.get_alias(platform.db, job.id, "production").moves
    assert [(move.action, move.number) for move in moves] == [
        ("set", 1),
        ("set", 2),
        ("rollback", 1),
        ("set", 3),
        ("rollback", 1),
    ]


def test_a_job_in_use_is_not_deleted_and_a_deleted_one_is_gone(platform: Platform) -> None:
    job = ready_job(platform)
    run = queued_run(platform, job.id)
    with pytest.raises(JobInUse):
        delete_job(platform, job.id)
    delete_job(platform, job.id, cancel=True)
    assert runs.get_run(platform.db, run.id).state == "cancelled"
    with pytest.raises(Gone):
        jobs.get_job(platform.db, job.id)


def test_an_aliased_job_is_not_deleted(platform: Platform) -> None:
    job = ready_job(platform)
    publish(platform, running_run(platform, job.id))
    alias: AliasRow = versions.set_alias(platform.db, job.id, "production", version="1")
    assert alias.number == 1
    with pytest.raises(JobInUse):
        delete_job(platform, job.id, cancel=True)
