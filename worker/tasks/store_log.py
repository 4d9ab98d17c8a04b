"""The log of a training's child, kept when the attempt ends. That it cannot be kept never changes how the run ends."""

import threading
from pathlib import Path

import structlog

from core.db.tables import RunRow
from core.domain.errors import OutOfSpace, Unavailable
from core.domain.keys import log_key
from core.services.on_commit import OnCommit
from core.services.runs.logs import keeping_log
from core.services.work.leases import ClaimLost
from core.storage import ObjectCorrupt, ObjectExists
from worker.supervision.lease_keeper import CancelRequested, DrainRequested
from worker.tasks.attempt import Attempt

QUICK_SECONDS = 0.7  # of the 5 s of a cancel and the 4 s of a drain
_MEDIA_TYPE = "text/plain; charset=utf-8"

log = structlog.get_logger(__name__)


def log_path(attempt: Attempt[RunRow]) -> Path:
    return attempt.scratch / "train.log"


def store_log(attempt: Attempt[RunRow], *, quickly: bool) -> OnCommit:
    """Store the log, and name it in the transaction that ends the attempt."""
    return keeping_log(attempt.claim, _put_log_quickly(attempt) if quickly else put_log(attempt))


def put_log(attempt: Attempt[RunRow]) -> str | None:
    """The key of the stored log; None where there is none, or it could not be stored."""
    key, path, store = log_key(attempt.claim.id, attempt.claim.attempt), log_path(attempt), attempt.platform.store
    if not path.exists():
        return None
    try:
        attempt.lease.run_in_thread(lambda: store.put(key, path, media_type=_MEDIA_TYPE))
    except (
        ClaimLost,
        CancelRequested,
        DrainRequested,
        Unavailable,
        OutOfSpace,
        ObjectExists,
        ObjectCorrupt,
        OSError,
    ) as error:
        log.warning("log.not_stored", key=key, error=str(error)[:200])
        return None
    return key


def _put_log_quickly(attempt: Attempt[RunRow]) -> str | None:
    """As `put_log`, for an attempt that must end: None also where the store takes longer than QUICK_SECONDS."""
    key, path, store = log_key(attempt.claim.id, attempt.claim.attempt), log_path(attempt), attempt.platform.store
    if not path.exists():
        return None
    stored = threading.Event()

    def put() -> None:
        try:
            store.put(key, path, media_type=_MEDIA_TYPE)
            stored.set()
        except Exception:  # a log never changes how a run ends
            log.exception("log.not_stored", key=key)

    thread = threading.Thread(target=put, daemon=True, name="log")
    thread.start()
    thread.join(QUICK_SECONDS)
    return key if stored.is_set() else None
