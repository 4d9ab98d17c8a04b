"""Deletes objects, rows and folders that are no longer needed. A step that is interrupted is repeated next round."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice

import structlog

from core import clock
from core.domain.errors import UploadNotFound
from core.domain.keys import (
    DATASETS,
    ROOTS,
    beside_dataset,
    dataset_of,
    imported_prefix,
    job_prefixes,
    operation_prefix,
    owner_of,
    run_prefix,
    thumbnail_of,
)
from core.domain.retention import FreeableKind
from core.services.context import Platform
from core.services.idempotency import delete_expired_keys
from core.services.maintenance.derived_objects import derived_to_purge, note_derived_purged
from core.services.maintenance.ended_operations import (
    condense_operation,
    forget_operation_objects,
    operations_to_condense,
)
from core.services.maintenance.erasure import (
    erase_job,
    erase_project,
    erase_version,
    imports_of,
    jobs_to_erase,
    projects_to_erase,
    versions_to_purge,
)
from core.services.maintenance.project_retention import deadlines, free_by_retention, own_retentions
from core.services.maintenance.retention import (
    active_ids,
    begin_deleting_set,
    claim_orphaned_set,
    finish_deleting_set,
    forget_old_checkpoints,
    forget_old_sources,
    forget_workers,
    jobs_to_purge,
    named_keys,
    note_job_purged,
    unused_sets,
)
from core.services.projects.names import log_names
from core.services.sessions.commands import delete_expired_sessions
from core.services.storage.purge import interrupted_purges, note_objects_deleted
from core.services.uploads.finish import discard_upload
from core.services.uploads.sessions import expired_uploads
from core.services.work.locks import take_lock
from worker.context import Worker
from worker.inputs.scratch import remove_dead_scratch

ORPHANS_EVERY_SECONDS = 3600.0  # it lists the whole store
WORKER_UNSEEN_SECONDS = 3600.0
_AT_ONCE = 500  # SQLite takes 32,766 parameters; a page of S3's list has 1,000

log = structlog.get_logger(__name__)


def clean(worker: Worker) -> None:
    """One round; the orphaned objects only once an hour, by whichever housekeeper comes first."""
    platform = worker.platform
    purge_deleted_jobs(platform)
    free_by_retention(platform.db, own_retentions(platform.db))
    purge_derived(platform)
    purge_versions(platform)
    erase_deleted_jobs(platform)
    delete_unused_sets(platform)
    delete_old_sources(platform)
    delete_old_checkpoints(platform)
    finish_purges(platform)
    forget_ended_operations(platform)
    delete_expired_uploads(platform)
    delete_expired_keys(platform.db)
    delete_expired_sessions(platform.db)
    forget_workers(platform.db, unseen_seconds=WORKER_UNSEEN_SECONDS)
    remove_dead_scratch(platform)
    platform.db.keep_reserve()
    # Another holder each time: so the lock is taken once an hour.
    if take_lock(platform.db, "orphans", f"{worker.name} {clock.now_ms()}", seconds=ORPHANS_EVERY_SECONDS):
        delete_old_thumbnails(platform)
        delete_orphans(platform)


def purge_deleted_jobs(platform: Platform) -> None:
    for job_id, run_ids in jobs_to_purge(platform.db):
        for prefix in (*job_prefixes(job_id), *(run_prefix(run_id) for run_id in run_ids)):
            platform.store.delete_prefix(prefix)
        note_job_purged(platform.db, job_id)
        log.info("job.purged", job_id=job_id, **log_names(platform.db, job_id))


def purge_derived(platform: Platform) -> None:
    """Deleted exports, evaluations, bundles and batch predictions."""
    for deleted in derived_to_purge(platform.db):
        platform.store.delete_prefix(deleted.prefix)
        note_derived_purged(platform.db, deleted)
        log.info("derived.purged", prefix=deleted.prefix)


def purge_versions(platform: Platform) -> None:
    """Objects and artifacts of deleted versions."""
    for version_id, prefix in versions_to_purge(platform.db):
        platform.store.delete_prefix(prefix)
        erase_version(platform.db, version_id)
        log.info("version.purged", **log_names(platform.db, version_id))


def erase_deleted_jobs(platform: Platform) -> None:
    for job_id in jobs_to_erase(platform.db):
        erase_job(platform.db, job_id)
        log.info("job.erased", job_id=job_id, **log_names(platform.db, job_id))
    for project_id in projects_to_erase(platform.db):
        for version_id, operation_id in imports_of(platform.db, project_id):
            platform.store.delete_prefix(imported_prefix(operation_id))
            erase_version(platform.db, version_id)
        erase_project(platform.db, project_id)
        log.info("project.erased", project_id=project_id)


def delete_unused_sets(platform: Platform) -> None:
    for row in unused_sets(platform.db):
        if begin_deleting_set(platform.db, row.fingerprint):
            _delete_set(platform, row.layout_version, row.fingerprint, row.key)


def delete_old_sources(platform: Platform) -> None:
    own, days = own_retentions(platform.db), platform.settings.keep_source_days
    for each in deadlines(FreeableKind.SOURCES, own, installation_days=days):
        for key in forget_old_sources(platform.db, before=each.before, which=each.which):
            platform.store.delete_prefix(key)
            log.info("source.deleted", key=key)


def delete_old_checkpoints(platform: Platform) -> None:
    own, days = own_retentions(platform.db), platform.settings.keep_checkpoint_days
    for each in deadlines(FreeableKind.CHECKPOINTS, own, installation_days=days):
        for prefix in forget_old_checkpoints(platform.db, before=each.before, which=each.which):
            platform.store.delete_prefix(prefix)


def finish_purges(platform: Platform) -> None:
    """The objects that a purge left which was cancelled or failed, after it had freed their rows."""
    for operation_id, prefixes in interrupted_purges(platform.db):
        for prefix in prefixes:
            platform.store.delete_prefix(prefix)
        note_objects_deleted(platform.db, operation_id)
        log.info("purge.finished", operation_id=operation_id, prefixes=len(prefixes))


def forget_ended_operations(platform: Platform) -> None:
    before = _ago(days=platform.settings.keep_operation_days)
    for operation_id in forget_operation_objects(platform.db, failed_before=before):
        platform.store.delete_prefix(operation_prefix(operation_id))
    for operation_id in operations_to_condense(platform.db, before=before):
        condense_operation(platform.db, operation_id)
        log.info("operation.condensed", operation_id=operation_id)


def delete_expired_uploads(platform: Platform) -> None:
    for upload_id in expired_uploads(platform.db):
        with suppress(UploadNotFound):  # its owner was faster
            discard_upload(platform, upload_id)
            log.info("upload.expired", upload_id=upload_id)


def delete_old_thumbnails(platform: Platform) -> None:
    """They are made again when they are asked for."""
    before = _ago(days=platform.settings.keep_thumbnail_days)
    for key, at in platform.store.list_prefix(DATASETS):
        if at <= before and thumbnail_of(key):
            platform.store.delete_prefix(key)


def delete_orphans(platform: Platform) -> list[str]:
    """Delete objects that no row names and that are old enough that no row is about to. Returns their keys."""
    before = _ago(hours=platform.settings.orphan_hours)
    deleted: list[str] = []
    for prefix in ROOTS:
        old = (key for key, at in platform.store.list_prefix(prefix) if at <= before)
        for keys in _batches(old):
            deleted += [key for key in _unnamed(platform, keys) if _delete_orphan(platform, key)]
    return deleted


def _unnamed(platform: Platform, keys: list[str]) -> list[str]:
    named = named_keys(platform.db, keys)
    active = active_ids(platform.db, {owner_of(key) for key in keys})
    return [key for key in keys if key not in named and owner_of(key) not in active]


def _delete_orphan(platform: Platform, key: str) -> bool:
    prepared = dataset_of(key)
    if prepared is None:
        platform.store.delete_prefix(key)
    elif claim_orphaned_set(platform.db, *prepared):
        _delete_set(platform, *prepared, key)
    else:
        return False
    log.info("orphan.deleted", key=key)
    return True


def _delete_set(platform: Platform, layout_version: int, fingerprint: str, key: str) -> None:
    platform.store.delete_prefix(beside_dataset(layout_version, fingerprint))
    platform.store.delete_prefix(key)
    finish_deleting_set(platform.db, fingerprint)
    log.info("dataset.deleted", fingerprint=fingerprint)


def _ago(*, days: float = 0.0, hours: float = 0.0) -> datetime:
    return clock.now() - timedelta(days=days, hours=hours)


def _batches(keys: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(keys, _AT_ONCE)):
        yield batch
