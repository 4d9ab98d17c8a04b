"""The ZIP that a job is made of, as a local file: fetched, or made first from another job's or from the hub's files."""

from pathlib import Path, PurePosixPath

from core.db.tables import JobRow
from core.domain.errors import Gone, JobNotFound, PreparationFailed
from core.domain.keys import repaired_key
from core.services.jobs.commands import get_job
from core.services.work.leases import Claim
from core.storage import ObjectCorrupt, ObjectMissing
from worker.context import Worker
from worker.supervision.lease_keeper import LeaseKeeper
from worker.supervision.run_command import in_child, outcome_of, reject, rejection_in
from worker.tasks.hub_import import import_source
from worker.tasks.store_source import keep_made


def source_of(
    worker: Worker, lease: LeaseKeeper, claim: Claim, job: JobRow, scratch: Path
) -> tuple[JobRow, Path] | None:
    """The job, which names its source from here on, and the ZIP. None: this attempt has ended otherwise."""
    if job.source_key is None and (job.repair_of or job.huggingface):
        make = _repair_source if job.repair_of else import_source
        made = make(worker, lease, claim, job, scratch)
        if made is None:
            return None
        job = made
    return job, fetch_source(worker, lease, job, scratch)


def fetch_source(worker: Worker, lease: LeaseKeeper, job: JobRow, scratch: Path) -> Path:
    archive, store = scratch / "source.zip", worker.platform.store
    if job.source_key is None:
        raise PreparationFailed("The uploaded ZIP is no longer kept.")
    key = job.source_key
    try:
        stored = lease.run_in_thread(lambda: store.fetch(key, archive))
    except ObjectMissing as error:
        raise PreparationFailed("The uploaded ZIP is missing from the object store.", key=key) from error
    except ObjectCorrupt as error:
        raise PreparationFailed("The uploaded ZIP is damaged in the object store.", key=key) from error
    if stored.sha256 != job.source_sha256:
        raise PreparationFailed("The stored ZIP is not the one that was uploaded.", key=key)
    return archive


def _repair_source(worker: Worker, lease: LeaseKeeper, claim: Claim, job: JobRow, scratch: Path) -> JobRow | None:
    """Make the repaired ZIP, store it, and name it in the row."""
    out = scratch / "repair"
    archive = fetch_source(worker, lease, _broken_job(worker, job), scratch)
    spec = {"archive": str(archive), "out": str(out), "processes": worker.platform.settings.prepare_processes}
    result = in_child(worker, lease, claim, "repair", out, spec)
    archive.unlink()
    if result is None:
        return None
    if result["outcome"] != "repaired":
        reject(worker, lease, claim, rejection_in(result), outcome_of(out, result))
        return None
    # Of this attempt: a library of another version may have packed an earlier one otherwise.
    key, name = repaired_key(claim.id, claim.attempt), f"{PurePosixPath(job.source_name).stem}-repaired.zip"
    return keep_made(worker, lease, claim, out / "repaired.zip", key=key, name=name)


def _broken_job(worker: Worker, job: JobRow) -> JobRow:
    try:
        return get_job(worker.platform.db, str(job.repair_of))
    except (JobNotFound, Gone) as error:
        raise PreparationFailed("The job whose upload was to be repaired is deleted.") from error
