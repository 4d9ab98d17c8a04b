"""Importing a version: fetch -> child: read, try, evaluate -> store -> publish."""

from functools import partial
from pathlib import Path
from typing import Any

from core.db.tables import OperationRow
from core.domain.errors import OutOfSpace, Unavailable
from core.domain.keys import imported_artifact_key, operation_input_key
from core.services.models.imports import SOURCE, publish_import
from core.storage.free_space import require_free
from pipeline.process.results import ImportedModel
from pipeline.process.specs import ImportModelSpec
from worker.tasks.attempt import Attempt
from worker.tasks.operations.child import in_child
from worker.tasks.operations.inputs import fetch_dataset, fetch_object
from worker.tasks.publish_and_follow import publish_and_follow
from worker.tasks.store_artifacts import STORING, put_artifacts, read_metrics

ROOM_TIMES = 4  # of the source, beside itself: unpacked, rebuilt, and its artifacts


def work(attempt: Attempt[OperationRow], operation: OperationRow) -> None:
    """Publishes the version. Raises ModelRefused, ProjectKindMismatch, OperationFailed, OutOfSpace."""
    source, dataset = operation.params["source"], operation.params["dataset"]
    spec = ImportModelSpec(
        source=_fetch(attempt, source),
        source_name=source["name"],
        out=attempt.scratch / "out",
        dataset=fetch_dataset(attempt, dataset["fingerprint"]) if dataset else None,
        fingerprint=dataset["fingerprint"] if dataset else None,
        memory_bytes=attempt.platform.settings.operation_memory_bytes,
        attempt=attempt.claim.attempt,
    )
    imported = in_child(attempt, spec, ImportedModel)
    _publish(attempt, imported, spec.out / "artifacts")
    _remove_source(attempt)


def _fetch(attempt: Attempt[OperationRow], source: dict[str, Any]) -> Path:
    room = (1 + ROOM_TIMES) * source["bytes"]
    require_free(attempt.scratch, room, reserve_bytes=attempt.platform.settings.disk_reserve_bytes // 2)
    key, target = operation_input_key(attempt.claim.id, SOURCE), attempt.scratch / SOURCE
    return fetch_object(attempt, key, target, sha256=source["sha256"], called="the uploaded model")


def _publish(attempt: Attempt[OperationRow], imported: ImportedModel, folder: Path) -> None:
    attempt.report_surely(stage=STORING, progress=None)
    claim = attempt.claim
    artifacts, weights = put_artifacts(attempt, folder, partial(imported_artifact_key, claim.id, claim.attempt))
    attempt.lease.raise_if_stopped()
    attempt.report_surely(stage="publishing")
    version = publish_and_follow(
        attempt,
        partial(
            publish_import,
            attempt.db,
            claim,
            trainer=imported.trainer,
            kind=imported.kind,
            metrics=read_metrics(folder),
            weights_name=weights,
            artifacts=artifacts,
            notes=imported.notes,
        ),
    )
    attempt.log.info("version.imported", version_id=version.id, version=version.number, trainer=version.trainer)


def _remove_source(attempt: Attempt[OperationRow]) -> None:
    """Otherwise retention removes it."""
    key = operation_input_key(attempt.claim.id, SOURCE)
    try:
        attempt.platform.store.delete_prefix(key)
    except (Unavailable, OutOfSpace) as error:
        attempt.log.warning("source.left", key=key, error=error.detail)
