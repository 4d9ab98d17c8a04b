"""The image index of a set that was prepared before there was one: fetch the tar -> child -> store -> name it."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from core.db.tables import DatasetRow, OperationRow
from core.domain.errors import OperationFailed
from core.domain.keys import image_index_key
from core.services.jobs.image_index import jobs_of_set, name_images_of_findings, name_index, publish_index
from core.services.jobs.lifecycle import LIVE, find_prepared_set
from core.storage import ObjectCorrupt, ObjectMissing, StoredObject
from core.storage.free_space import require_free
from pipeline.index.read import read_paths
from pipeline.index.schema import INDEX_FILE
from pipeline.process.results import IndexedSet
from pipeline.process.specs import IndexSpec
from worker.tasks.attempt import Attempt
from worker.tasks.operations.child import in_child

INDEXING = "indexing"  # a stage: an index that is not there yet is made


class MadeIndex(NamedTuple):
    """`path`: on this machine."""

    stored: StoredObject
    path: Path
    images: int


def work(attempt: Attempt[OperationRow], operation: OperationRow) -> dict[str, Any] | None:
    """Returns {images} where another operation was faster, else None. Raises OperationFailed, as the store, ..."""
    dataset = find_prepared_set(attempt.db, operation.params["fingerprint"])
    if dataset is None or dataset.state != LIVE:
        raise OperationFailed("The prepared dataset was deleted.", **operation.params)
    if dataset.index_key is not None:
        return {"images": None}
    made = make_index(attempt, dataset, attempt.scratch / "out")
    attempt.lease.retry_until_lost(
        lambda: publish_index(attempt.db, attempt.claim, dataset.fingerprint, made.stored, {"images": made.images})
    )
    return None


def make_index(attempt: Attempt[OperationRow], dataset: DatasetRow, out: Path) -> MadeIndex:
    """The index of a set, stored and not yet named by its row; `out`: a folder that does not exist yet.

    Raises OperationFailed and what `in_child` and the store raise.
    """
    settings = attempt.platform.settings
    tar = _fetched(attempt, dataset, out.with_suffix(".tar"))
    spec = IndexSpec(
        out=out, tar=tar, processes=settings.prepare_processes, memory_bytes=settings.operation_memory_bytes
    )
    done = in_child(attempt, spec, IndexedSet)
    tar.unlink()
    index = out / INDEX_FILE
    key = image_index_key(dataset.layout_version, dataset.fingerprint, f"{attempt.claim.id}-{attempt.claim.attempt}")
    stored = attempt.lease.run_in_thread(
        lambda: attempt.platform.store.take(key, index, media_type="application/vnd.sqlite3")
    )
    paths = read_paths(index)
    for job_id in jobs_of_set(attempt.db, dataset.fingerprint):
        attempt.lease.raise_if_stopped()
        name_images_of_findings(attempt.db, job_id, paths)
    return MadeIndex(stored, index, done.images)


def fetch_index(attempt: Attempt[OperationRow], dataset: DatasetRow) -> Path | None:
    """The image index of a set, made where there is none yet. None where neither works: then what is known without it
    is said to be not known."""
    target = attempt.scratch / f"index-{dataset.fingerprint}"
    try:
        if dataset.index_key is not None:
            attempt.lease.run_in_thread(partial(attempt.platform.store.fetch, dataset.index_key, target))
            return target
        attempt.report_surely(stage=INDEXING, progress=None)
        made = make_index(attempt, dataset, target)
        attempt.lease.retry_until_lost(lambda: name_index(attempt.db, dataset.fingerprint, made.stored))
        return made.path
    except (ObjectMissing, ObjectCorrupt, OperationFailed) as error:
        attempt.log.warning("index.unknown", fingerprint=dataset.fingerprint, error=str(error))
        return None


def _fetched(attempt: Attempt[OperationRow], dataset: DatasetRow, target: Path) -> Path:
    reserve = attempt.platform.settings.disk_reserve_bytes // 2
    require_free(attempt.scratch, dataset.bytes, reserve_bytes=reserve)
    try:
        stored = attempt.lease.run_in_thread(lambda: attempt.platform.store.lend(dataset.key, target))
    except (ObjectMissing, ObjectCorrupt) as error:
        detail = "The prepared dataset is missing or damaged in the object store."
        raise OperationFailed(detail, key=dataset.key) from error
    if stored.sha256 != dataset.sha256:
        raise OperationFailed("The stored dataset is not the one that was prepared.", key=dataset.key)
    return target
