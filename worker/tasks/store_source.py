"""A ZIP that a worker made becomes what its job is made of: bytes, then row."""

from functools import partial
from pathlib import Path

from core.db.tables import JobRow
from core.services.jobs.lifecycle import keep_source
from core.services.work.leases import Claim
from worker.context import Worker
from worker.supervision.lease_keeper import LeaseKeeper


def keep_made(worker: Worker, lease: LeaseKeeper, claim: Claim, zipped: Path, *, key: str, name: str) -> JobRow:
    """Store it, name it in the row, and remove the local file. Raises ClaimLost."""
    put = lease.run_in_thread(lambda: worker.platform.store.put(key, zipped, media_type="application/zip"))
    zipped.unlink()
    keep = partial(keep_source, worker.platform.db, claim, name=name, key=put.key)
    return lease.retry_until_lost(lambda: keep(size=put.bytes, sha256=put.sha256))
