"""Operations on every database: one at a time for a target, the states of a run, deleted with their job or project."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from core import clock
from core.db.tables import OperationRow
from core.db.transitions import public_fields
from core.domain.errors import (
    Gone,
    ImageIndexMissing,
    JobInUse,
    JobNotFound,
    OperationFailed,
    OperationNotCancellable,
    OperationNotFound,
    OperationNotRetryable,
    ProjectNotFound,
)
from core.domain.limits import MAX_LOST_LEASES
from core.services.context import Platform
from core.services.jobs.deletion import delete_job
from core.services.jobs.images import refuse_without_index
from core.services.maintenance.ended_operations import forget_operation_objects
from core.services.maintenance.recovery import enqueue_waiting, oldest_waiting, sweep_lost_leases
from core.services.operations import commands as operations
from core.services.operations.lifecycle import complete_in, complete_operation
from core.services.views import prepared_set_of
from core.services.work import endings, leases
from core.services.work.events import events_after, standing_of
from core.services.work.leases import Claim, ClaimLost
from tests.builders.rows import ready_job, running_operation


def queued(platform: Platform, target: str | None = None, **belonging: str) -> OperationRow:
    return operations.queue_operation(platform, "scripted", {"steps": 3}, target=target, **belonging)


def again(platform: Platform, operation_id: str) -> Claim:
    claimed = leases.claim_row(platform.db, OperationRow, operation_id, "w2", lease_seconds=60)
    assert claimed is not None
    return claimed[0]


def test_its_events_fold_into_what_polling_returns(platform: Platform) -> None:
    claim = running_operation(platform)
    leases.report_progress(platform.db, OperationRow, claim, stage="reading", progress={"done": 1, "total": 3})
    complete_operation(platform.db, claim, {"images": 3})
    row = operations.get_operation(platform.db, claim.id)
    folded: dict[str, object] = {}
    for event in events_after(platform.db, claim.id, seq=0):
        folded |= event.data
    polled = {name: value for name, value in public_fields(row).items() if value is not None}
    assert {name: value for name, value in folded.items() if value is not None} == polled
    assert (row.state, row.result, row.progress) == ("succeeded", {"images": 3}, None)
    assert standing_of(platform.db, claim.id) == (4, True)


def test_one_operation_at_a_time_makes_a_target(platform: Platform) -> None:
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda _: queued(platform, "one"), range(8)))
    assert len({row.id for row in rows}) == 1
    assert queued(platform, "other").id != rows[0].id and queued(platform).id != queued(platform).id
    operations.cancel_operation(platform.db, again(platform, rows[0].id).id)
    successor = queued(platform, "one")
    assert successor.id != rows[0].id, "one that is being cancelled makes nothing any more"
    assert (operations.newest_operation(platform.db, "scripted", "one") or rows[0]).id == successor.id
    assert operations.newest_operation(platform.db, "other kind", "one") is None


def test_a_failed_one_is_retried_unless_another_makes_its_target(platform: Platform) -> None:
    first = queued(platform, "one")
    endings.fail_attempt(platform.db, OperationRow, again(platform, first.id), OperationFailed("ours"))
    second = queued(platform, "one")
    with pytest.raises(OperationNotRetryable):
        operations.retry_operation(platform, first.id)
    operations.cancel_operation(platform.db, second.id)
    assert operations.retry_operation(platform, first.id).state == "queued"
    with pytest.raises(OperationNotRetryable):
        operations.retry_operation(platform, first.id)
    assert operations.get_operation(platform.db, first.id).problem is None


def test_a_queued_one_is_cancelled_at_once_and_a_running_one_by_its_supervisor(platform: Platform) -> None:
    assert operations.cancel_operation(platform.db, queued(platform).id).state == "cancelled"
    claim = running_operation(platform)
    assert operations.cancel_operation(platform.db, claim.id).state == "cancelling"
    with pytest.raises(ClaimLost):
        complete_operation(platform.db, claim, {})
    endings.cancel_attempt(platform.db, OperationRow, claim)
    assert operations.cancel_operation(platform.db, claim.id).state == "cancelled"
    done = running_operation(platform)
    complete_operation(platform.db, done, {})
    with pytest.raises(OperationNotCancellable):
        operations.cancel_operation(platform.db, done.id)


def test_lost_leases_give_it_back_and_fail_it_in_the_end(platform: Platform) -> None:
    lost = running_operation(platform, lease=-1.0)
    assert sweep_lost_leases(platform.db) == [lost.id]
    assert oldest_waiting(platform.db, "operate") == lost.id and enqueue_waiting(platform) == 1
    for _ in range(MAX_LOST_LEASES - 1):
        assert leases.claim_row(platform.db, OperationRow, lost.id, "w", lease_seconds=-1.0)
        sweep_lost_leases(platform.db)
    row = operations.get_operation(platform.db, lost.id)
    assert row.state == "failed" and (row.problem or {})["slug"] == "worker-lost"
    with pytest.raises(ClaimLost):
        complete_operation(platform.db, lost, {})


def test_what_it_made_is_written_with_its_end_or_not_at_all(platform: Platform) -> None:
    lost = running_operation(platform, lease=-1.0)
    sweep_lost_leases(platform.db)
    with pytest.raises(ClaimLost), platform.db.transaction() as session:
        complete_in(session, lost, {"made": 1})
    with platform.db.transaction() as session:
        assert complete_in(session, again(platform, lost.id), {"made": 2}).attempt == 2


def test_it_is_cancelled_and_deleted_with_its_job(platform: Platform) -> None:
    job = ready_job(platform)
    claim, ended = running_operation(platform, job_id=job.id), running_operation(platform, job_id=job.id)
    complete_operation(platform.db, ended, {})
    assert operations.get_operation(platform.db, claim.id).project_id == job.project_id
    with pytest.raises(JobInUse) as refused:
        delete_job(platform, job.id)
    assert refused.value.facts["operations"] == [claim.id]
    delete_job(platform, job.id, cancel=True)
    assert operations.get_operation(platform.db, claim.id).state == "cancelling"
    for operation_id in (claim.id, ended.id):
        with pytest.raises(Gone):
            operations.get_living_operation(platform.db, operation_id)
    with pytest.raises(Gone):
        queued(platform, job_id=job.id)
    assert operations.list_operations(platform.db, cursor=None, limit=5).items == []


def test_an_image_index_is_made_anew_once_its_failed_operation_is_of_no_use_any_more(platform: Platform) -> None:
    job, other = ready_job(platform), ready_job(platform)  # of one set
    failed = _failed_index(platform, job.id)
    assert _index_operation(platform, other.id) == failed, "it can be retried"
    forget_operation_objects(platform.db, failed_before=clock.now() + timedelta(days=1))
    anew = _failed_index(platform, job.id)
    assert anew != failed, "the first one cannot be retried any more"
    delete_job(platform, job.id)
    assert _index_operation(platform, other.id) not in (failed, anew), "it was deleted with its job"


def _failed_index(platform: Platform, job_id: str) -> str:
    claim = again(platform, _index_operation(platform, job_id))
    endings.fail_attempt(platform.db, OperationRow, claim, OperationFailed("No disk."))
    return claim.id


def _index_operation(platform: Platform, job_id: str) -> str:
    """The operation that a request for the images of the job is answered with."""
    with pytest.raises(ImageIndexMissing) as refused:
        refuse_without_index(platform, *prepared_set_of(platform.db, job_id))
    return str(refused.value.facts["operation_id"])


def test_it_belongs_to_what_exists(platform: Platform) -> None:
    with pytest.raises(JobNotFound):
        queued(platform, job_id="job_none")
    with pytest.raises(ProjectNotFound):
        queued(platform, project_id="project_none")
    with pytest.raises(OperationNotFound):
        operations.cancel_operation(platform.db, "operation_none")


def test_a_list_is_paged_and_filtered_newest_first(platform: Platform) -> None:
    job = ready_job(platform)
    rows = [queued(platform, job_id=job.id), queued(platform), queued(platform, job_id=job.id)]
    operations.cancel_operation(platform.db, rows[0].id)
    page = operations.list_operations(platform.db, cursor=None, limit=2)
    rest = operations.list_operations(platform.db, cursor=page.next_cursor, limit=2)
    assert [row.id for row in page.items + rest.items] == [row.id for row in rows[::-1]] and rest.next_cursor is None

    def found(**filters: str) -> list[str]:
        return [row.id for row in operations.list_operations(platform.db, cursor=None, limit=9, **filters).items]

    assert found(job_id=job.id) == found(project=job.project_id) == [rows[2].id, rows[0].id]
    assert found(state="queued", job_id=job.id) == [rows[2].id] and found(kind="other") == []
