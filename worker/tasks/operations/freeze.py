"""Freezing the test split of a dataset: fetch -> child: list its images, with hashes of crops -> store -> publish."""

from functools import partial

from core.db.tables import DatasetRow, OperationRow
from core.domain.errors import OperationFailed
from core.domain.keys import frozen_list_key
from core.services.jobs.lifecycle import LIVE, find_prepared_set
from core.services.models.test_sets import publish_test_set
from core.storage.free_space import require_free
from pipeline.process.results import FROZEN_LIST_FILE, FrozenList
from pipeline.process.specs import FreezeSpec
from worker.tasks.attempt import Attempt
from worker.tasks.operations.child import in_child
from worker.tasks.operations.image_index import fetch_index
from worker.tasks.operations.inputs import fetch_object
from worker.tasks.store_artifacts import STORING


def work(attempt: Attempt[OperationRow], operation: OperationRow) -> None:
    """Publishes the test set. Raises OperationFailed, OutOfSpace, what the child reports."""
    dataset = find_prepared_set(attempt.db, operation.params["fingerprint"])
    if dataset is None or dataset.state != LIVE:
        raise OperationFailed("The prepared dataset was deleted.", **operation.params)
    spec = _spec(attempt, dataset)
    listed = in_child(attempt, spec, FrozenList)
    attempt.report_surely(stage=STORING, progress=None)
    key = frozen_list_key(attempt.claim.id, attempt.claim.attempt)
    put = partial(attempt.platform.store.put, key, spec.out / FROZEN_LIST_FILE, media_type="application/json")
    stored = attempt.lease.run_in_thread(put)
    row = attempt.lease.retry_until_lost(
        lambda: publish_test_set(attempt.db, attempt.claim, stored, images=listed.images)
    )
    attempt.log.info("test_set.frozen", generation=row.generation, images=row.images)


def _spec(attempt: Attempt[OperationRow], dataset: DatasetRow) -> FreezeSpec:
    settings, scratch = attempt.platform.settings, attempt.scratch
    index = fetch_index(attempt, dataset)
    if index is None:
        raise OperationFailed("The image index of the dataset is missing, and could not be made.")
    require_free(scratch, dataset.bytes, reserve_bytes=settings.disk_reserve_bytes // 2)
    called = "the prepared dataset"
    return FreezeSpec(
        out=scratch / "out",
        tar=fetch_object(attempt, dataset.key, scratch / "set.tar", sha256=dataset.sha256, called=called, is_lent=True),
        index=index,
        fingerprint=dataset.fingerprint,
        processes=settings.prepare_processes,
        memory_bytes=settings.operation_memory_bytes,
    )
