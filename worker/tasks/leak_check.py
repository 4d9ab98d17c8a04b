"""A run, and a test set that was frozen after the API had compared them: before the training, and before publishing."""

from datetime import timedelta
from functools import partial

from core.db.tables import DatasetRow, RunRow, TestSetRow
from core.domain.errors import TrainingFailed, TrainsOnTestSet
from core.services.models.training_sets import training_sets
from core.services.runs.lifecycle import CheckedLeak
from core.storage import ObjectCorrupt, ObjectMissing
from pipeline.dataset.frozen_images import read_frozen_images
from pipeline.index.leaks import LeakedImage, find_leaks, leak_of, refusal_of
from worker.tasks.attempt import Attempt

MARGIN = timedelta(minutes=1)  # the check of the API and the row that it lets in are two transactions


def refuse_leak(attempt: Attempt[RunRow], run: RunRow) -> None:
    """Raises TrainsOnTestSet where a test set that was frozen since has images of train or val, unless leaks are
    allowed; and as `check_leak`."""
    leak = check_leak(attempt, run).leak
    if leak and run.leak is None:
        raise TrainsOnTestSet(refusal_of(leak), job_id=run.job_id, **leak)


def check_leak(attempt: Attempt[RunRow], run: RunRow) -> CheckedLeak:
    """Against the test set that is frozen now. Raises TrainingFailed where its list is lost, JobNotFound, Gone."""
    sets = training_sets(attempt.db, run.job_id, str(run.params.get("model", "")))
    if sets is None:
        return CheckedLeak(None, None)
    frozen = sets.frozen
    known = run.leak["generation"] if run.leak else None
    if known == frozen.generation or frozen.created_at < run.created_at - MARGIN:
        return CheckedLeak(frozen.generation, None)  # as the API compared them
    found = [(each.name, leaked) for each in sets.sets for leaked in _leaks(attempt, each.dataset, frozen)]
    return CheckedLeak(frozen.generation, leak_of(found, frozen.generation))


def _leaks(attempt: Attempt[RunRow], dataset: DatasetRow, frozen: TestSetRow) -> list[LeakedImage]:
    if dataset.index_key is None:
        attempt.log.warning("leak.unknown", fingerprint=dataset.fingerprint, reason="the set has no image index")
        return []
    index, listed = attempt.scratch / f"index-{dataset.fingerprint}", attempt.scratch / f"frozen-{frozen.sha256}.json"
    store = attempt.platform.store
    try:
        for key, path in ((dataset.index_key, index), (frozen.key, listed)):
            if not path.exists():
                attempt.lease.run_in_thread(partial(store.fetch, key, path))
    except (ObjectMissing, ObjectCorrupt) as error:
        detail = "The list of the frozen test images or an image index is missing or damaged in the object store."
        raise TrainingFailed(detail, fingerprint=dataset.fingerprint, generation=frozen.generation) from error
    return attempt.lease.run_in_thread(lambda: find_leaks(index, read_frozen_images(listed)))
