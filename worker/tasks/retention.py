"""Deleting what nothing needs any more: objects, rows, folders. Each step can be cut short and is done again."""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice

import structlog

from core import clock
from core.domain.errors import UploadNotFound
from core.domain.keys import job_prefixes, run_prefix
from core.services.context import Platform
from core.services.idempotency import delete_expired_keys
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
from core.services.uploads.finish import discard_upload
from core.services.uploads.sessions import expired_uploads
from core.services.work.locks import take_lock
from worker.context import Worker
from worker.inputs.scratch import remove_dead_scratch

GARBAGE_EVERY_SECONDS = 3600.0  # it lists the whole store
WORKER_UNSEEN_SECONDS = 3600.0
_OURS = ("uploads/", "jobs/", "runs/", "datasets/", "probe/")
_AT_ONCE = 500  # SQLite takes 32,766 parameters; a page of S3's list has 1,000
_SET = re.compile(r"datasets/(\d+)/([0-9a-f]{64})\.tar")

log = structlog.get_logger(__name__)


def clean(worker: Worker) -> None:
    """One round; the garbage only once an hour, whoever keeps house."""
    platform = worker.platform
    purge_deleted_jobs(platform)
    delete_unused_sets(platform)
    delete_old_sources(platform)
    delete_old_checkpoints(platform)
    delete_expired_uploads(platform)
    delete_expired_keys(platform.db)
    forget_workers(platform.db, unseen_seconds=WORKER_UNSEEN_SECONDS)
    remove_dead_scratch(platform)
    # A holder of its own each time: the lock is an alarm clock that lets one through an hour.
    if take_lock(platform.db, "garbage", f"{worker.name} {clock.now_ms()}", seconds=GARBAGE_EVERY_SECONDS):
        delete_garbage(platform)


def purge_deleted_jobs(platform: Platform) -> None:
    for job_id, run_ids in jobs_to_purge(platform.db):
        for prefix in (*job_prefixes(job_id), *(f"runs/{run_id}/" for run_id in run_ids)):
            platform.store.delete_prefix(prefix)
        note_job_purged(platform.db, job_id)
        log.info("job.purged", job_id=job_id)


def delete_unused_sets(platform: Platform) -> None:
    for row in unused_sets(platform.db):
        if begin_deleting_set(platform.db, row.fingerprint):
            _delete_set(platform, row.fingerprint, row.key)


def delete_old_sources(platform: Platform) -> None:
    for key in forget_old_sources(platform.db, before=_ago(days=platform.settings.keep_source_days)):
        platform.store.delete_prefix(key)
        log.info("source.deleted", key=key)


def delete_old_checkpoints(platform: Platform) -> None:
    before = _ago(days=platform.settings.keep_checkpoint_days)
    for run_id, attempts in forget_old_checkpoints(platform.db, before=before):
        for attempt in range(1, attempts + 1):
            platform.store.delete_prefix(f"{run_prefix(run_id, attempt)}checkpoints/")


def delete_expired_uploads(platform: Platform) -> None:
    for upload_id in expired_uploads(platform.db):
        with suppress(UploadNotFound):  # its owner was faster
            discard_upload(platform, upload_id)
            log.info("upload.expired", upload_id=upload_id)


def delete_garbage(platform: Platform) -> list[str]:
    """Delete objects that no row names, old enough that no row is just about to. Returns their keys."""
    before = _ago(hours=platform.settings.garbage_hours)
    deleted: list[str] = []
    for prefix in _OURS:
        old = (key for key, at in platform.store.list_prefix(prefix) if at <= before)
        for keys in _batches(old):
            deleted += [key for key in _unnamed(platform, keys) if _delete_garbage(platform, key)]
    return deleted


def _unnamed(platform: Platform, keys: list[str]) -> list[str]:
    named = named_keys(platform.db, keys)
    active = active_ids(platform.db, {_owner(key) for key in keys})
    return [key for key in keys if key not in named and _owner(key) not in active]


def _delete_garbage(platform: Platform, key: str) -> bool:
    prepared = _SET.fullmatch(key)
    if prepared is None:
        platform.store.delete_prefix(key)
    elif claim_orphaned_set(platform.db, int(prepared[1]), prepared[2]):
        _delete_set(platform, prepared[2], key)
    else:
        return False
    log.info("garbage.deleted", key=key)
    return True


def _delete_set(platform: Platform, fingerprint: str, key: str) -> None:
    platform.store.delete_prefix(key)
    finish_deleting_set(platform.db, fingerprint)
    log.info("dataset.deleted", fingerprint=fingerprint)


def _owner(key: str) -> str:
    """The id of the job or run in a key."""
    return key.split("/", 2)[1]


def _ago(*, days: float = 0.0, hours: float = 0.0) -> datetime:
    return clock.now() - timedelta(days=days, hours=hours)


def _batches(keys: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(keys, _AT_ONCE)):
        yield batch
