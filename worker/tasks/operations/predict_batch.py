"""Predicting a batch: fetch the export and the images -> child: predict, write the files -> store -> publish."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from core.db.tables import OperationRow
from core.domain.errors import OperationFailed
from core.domain.keys import batch_key, operation_input_key
from core.services.models.batch_predictions import BatchInputs, batch_inputs, publish_batch
from core.services.models.batch_sources import URLS_INPUT, ZIP_INPUT, Source
from core.storage.free_space import require_free
from pipeline.process.results import BatchPredicted
from pipeline.process.specs import PredictBatchSpec
from worker.inputs.remote_images import fetch_images
from worker.tasks.attempt import Attempt
from worker.tasks.operations.child import in_child
from worker.tasks.operations.inputs import fetch_dataset, fetch_object
from worker.tasks.stage_reporter import StageReporter
from worker.tasks.store_artifacts import STORING, put_files

FETCHING = "fetching"  # a stage: images by URL
ROOM_TIMES = 3  # of a ZIP: itself, its images, and the labelled ZIP


def work(attempt: Attempt[OperationRow], operation: OperationRow) -> None:
    """Publishes the files. Raises OperationFailed, OutOfSpace, what the child reports."""
    inputs = batch_inputs(attempt.db, operation)
    predicted = in_child(attempt, _spec(attempt, operation.params, inputs), BatchPredicted)
    attempt.report_surely(stage=STORING, progress=None)
    claim = attempt.claim
    folder = attempt.scratch / "out" / "artifacts"
    artifacts = put_files(attempt, folder, partial(batch_key, claim.id, claim.attempt))
    attempt.lease.raise_if_stopped()
    attempt.report_surely(stage="publishing")
    attempt.lease.retry_until_lost(
        lambda: publish_batch(attempt.db, claim, summary=predicted.summary, artifacts=artifacts)
    )
    counts = {name: predicted.summary[name] for name in ("images", "failed")}
    attempt.log.info("batch.published", model=operation.params["name"], **counts)


def _spec(attempt: Attempt[OperationRow], params: dict[str, Any], inputs: BatchInputs) -> PredictBatchSpec:
    settings, export, options = attempt.platform.settings, inputs.export, params["options"]
    require_free(attempt.scratch, 2 * export.bytes, reserve_bytes=settings.disk_reserve_bytes // 2)
    model = attempt.scratch / export.file_name
    fetch_object(attempt, export.key, model, sha256=export.sha256, called="the export")
    return PredictBatchSpec(
        out=attempt.scratch / "out",
        model=model,
        name=params["name"],
        **options,
        **_images(attempt, inputs.source, inputs.source_key),
        image_max_bytes=settings.image_max_bytes,
        threads=settings.predicting_threads,
        memory_bytes=settings.operation_memory_bytes,
    )


def _images(attempt: Attempt[OperationRow], source: Source, source_key: str | None) -> dict[str, Any]:
    """Fields of the spec."""
    if source.kind == "dataset":
        return {"dataset": fetch_dataset(attempt, str(source.fingerprint)), "split": source.split}
    if source.kind == "urls":
        return {"fetched": _fetched(attempt, source)}
    key = operation_input_key(attempt.claim.id, ZIP_INPUT) if source.job_id is None else source_key
    if key is None:
        raise OperationFailed("The ZIP of the upload is not stored any more.", job_id=source.job_id)
    reserve_bytes = attempt.platform.settings.disk_reserve_bytes // 2
    require_free(attempt.scratch, ROOM_TIMES * int(source.bytes or 0), reserve_bytes=reserve_bytes)
    target = attempt.scratch / ZIP_INPUT
    return {
        "archive": fetch_object(
            attempt, key, target, sha256=str(source.sha256), called="the ZIP of images", is_lent=True
        )
    }


def _fetched(attempt: Attempt[OperationRow], source: Source) -> Path:
    settings, reporter = attempt.platform.settings, StageReporter(attempt)
    listed = attempt.scratch / URLS_INPUT
    key = operation_input_key(attempt.claim.id, URLS_INPUT)
    fetch_object(attempt, key, listed, sha256=str(source.sha256), called="the list of URLs")
    reporter.report({"type": "stage", "stage": FETCHING})

    def tick(done: int, total: int) -> None:
        attempt.lease.raise_if_stopped()
        reporter.report({"type": "progress", "done": done, "total": total})

    folder = attempt.scratch / "images"
    urls: list[str] = json.loads(listed.read_text(encoding="utf-8"))
    attempt.lease.run_in_thread(
        partial(
            fetch_images,
            urls,
            folder,
            hosts=settings.allowed_image_hosts,
            networks=settings.named_networks,
            max_bytes=settings.image_max_bytes,
            seconds=settings.image_seconds,
            reserve_bytes=settings.disk_reserve_bytes // 2,
            tick=tick,
        )
    )
    return folder
