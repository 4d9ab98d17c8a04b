"""The artifacts of a model, put into the store. The row that names them follows: a version."""

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import structlog

from core.domain.errors import OutOfSpace, TrainerCrashed, Unavailable
from core.domain.limits import CLASSES_LISTED
from core.domain.media_types import media_type_of
from core.services.runs.lifecycle import PublishedArtifact
from core.storage import StoredObject
from worker.supervision.lease_keeper import LeaseKeeper
from worker.tasks.attempt import Attempt

MODEL_FILE = "model.json"
METRICS_FILE = "metrics.json"
STORING, WAITING = "storing", "waiting-for-room"  # stages
RETRY_FULL_SECONDS = 10.0
PAUSES_SECONDS = (1.0, 2.0, 4.0)  # a restart of the store does not cost an evaluation

log = structlog.get_logger(__name__)


def put_artifacts(
    attempt: Attempt[Any], folder: Path, key_of: Callable[[str], str]
) -> tuple[list[PublishedArtifact], str]:
    """Store every file of `folder` under `key_of(name)`. Returns them by name, and the name of the weights.

    Raises TrainerCrashed when the weights are not among them, and what ends a lease and the store raise.
    """
    artifacts = put_files(attempt, folder, key_of)
    weights = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8")).get("weights", {}).get("name", "best.pt")
    if weights not in {artifact.name for artifact in artifacts}:
        raise TrainerCrashed(f"The trainer named {weights} as its weights and left no such file.")
    return artifacts, weights


def put_files(attempt: Attempt[Any], folder: Path, key_of: Callable[[str], str]) -> list[PublishedArtifact]:
    """Store every file of `folder` under `key_of(name)`, in the order of their names."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    return [put_artifact(attempt, path, key_of(path.name)) for path in files if not path.name.startswith(".")]


def put_artifact(attempt: Attempt[Any], path: Path, key: str, *, media_type: str | None = None) -> PublishedArtifact:
    """Store a file, by default as the media type of its suffix. Waits while the store is full."""
    media_type = media_type or media_type_of(path.suffix)
    put = partial(attempt.platform.store.take, key, path, media_type=media_type)  # its child has ended
    stored = _put_when_there_is_room(attempt, partial(_put_patiently, attempt.lease, put))
    return PublishedArtifact(path.name, key, stored.bytes, stored.sha256, media_type)


def read_metrics(folder: Path) -> dict[str, Any]:
    """The metrics of each split and the thresholds, for the row and every answer about it: the artifact has all.

    Of more than CLASSES_LISTED classes the first are kept, and no confusion matrix, which grows with their square.
    """
    path = folder / METRICS_FILE
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if not isinstance(content, dict):
        return {}
    return {
        name: _shortened_thresholds(found) if name == "thresholds" else _shortened(found)
        for name, found in content.items()
    }


def _shortened(metrics: Any) -> Any:
    of_classes = metrics.get("per_class") if isinstance(metrics, dict) else None
    if not isinstance(of_classes, dict) or len(of_classes) <= CLASSES_LISTED:
        return metrics
    kept = {name: value for name, value in metrics.items() if name != "confusion_matrix"}
    return kept | {"per_class": _first_classes(of_classes), "class_count": len(of_classes)}


def _shortened_thresholds(thresholds: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _first_classes(value) if isinstance(value, dict) else value for name, value in thresholds.items()}


def _first_classes(of_classes: Mapping[str, Any]) -> dict[str, Any]:
    return dict(islice(of_classes.items(), CLASSES_LISTED))


def _put_when_there_is_room(attempt: Attempt[Any], put: Callable[[], StoredObject]) -> StoredObject:
    """Waits for as long as the store is full, because the training is done. A cancel or a drain ends the wait."""
    while True:
        try:
            return put()
        except OutOfSpace as error:
            log.warning("put.waits", error=error.detail)
        attempt.report_surely(stage=WAITING)
        attempt.lease.run_in_thread(partial(time.sleep, RETRY_FULL_SECONDS))
        attempt.report_surely(stage=STORING)


def _put_patiently(lease: LeaseKeeper, put: Callable[[], StoredObject]) -> StoredObject:
    for pause_seconds in PAUSES_SECONDS:
        try:
            return lease.run_in_thread(put)
        except Unavailable as error:
            log.warning("put.retried", error=error.detail)
        lease.run_in_thread(partial(time.sleep, pause_seconds))
    return lease.run_in_thread(put)
