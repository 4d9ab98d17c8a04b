"""An extension: the dataset that it extends, and what is added -> one ZIP, the source of the job, and its preparation.

fetch -> write and prepare (in a child process) -> store. What the earlier dataset knows of its images is not found out
again.
"""

from functools import partial
from pathlib import Path
from typing import Literal, cast

from core.db.tables import DatasetRow, JobRow
from core.domain.errors import Gone, JobNotExtendable, JobNotFound, PreparationFailed, Unavailable
from core.domain.keys import extended_key, samples_key
from core.services.jobs.commands import WRITTEN
from core.services.jobs.extension import (
    StoredInput,
    inputs_of,
    prepared_parent,
    revision_file_name,
    unneeded_inputs,
)
from core.storage import ObjectCorrupt, ObjectMissing
from core.storage.free_space import require_free
from pipeline.params.prepare import PrepareOptions
from pipeline.process.results import EXTENDED_FILE, ExtendedArchive
from pipeline.process.specs import ExtendSpec, PrepareSpec
from worker.tasks.attempt import Attempt
from worker.tasks.run_command import in_child
from worker.tasks.store_source import store_source

_INDEX = "parent.sqlite"
_SAMPLES = "parent-samples.tar"
_OUT = "extend"  # the child's folder


def extended_file(attempt: Attempt[JobRow]) -> Path:
    """Where the ZIP is written."""
    return attempt.scratch / _OUT / EXTENDED_FILE


def extend_source(attempt: Attempt[JobRow], job: JobRow, prepare: PrepareSpec) -> JobRow | None:
    """The job, which now names the ZIP; that is prepared as `prepare` says, whose result is not looked at here. None:
    the job has been rejected or given back. Raises PreparationFailed."""
    try:
        parent, dataset = prepared_parent(attempt.db, str(job.parent_job_id))
    except (JobNotFound, Gone, JobNotExtendable) as error:
        raise PreparationFailed(f"The dataset that is extended cannot be read any more: {error.detail}") from error
    additions, changes = inputs_of(job)
    spec = ExtendSpec(
        out=attempt.scratch / _OUT,
        parent=_fetch(attempt, _source_of(parent), "parent.zip"),
        verified=True,  # by `_fetch`
        index=_fetch_index(attempt, dataset),
        kind=cast(Literal["detection", "classification"], parent.kind),
        classes=parent.classes or [],
        additions=additions and _fetch(attempt, additions, "additions.zip"),
        changes=changes and _fetch(attempt, changes, "changes.json"),
        options=PrepareOptions.model_validate(job.options),
        fractions=(job.extension or {}).get("fractions"),
        processes=attempt.platform.settings.prepare_processes,
        memory_bytes=attempt.platform.settings.prepare_memory_bytes,
        prepare=prepare,
    )
    extended = in_child(attempt, spec, ExtendedArchive)
    for fetched in (spec.parent, spec.additions, spec.changes):
        if fetched is not None:
            fetched.unlink()
    if extended is None:
        _delete_inputs(attempt)
        return None
    key = extended_key(attempt.claim.id, attempt.claim.attempt)
    written = {**(job.extension or {}), WRITTEN: True}
    name = revision_file_name(job)
    stored = store_source(attempt, prepare.archive, key=key, name=name, extension=written)
    _delete_inputs(attempt)
    return stored


def known_images(attempt: Attempt[JobRow], job: JobRow) -> Path | None:
    """The image index of the dataset that the job extends; None where there is none any more: all are decoded then."""
    if not job.extension:
        return None
    try:
        _, dataset = prepared_parent(attempt.db, str(job.parent_job_id))
        return _fetch_index(attempt, dataset)
    except (JobNotFound, Gone, JobNotExtendable, PreparationFailed):
        return None


def known_samples(attempt: Attempt[JobRow], job: JobRow) -> Path | None:
    """The thumbnails of the dataset that the job extends; None where there are none: all are drawn then."""
    if not job.extension:
        return None
    try:
        parent, _ = prepared_parent(attempt.db, str(job.parent_job_id))
        return _fetch_object(attempt, samples_key(parent.id, parent.attempt), 0, _SAMPLES)[0]
    except (JobNotFound, Gone, JobNotExtendable, PreparationFailed):
        return None


def _delete_inputs(attempt: Attempt[JobRow]) -> None:
    """The objects that it was made of, where no row names them any more: its ZIP is stored, or it is rejected."""
    try:
        for key in unneeded_inputs(attempt.db, attempt.claim.id):
            attempt.platform.store.delete_prefix(key)
    except Unavailable as error:  # the sweep of orphans deletes them
        attempt.log.warning("extension.inputs.left", error=error.detail)


def _source_of(parent: JobRow) -> StoredInput:
    return StoredInput(str(parent.source_key), parent.source_name, parent.source_bytes, parent.source_sha256)


def _fetch_index(attempt: Attempt[JobRow], dataset: DatasetRow) -> Path:
    """Raises PreparationFailed."""
    if dataset.index_key is None:
        raise PreparationFailed("The dataset that is extended has no image index any more.")
    if (fetched := attempt.scratch / _INDEX).exists():
        return fetched
    return _fetch_object(attempt, dataset.index_key, dataset.index_bytes or 0, _INDEX)[0]


def _fetch(attempt: Attempt[JobRow], stored: StoredInput, name: str) -> Path:
    """Raises PreparationFailed."""
    target, sha256 = _fetch_object(attempt, stored.key, stored.bytes, name)
    if sha256 != stored.sha256:
        raise PreparationFailed(f"The stored object {stored.name} is not the one that was sent.", key=stored.key)
    return target


def _fetch_object(attempt: Attempt[JobRow], key: str, size: int, name: str) -> tuple[Path, str]:
    target = attempt.scratch / name
    require_free(attempt.scratch, size, reserve_bytes=attempt.platform.settings.disk_reserve_bytes // 2)
    store = attempt.platform.store
    receive = store.fetch if name == _INDEX else store.lend  # SQLite may write to what it opens
    try:
        stored = attempt.lease.run_in_thread(partial(receive, key, target))
    except ObjectMissing as error:
        raise PreparationFailed("What the dataset is made of is missing from the object store.", key=key) from error
    except ObjectCorrupt as error:
        raise PreparationFailed("What the dataset is made of is damaged in the object store.", key=key) from error
    return target, stored.sha256
