"""The source ZIP of a job, as a local file: fetched, or made first from another job's ZIP, or imported."""

from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

from core.db.tables import JobRow
from core.domain.errors import Gone, JobNotFound, PreparationFailed
from core.domain.keys import repaired_key
from core.services.jobs.commands import get_job
from core.storage import ObjectCorrupt, ObjectMissing
from core.storage.free_space import require_free
from pipeline.params.prepare import PrepareOptions
from pipeline.process.results import REPAIRED_FILE, RepairedArchive
from pipeline.process.specs import RepairSpec
from worker.tasks.attempt import Attempt
from worker.tasks.hub_import import import_source
from worker.tasks.origin_import import import_from_origin
from worker.tasks.run_command import in_child
from worker.tasks.store_source import SOURCE_FILE, store_source


def source_of(attempt: Attempt[JobRow], job: JobRow) -> tuple[JobRow, Path] | None:
    """The job, which now names its source, and the ZIP. None: the job has been rejected or given back.

    Raises PreparationFailed, and what `import_source` and `import_from_origin` raise.
    """
    if job.source_key is None and (make := _maker_of(job)):
        made = make(attempt, job)
        if made is None:
            return None
        return made, attempt.scratch / SOURCE_FILE
    return job, _fetch_source(attempt, job)


def _maker_of(job: JobRow) -> Callable[[Attempt[JobRow], JobRow], JobRow | None] | None:
    if job.repair_of:
        return _repair_source
    if job.imported_from:
        return import_from_origin
    return import_source if job.huggingface else None


def _fetch_source(attempt: Attempt[JobRow], job: JobRow) -> Path:
    archive, key = attempt.scratch / SOURCE_FILE, job.source_key
    if key is None:
        raise PreparationFailed("The uploaded ZIP is no longer stored.")
    require_free(attempt.scratch, job.source_bytes, reserve_bytes=attempt.platform.settings.disk_reserve_bytes // 2)
    try:
        stored = attempt.lease.run_in_thread(partial(attempt.platform.store.lend, key, archive))
    except ObjectMissing as error:
        raise PreparationFailed("The uploaded ZIP is missing from the object store.", key=key) from error
    except ObjectCorrupt as error:
        raise PreparationFailed("The uploaded ZIP is damaged in the object store.", key=key) from error
    if stored.sha256 != job.source_sha256:
        raise PreparationFailed("The stored ZIP is not the one that was uploaded.", key=key)
    return archive


def _repair_source(attempt: Attempt[JobRow], job: JobRow) -> JobRow | None:
    """Make the repaired ZIP, store it, and name it in the row."""
    archive = _fetch_source(attempt, _broken_job(attempt, job))
    settings, options = attempt.platform.settings, PrepareOptions.model_validate(job.options)
    spec = RepairSpec(
        archive=archive,
        out=attempt.scratch / "repair",
        background=options.background,
        split=options.split,
        processes=settings.prepare_processes,
        memory_bytes=settings.prepare_memory_bytes,
    )
    repaired = in_child(attempt, spec, RepairedArchive)
    archive.unlink()
    if repaired is None:
        return None
    # The key is of this attempt: another version of a library may have packed an earlier attempt's ZIP differently.
    key = repaired_key(attempt.claim.id, attempt.claim.attempt)
    name = f"{PurePosixPath(job.source_name).stem}-repaired.zip"
    return store_source(attempt, spec.out / REPAIRED_FILE, key=key, name=name)


def _broken_job(attempt: Attempt[JobRow], job: JobRow) -> JobRow:
    try:
        return get_job(attempt.db, str(job.repair_of))
    except (JobNotFound, Gone) as error:
        raise PreparationFailed("The job whose upload was to be repaired is deleted.") from error
