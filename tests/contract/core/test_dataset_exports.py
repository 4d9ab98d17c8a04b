"""Exports of datasets on every database: requested by reading them, written once a format, gone with their dataset."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from core.db.tables import DatasetExportRow, JobRow, OperationRow
from core.domain.errors import (
    DatasetExportFailed,
    DatasetExportNotFound,
    Gone,
    JobNotReady,
    OperationFailed,
)
from core.domain.keys import dataset_export_key, derived_prefix
from core.services.context import Platform
from core.services.jobs.commands import new_job_id, receive_job
from core.services.jobs.dataset_exports import (
    DatasetExportChoice,
    Standing,
    dataset_export_inputs,
    delete_dataset_export,
    find_dataset_export,
    list_dataset_exports,
    publish_dataset_export,
    request_dataset_export,
)
from core.services.jobs.deletion import delete_job
from core.services.maintenance.derived_objects import derived_to_purge, note_derived_purged
from core.services.maintenance.retention import named_keys
from core.services.operations.commands import cancel_operation, list_operations, retry_operation
from core.services.runs.lifecycle import PublishedArtifact
from core.services.work import endings
from core.services.work.leases import Claim, ClaimLost, claim_row
from tests.builders import lineage

COCO, SPLITS = DatasetExportChoice("coco"), DatasetExportChoice("yolo", "splits")
LOSSES = [{"code": "difficult", "count": 3, "detail": "3 boxes"}]


@pytest.fixture
def job(platform: Platform) -> JobRow:
    return lineage.dataset(platform, "first")


def _claimed(platform: Platform, standing: Standing) -> Claim:
    assert standing.operation is not None and standing.operation.kind == "export-dataset"
    claimed = claim_row(platform.db, OperationRow, standing.operation.id, "w", lease_seconds=60)
    assert claimed is not None
    return claimed[0]


def _publish(platform: Platform, claim: Claim) -> DatasetExportRow:
    key = dataset_export_key(claim.id, claim.attempt)
    file = PublishedArtifact("dataset.zip", key, 9, "7" * 64, "application/zip")
    return publish_dataset_export(platform.db, claim, file, losses=LOSSES)


def _made(platform: Platform, job: JobRow, choice: DatasetExportChoice = COCO) -> DatasetExportRow:
    return _publish(platform, _claimed(platform, request_dataset_export(platform, job.id, choice)))


def test_it_is_queued_once_and_written_once_for_each_choice(platform: Platform, job: JobRow) -> None:
    assert find_dataset_export(platform.db, job.id, COCO).operation is None, "reading alone queues nothing"
    with ThreadPoolExecutor(8) as pool:
        standings = list(pool.map(lambda _: request_dataset_export(platform, job.id, COCO), range(8)))
    assert len({each.operation.id for each in standings if each.operation}) == 1
    made = _publish(platform, _claimed(platform, standings[0]))
    other = _made(platform, job, SPLITS)
    found = request_dataset_export(platform, job.id, COCO)
    assert found.export is not None and (found.export.id, found.export.losses) == (made.id, LOSSES)
    page = list_dataset_exports(platform.db, job.id, cursor=None, limit=1)
    assert [row.id for row in page.items] == [other.id] and page.next_cursor
    rest = list_dataset_exports(platform.db, job.id, cursor=page.next_cursor, limit=1)
    assert [row.id for row in rest.items] == [made.id] and rest.next_cursor is None
    assert len(list_operations(platform.db, cursor=None, limit=9, kind="export-dataset").items) == 2


def test_one_that_was_deleted_is_made_again_and_its_object_goes(platform: Platform, job: JobRow) -> None:
    first = _made(platform, job)
    assert named_keys(platform.db, [first.key]) == {first.key}
    with pytest.raises(DatasetExportNotFound):
        delete_dataset_export(platform.db, lineage.dataset(platform, "second").id, first.id)
    delete_dataset_export(platform.db, job.id, first.id)
    with pytest.raises(Gone):
        delete_dataset_export(platform.db, job.id, first.id)
    second = _made(platform, job)
    assert second.key != first.key
    purgeable = derived_to_purge(platform.db)
    assert [each.prefix for each in purgeable] == [derived_prefix("dataset_exports", first.operation_id)]
    assert first.key.startswith(purgeable[0].prefix)
    note_derived_purged(platform.db, purgeable[0])
    with platform.db.reading() as session:
        tombstone = session.get_one(DatasetExportRow, first.id)
        assert (tombstone.losses, tombstone.file_name, tombstone.sha256) == ([], "", "7" * 64)
    assert derived_to_purge(platform.db) == []


def test_one_that_failed_is_tried_again_on_request_alone(platform: Platform, job: JobRow) -> None:
    claim = _claimed(platform, request_dataset_export(platform, job.id, COCO))
    endings.fail_attempt(platform.db, OperationRow, claim, OperationFailed("ours"))
    for _ in range(2):
        with pytest.raises(DatasetExportFailed, match="ours POST") as refused:
            request_dataset_export(platform, job.id, COCO)
    assert refused.value.facts["links"]["retry"] == f"/operations/{claim.id}/retry"
    retry_operation(platform, claim.id)
    again = request_dataset_export(platform, job.id, COCO)
    assert again.operation is not None and again.operation.id == claim.id
    cancel_operation(platform.db, claim.id)
    anew = request_dataset_export(platform, job.id, COCO)
    assert anew.operation is not None and anew.operation.id != claim.id


def test_a_lost_attempt_publishes_nothing_beside_the_next_one(platform: Platform, job: JobRow) -> None:
    lost = _claimed(platform, request_dataset_export(platform, job.id, COCO))
    endings.give_back_attempt(platform.db, OperationRow, lost)
    after = _claimed(platform, request_dataset_export(platform, job.id, COCO))
    with pytest.raises(ClaimLost):
        _publish(platform, lost)
    assert _publish(platform, after).key == dataset_export_key(after.id, lost.attempt + 1)


def test_a_deleted_dataset_takes_its_exports_with_it_and_does_not_wait_for_one(platform: Platform, job: JobRow) -> None:
    made = _made(platform, job)
    standing = request_dataset_export(platform, job.id, SPLITS)
    claim = _claimed(platform, standing)
    delete_job(platform, job.id)
    assert standing.operation is not None
    with pytest.raises(OperationFailed, match="The dataset was deleted"):
        dataset_export_inputs(platform.db, standing.operation)
    with pytest.raises(OperationFailed, match="The dataset was deleted"):
        _publish(platform, claim)
    with pytest.raises(Gone):
        request_dataset_export(platform, job.id, COCO)
    assert [each.operation_id for each in derived_to_purge(platform.db)] == [made.operation_id]


def test_a_dataset_that_is_not_ready_has_none(platform: Platform) -> None:
    job_id = new_job_id()
    source = {"source_name": "data.zip", "source_bytes": 10, "source_sha256": "0" * 64}
    receive_job(platform, job_id, name="waits", options={}, **source)
    with pytest.raises(JobNotReady):
        request_dataset_export(platform, job_id, COCO)
