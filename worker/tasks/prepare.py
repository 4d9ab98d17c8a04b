"""A prepare task: claim -> source -> supervise -> put -> complete | reject | fail | give back."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from core import clock
from core.db.tables import JobRow
from core.domain.errors import DarkroomError, DatasetRejected, Internal, NoSpace, OutOfSpace, StoreRefused, Unavailable
from core.domain.keys import metadata_key
from core.services.jobs.lifecycle import (
    complete_job,
    live_fingerprints,
)
from core.services.work.endings import fail_attempt, give_back_attempt, refuse_attempt
from core.services.work.leases import Claim, ClaimLost, claim_row, poll_claim, renew_lease, report_progress
from pipeline.params.prepare import PrepareOptions
from pipeline.process.disk_full import is_full_disk
from worker.context import Worker
from worker.inputs.scratch import fresh_folder, scratch_name, scratch_root
from worker.supervision.lease_keeper import CancelRequested, DrainRequested, LeaseKeeper
from worker.supervision.run_command import in_child, nothing_seen, outcome_of, reject, rejection_in
from worker.tasks.source_zip import source_of
from worker.tasks.store_prepared import put_gallery, put_set, wait_until_deleted

DELETING_SECONDS = 30.0  # a set being deleted is one object and two statements

log = structlog.get_logger(__name__)


def prepare_job(worker: Worker, job_id: str) -> None:
    """Prepare one upload, if it is still waiting. How it ends is on the row. Raises Unavailable (the database)."""
    settings, db = worker.platform.settings, worker.platform.db
    claimed = claim_row(db, JobRow, job_id, worker.name, lease_seconds=settings.lease_seconds)
    if claimed is None:
        return
    claim, job = claimed
    log.info("job.claimed", job_id=job_id, attempt=claim.attempt)
    lease = LeaseKeeper(
        lambda _worked: renew_lease(db, JobRow, claim, lease_seconds=settings.lease_seconds),
        lambda: poll_claim(db, JobRow, claim),
        worker.draining,
        lease_seconds=settings.lease_seconds,
        heartbeat_seconds=settings.heartbeat_seconds,
    )
    with lease, ExitStack() as folders:  # the end is written before the folder is removed
        try:
            scratch = folders.enter_context(fresh_folder(scratch_root(settings), scratch_name(claim)))
            _prepare(worker, lease, claim, job, scratch)
        except ClaimLost:
            log.warning("job.lost", job_id=job_id, attempt=claim.attempt)  # deleted, or another worker has it
        except (DrainRequested, CancelRequested):
            _give_back(worker, claim, later=False)
        except StoreRefused as error:
            _refused(worker, lease, claim, error)
        except Unavailable as error:
            log.warning("job.given_back", job_id=job_id, reason=error.detail)
            _give_back(worker, claim, later=True)
        except DatasetRejected as error:
            _reject(worker, lease, claim, error)
        except OutOfSpace as error:
            _fail(worker, lease, claim, NoSpace(error.detail, **error.facts))
        except DarkroomError as error:
            _fail(worker, lease, claim, error)
        except Exception as error:
            log.exception("job.unforeseen", job_id=job_id)
            _fail(worker, lease, claim, NoSpace("The worker's disk is full.") if is_full_disk(error) else Internal())


def _prepare(worker: Worker, lease: LeaseKeeper, claim: Claim, job: JobRow, scratch: Path) -> None:
    source = source_of(worker, lease, claim, job, scratch)
    if source is None:
        return
    job, archive = source
    out = scratch / "out"
    spec = _spec(job, archive, out, worker.platform.settings.prepare_processes)
    result = in_child(worker, lease, claim, "prepare", out, spec | {"live_sets": live_fingerprints(worker.platform.db)})
    if result is None:
        return
    if result["outcome"] == "ready":
        _complete(worker, lease, claim, out, result)
    else:
        reject(worker, lease, claim, rejection_in(result), outcome_of(out, result))


def _options(job: JobRow) -> dict[str, Any]:
    """All of them, checked: the child takes them as they are."""
    return PrepareOptions.model_validate(job.options).model_dump()


def _spec(job: JobRow, archive: Path, out: Path, processes: int) -> dict[str, Any]:
    source: dict[str, Any] = {"name": job.source_name, "bytes": job.source_bytes, "sha256": job.source_sha256}
    if job.huggingface:
        source["huggingface"] = job.huggingface
    return {
        "archive": str(archive),
        "out": str(out),
        "job_id": job.id,
        "source": source,
        "options": _options(job),
        "processes": processes,
        "repaired": job.repair_of is not None,
        "tree": False,
    }


def _complete(worker: Worker, lease: LeaseKeeper, claim: Claim, out: Path, result: Mapping[str, Any]) -> None:
    db, store = worker.platform.db, worker.platform.store
    lease.retry_until_lost(lambda: report_progress(db, JobRow, claim, stage="storing", progress=None))
    key = metadata_key(claim.id, claim.attempt)
    metadata = lease.run_in_thread(lambda: store.put(key, out / "dataset_metadata.json", media_type="application/json"))
    put_gallery(worker, lease, claim, out, result.get("gallery") or {})
    outcome = outcome_of(out, result)
    commit = partial(
        complete_job,
        db,
        claim,
        outcome,
        content_fingerprint=result["content_fingerprint"],
        metadata_key=metadata.key,
        metadata_sha256=metadata.sha256,
        is_stored=lambda set_key: store.head(set_key) is not None,
    )
    ends = clock.monotonic() + DELETING_SECONDS
    while True:
        prepared = put_set(worker, lease, out, result)
        if lease.retry_until_lost(partial(commit, prepared=prepared)) is not None:
            reused = result["tar"] is None
            log.info("job.ready", job_id=claim.id, fingerprint=prepared.fingerprint, reused=reused)
            return
        if not wait_until_deleted(worker, lease, prepared.fingerprint, ends=ends):
            raise Unavailable("The same prepared dataset is just being deleted.")


def _reject(worker: Worker, lease: LeaseKeeper, claim: Claim, error: DatasetRejected) -> None:
    """Before anything was seen of the images: what was to be imported is not there or cannot be read."""
    try:
        reject(worker, lease, claim, error, nothing_seen())
    except ClaimLost:
        log.warning("job.lost", job_id=claim.id)


def _fail(worker: Worker, lease: LeaseKeeper, claim: Claim, error: DarkroomError) -> None:
    try:
        lease.retry_until_lost(lambda: fail_attempt(worker.platform.db, JobRow, claim, error))
        log.warning("job.failed", job_id=claim.id, slug=error.slug, detail=error.detail)
    except ClaimLost:
        log.warning("job.lost", job_id=claim.id)


def _refused(worker: Worker, lease: LeaseKeeper, claim: Claim, error: StoreRefused) -> None:
    try:
        row = lease.retry_until_lost(lambda: refuse_attempt(worker.platform.db, JobRow, claim, error))
        log.warning("job.refused", job_id=claim.id, state=row.state, cause=error.facts.get("cause"))
    except ClaimLost:
        log.warning("job.lost", job_id=claim.id)


def _give_back(worker: Worker, claim: Claim, *, later: bool) -> None:
    try:
        give_back_attempt(worker.platform.db, JobRow, claim, later=later)
    except (ClaimLost, Unavailable):
        log.warning("job.lost", job_id=claim.id)  # its lease runs out, and the sweep gives it back
