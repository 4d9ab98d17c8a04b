"""Batches on every database: published by the attempt that holds the claim, and gone with what they are about."""

import pytest

from core.db.tables import VersionRow
from core.domain.errors import BatchNotReady, Gone, OperationFailed
from core.services.context import Platform
from core.services.jobs.deletion import delete_job
from core.services.models.batch_predictions import (
    BatchOptions,
    delete_batch,
    find_batch_artifact,
    get_batch,
    list_batches,
    publish_batch,
    request_batch,
)
from core.services.models.batch_sources import BatchImages
from core.services.runs.lifecycle import PublishedArtifact
from core.services.work.leases import ClaimLost
from tests.builders import lineage
from tests.builders.evaluated import claimed, export

SUMMARY = {"images": 2, "failed": 1}
LINES = PublishedArtifact("predictions.jsonl", "batch_predictions/x/1/predictions.jsonl", 3, "a" * 64, "text/plain")


@pytest.fixture
def version(platform: Platform) -> VersionRow:
    """Of d1, with an export that passed; there is a d2."""
    made = lineage.version(platform, lineage.dataset(platform, "first").id, 0.9)
    export(platform, made, precision="fp32")
    lineage.dataset(platform, "second")
    return made


def requested(platform: Platform, dataset: str = "raccoons/d2") -> str:
    return request_batch(platform, "raccoons/v1", BatchImages(dataset), BatchOptions()).operation.id


def test_a_batch_is_published_once_by_the_attempt_that_holds_it(platform: Platform, version: VersionRow) -> None:
    first, second = requested(platform), requested(platform)
    assert first != second, "nothing is shared between two requests"
    claim = claimed(platform, first)
    with pytest.raises(BatchNotReady):
        find_batch_artifact(platform.db, first, LINES.name)
    publish_batch(platform.db, claim, summary=SUMMARY, artifacts=[LINES])
    with pytest.raises(ClaimLost):
        publish_batch(platform.db, claim, summary=SUMMARY, artifacts=[LINES])
    found = get_batch(platform.db, first)
    assert (found.row.summary, found.operation.state, found.number) == (SUMMARY, "succeeded", version.number)
    artifact = find_batch_artifact(platform.db, first, LINES.name)
    assert artifact is not None and artifact.key == LINES.key
    listed = list_batches(platform.db, cursor=None, limit=9, model="raccoons/v1").items
    assert [each.row.operation_id for each in listed] == [second, first]


@pytest.mark.parametrize("deleted", ["the dataset", "the version", "the batch"])
def test_what_was_deleted_meanwhile_is_not_published(platform: Platform, version: VersionRow, deleted: str) -> None:
    operation_id = requested(platform)
    job_id = str(get_batch(platform.db, operation_id).row.job_id)
    claim = claimed(platform, operation_id)
    if deleted == "the batch":
        delete_batch(platform.db, operation_id)
    else:
        delete_job(platform, job_id if deleted == "the dataset" else str(version.job_id), cancel=True)
    with pytest.raises((Gone, OperationFailed, ClaimLost)):
        publish_batch(platform.db, claim, summary=SUMMARY, artifacts=[LINES])
    with pytest.raises(Gone):
        get_batch(platform.db, operation_id)
    assert list_batches(platform.db, cursor=None, limit=9).items == []
