"""A ZIP that a worker made becomes the source of its job: object, then row. Its local file is read on."""

from functools import partial
from pathlib import Path
from typing import Any

from core.db.tables import JobRow
from core.services.jobs.lifecycle import keep_source
from worker.tasks.attempt import Attempt

SOURCE_FILE = "source.zip"  # in the folder of an attempt


def store_source(attempt: Attempt[JobRow], zipped: Path, *, key: str, name: str, **known: Any) -> JobRow:
    """Store the ZIP, name it in the row with what is `known` of it, and move the local file to SOURCE_FILE. Raises
    ClaimLost."""
    store = attempt.platform.store
    put = attempt.lease.run_in_thread(lambda: store.take(key, zipped, media_type="application/zip"))
    zipped.replace(attempt.scratch / SOURCE_FILE)  # the bytes that were hashed while they were stored
    keep = partial(keep_source, attempt.db, attempt.claim, name=name, key=put.key, **known)
    return attempt.lease.retry_until_lost(lambda: keep(size=put.bytes, sha256=put.sha256))
