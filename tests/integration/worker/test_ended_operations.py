"""What housekeeping keeps of operations that have ended, and of those whose job was deleted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.db.tables import OperationRow
from core.db.transitions import public_fields
from core.domain.errors import OperationFailed, OperationNotRetryable
from core.domain.keys import operation_input_key, operation_key
from core.services.context import Platform, open_platform
from core.services.jobs.deletion import delete_job
from core.services.maintenance.ended_operations import condense_operation
from core.services.operations.commands import (
    cancel_operation,
    get_operation,
    new_operation_id,
    queue_operation,
    retry_operation,
)
from core.services.operations.lifecycle import complete_operation
from core.services.work.endings import cancel_attempt, fail_attempt
from core.services.work.events import events_after, standing_of
from core.services.work.leases import Claim, report_progress
from core.settings import Settings
from tests.builders.rows import ready_job, running_operation
from worker.context import Worker
from worker.inputs.scratch import fresh_folder, remove_dead_scratch, scratch_name, scratch_root
from worker.tasks.retention import clean, delete_orphans


@pytest.fixture(params=[0, 7], ids=["old", "new"])
def keep_days(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def platform(tmp_path: Path, database_url: str, keep_days: int) -> Iterator[Platform]:
    settings = Settings(
        home=tmp_path / "home", database_url=database_url, keep_operation_days=keep_days, orphan_hours=0
    )
    opened = open_platform(settings)
    yield opened
    opened.db.close()


def running(platform: Platform, tmp_path: Path, **belonging: str) -> Claim:
    """A running operation with an input and an object of its attempt in the store."""
    claim = running_operation(platform, **belonging)
    put(platform, tmp_path, operation_input_key(claim.id, "weights.pt"), operation_key(claim.id, 1, "half"))
    report_progress(platform.db, OperationRow, claim, stage="reading", progress={"done": 1, "total": 3})
    return claim


def put(platform: Platform, tmp_path: Path, *keys: str) -> None:
    (tmp_path / "object").write_bytes(b"object")
    for key in keys:
        platform.store.put(key, tmp_path / "object")


def stored(platform: Platform) -> set[str]:
    return {key.split("/")[1] for key, _ in platform.store.list_prefix("operations/")}


def fold(platform: Platform, operation_id: str) -> dict[str, Any]:
    folded: dict[str, Any] = {}
    for event in events_after(platform.db, operation_id, seq=0):
        folded |= event.data
    return folded


def test_objects_go_with_the_end_and_those_of_a_failed_one_after_some_days(
    platform: Platform, tmp_path: Path, keep_days: int
) -> None:
    succeeded, failed, cancelled, active = (running(platform, tmp_path) for _ in range(4))
    complete_operation(platform.db, succeeded, {"images": 3})
    fail_attempt(platform.db, OperationRow, failed, OperationFailed("ours"))
    cancel_operation(platform.db, cancelled.id)
    cancel_attempt(platform.db, OperationRow, cancelled)
    put(platform, tmp_path, operation_input_key(new_operation_id(), "weights.pt"))  # its row was never written

    clean(Worker(platform, "housekeeping", "test"))

    assert stored(platform) == {active.id, failed.id} - ({failed.id} if keep_days == 0 else set())
    row = get_operation(platform.db, succeeded.id)
    assert (row.state, row.result) == ("succeeded", {"images": 3})
    events = events_after(platform.db, succeeded.id, seq=0)
    assert [event.seq for event in events] == ([4] if keep_days == 0 else [1, 2, 3, 4])
    folded = {name: value for name, value in fold(platform, succeeded.id).items() if value is not None}
    assert folded == {name: value for name, value in public_fields(row).items() if value is not None}
    assert standing_of(platform.db, succeeded.id) == (4, True)
    if keep_days == 0:
        with pytest.raises(OperationNotRetryable, match="input"):
            retry_operation(platform, failed.id)
    else:
        assert retry_operation(platform, failed.id).state == "queued"


def test_one_whose_job_was_deleted_leaves_its_row_alone(platform: Platform, tmp_path: Path) -> None:
    job = ready_job(platform)
    failed, active = (running(platform, tmp_path, job_id=job.id) for _ in range(2))
    fail_attempt(platform.db, OperationRow, failed, OperationFailed("of raccoons.zip"))
    delete_job(platform, job.id, cancel=True)
    housekeeper = Worker(platform, "housekeeping", "test")
    clean(housekeeper)
    assert stored(platform) == {active.id}, "a worker may still write what an active one makes"
    cancel_attempt(platform.db, OperationRow, active)
    clean(housekeeper)

    assert stored(platform) == set()
    for claim in (failed, active):
        row = get_operation(platform.db, claim.id)
        assert (row.params, row.problem, row.result, row.target) == ({}, None, None, None)
        assert events_after(platform.db, claim.id, seq=0) == []
    assert (row.state, row.attempt, row.job_id) == ("cancelled", 1, job.id)


def test_condensing_again_after_an_interruption_keeps_the_fold(platform: Platform, tmp_path: Path) -> None:
    claim = running(platform, tmp_path)
    row = complete_operation(platform.db, claim, {"images": 3})
    for _ in range(2):  # repeated from the beginning
        condense_operation(platform.db, claim.id, at_once=1)
        assert fold(platform, claim.id) == public_fields(row)


def test_the_folders_of_an_active_operation_stay_and_others_go(platform: Platform, tmp_path: Path) -> None:
    claim = running_operation(platform)
    queued = queue_operation(platform, "scripted", {})
    root = scratch_root(platform.settings)
    with fresh_folder(root, scratch_name(claim)), fresh_folder(root, f"{queued.id}-1"):
        assert remove_dead_scratch(platform) == [f"{queued.id}-1"]
    put(platform, tmp_path, operation_key(claim.id, 1, "half"))
    assert delete_orphans(platform) == []
