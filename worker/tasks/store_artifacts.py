"""What a finished training leaves, on its way to the store. The row that names it follows, in train.py."""

import json
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from core.domain.errors import OutOfSpace, TrainerCrashed, Unavailable
from core.domain.keys import artifact_key
from core.services.context import Platform
from core.services.runs.lifecycle import PublishedArtifact
from core.services.work.leases import Claim, ClaimLost
from core.storage import ObjectCorrupt, ObjectExists, StoredObject
from worker.supervision.lease_keeper import CancelRequested, DrainRequested, LeaseKeeper

MODEL_FILE = "model.json"
METRICS_FILE = "metrics.json"
LOG_SECONDS = 0.7  # of the 5 s of a cancel and the 4 s of a drain
PAUSES_SECONDS = (1.0, 2.0, 4.0)  # a restart of the store does not cost an evaluation

_MEDIA_TYPES = {
    ".json": "application/json",
    ".csv": "text/csv; charset=utf-8",
    ".yaml": "application/yaml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".html": "text/html; charset=utf-8",  # sent as a download, under a policy that lets it run nothing
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".zip": "application/zip",
    ".txt": "text/plain; charset=utf-8",
    ".log": "text/plain; charset=utf-8",
}

log = structlog.get_logger(__name__)


def put_artifacts(
    platform: Platform, lease: LeaseKeeper, claim: Claim, folder: Path
) -> tuple[list[PublishedArtifact], str]:
    """Store every file of `folder`. Returns them by name, and the name of the weights.

    Raises TrainerCrashed when the weights are not among them; and what `lease.raise_if_stopped` and the store raise.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    artifacts = [_put(platform, lease, claim, path) for path in files if not path.name.startswith(".")]
    weights = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8")).get("weights", {}).get("name", "best.pt")
    if weights not in {artifact.name for artifact in artifacts}:
        raise TrainerCrashed(f"The trainer named {weights} as its weights and left no such file.")
    return artifacts, weights


def read_metrics(folder: Path) -> dict[str, Any]:
    path = folder / METRICS_FILE
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return content if isinstance(content, dict) else {}


def put_log(platform: Platform, lease: LeaseKeeper, key: str, path: Path) -> str | None:
    """Keep the child's log if it can be kept: that it cannot must not change how a run ends."""
    if not path.exists():
        return None
    try:
        lease.run_in_thread(lambda: platform.store.put(key, path, media_type=_MEDIA_TYPES[".log"]))
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
        log.warning("log.not_kept", key=key, error=str(error)[:200])
        return None
    return key


def put_log_quickly(platform: Platform, key: str, path: Path) -> str | None:
    """As `put_log`, for an attempt that is asked to end: kept if the store takes it within LOG_SECONDS."""
    if not path.exists():
        return None
    kept = threading.Event()

    def put() -> None:
        try:
            platform.store.put(key, path, media_type=_MEDIA_TYPES[".log"])
            kept.set()
        except Exception:  # a log changes nothing about how a run ends
            log.exception("log.not_kept", key=key)

    thread = threading.Thread(target=put, daemon=True, name="log")
    thread.start()
    thread.join(LOG_SECONDS)
    return key if kept.is_set() else None


def _put(platform: Platform, lease: LeaseKeeper, claim: Claim, path: Path) -> PublishedArtifact:
    key = artifact_key(claim.id, claim.attempt, path.name)
    media_type = _MEDIA_TYPES.get(path.suffix, "application/octet-stream")
    stored = _put_patiently(lease, partial(platform.store.put, key, path, media_type=media_type))
    return PublishedArtifact(path.name, key, stored.bytes, stored.sha256, media_type)


def _put_patiently(lease: LeaseKeeper, put: Callable[[], StoredObject]) -> StoredObject:
    for pause_seconds in PAUSES_SECONDS:
        try:
            return lease.run_in_thread(put)
        except Unavailable as error:
            log.warning("put.retried", error=error.detail)
        lease.run_in_thread(partial(time.sleep, pause_seconds))
    return lease.run_in_thread(put)
