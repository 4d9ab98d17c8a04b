"""The source of a job that needs nothing from outside: the ZIP of another dataset, or a sample, which is drawn."""

from functools import partial

from core.db.tables import JobRow
from core.domain.errors import Gone, ImportUnusable, JobNotFound, PreparationFailed
from core.domain.keys import imported_key
from core.services.jobs.commands import get_job
from core.storage import ObjectCorrupt, ObjectMissing
from core.storage.free_space import require_free
from pipeline.params.import_origin import ImportOrigin
from pipeline.process.results import ImportedArchive
from pipeline.process.specs import SAMPLE_FILE, SampleSpec
from worker.tasks.attempt import Attempt
from worker.tasks.run_command import in_child
from worker.tasks.store_source import store_source


def copy_source(attempt: Attempt[JobRow], job: JobRow, origin: ImportOrigin) -> JobRow:
    """A job owns its ZIP: deleting one dataset leaves the other as it is.

    Raises ImportUnusable where the ZIP is gone, PreparationFailed where it is damaged, OutOfSpace.
    """
    found = _job_of(attempt, origin)
    target = attempt.scratch / "copy.zip"
    reserve_bytes = attempt.platform.settings.disk_reserve_bytes // 2
    require_free(attempt.scratch, found.source_bytes, reserve_bytes=reserve_bytes)
    try:
        stored = attempt.lease.run_in_thread(partial(attempt.platform.store.lend, str(found.source_key), target))
    except ObjectMissing as error:
        raise ImportUnusable("The ZIP of that dataset is not stored any more.", reason="deleted") from error
    except ObjectCorrupt as error:
        raise PreparationFailed("The ZIP of that dataset is damaged in the object store.") from error
    if stored.sha256 != job.source_sha256:
        raise PreparationFailed("The stored ZIP is not the one that was uploaded.")
    return store_source(attempt, target, key=_key(attempt), name=job.source_name)


def draw_sample(attempt: Attempt[JobRow], job: JobRow) -> JobRow | None:
    """None: it was killed; the row has moved on. Raises PreparationFailed, OutOfSpace."""
    spec = SampleSpec(out=attempt.scratch / "sample", memory_bytes=attempt.platform.settings.prepare_memory_bytes)
    if in_child(attempt, spec, ImportedArchive) is None:
        return None
    return store_source(attempt, spec.out / SAMPLE_FILE, key=_key(attempt), name=job.source_name)


def _key(attempt: Attempt[JobRow]) -> str:
    return imported_key(attempt.claim.id, attempt.claim.attempt)


def _job_of(attempt: Attempt[JobRow], origin: ImportOrigin) -> JobRow:
    try:
        found = get_job(attempt.db, origin.location)
    except (JobNotFound, Gone) as error:
        raise ImportUnusable("The dataset whose ZIP was to be prepared again is deleted.", reason="deleted") from error
    if found.source_key is None:
        raise ImportUnusable("The ZIP of that dataset is not stored any more.", reason="deleted")
    return found
