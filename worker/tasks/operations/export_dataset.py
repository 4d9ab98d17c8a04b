"""Exporting a dataset: fetch what was uploaded, or the prepared set -> child: write the ZIP -> store -> publish."""

from functools import partial
from pathlib import Path

from core.db.tables import OperationRow
from core.domain.errors import OperationFailed
from core.domain.keys import dataset_export_key
from core.services.jobs.dataset_exports import ExportInputs, dataset_export_inputs, publish_dataset_export
from core.storage.free_space import require_free
from pipeline.process.results import DatasetExported
from pipeline.process.specs import ExportDatasetSpec
from worker.tasks.attempt import Attempt
from worker.tasks.operations.child import in_child
from worker.tasks.operations.image_index import fetch_index
from worker.tasks.operations.inputs import fetch_object
from worker.tasks.store_artifacts import STORING, put_artifact

EXPORT_FILE = "dataset.zip"  # in the child's folder
MEDIA_TYPE = "application/zip"
ROOM_TIMES = 3  # of what is fetched: itself, its images, and the export


def work(attempt: Attempt[OperationRow], operation: OperationRow) -> None:
    """Publishes the export. Raises OperationFailed, OutOfSpace, what the child reports."""
    inputs = dataset_export_inputs(attempt.db, operation)
    spec = _spec(attempt, operation, inputs)
    exported = in_child(attempt, spec, DatasetExported)
    attempt.report_surely(stage=STORING, progress=None)
    claim = attempt.claim
    key = dataset_export_key(claim.id, claim.attempt)
    file = put_artifact(attempt, spec.out / EXPORT_FILE, key, media_type=MEDIA_TYPE)
    attempt.lease.raise_if_stopped()
    losses = [each.model_dump() for each in exported.losses]
    export = attempt.lease.retry_until_lost(partial(publish_dataset_export, attempt.db, claim, file, losses=losses))
    attempt.log.info("dataset.exported", export_id=export.id, format=export.format, bytes=export.bytes)


def _spec(attempt: Attempt[OperationRow], operation: OperationRow, inputs: ExportInputs) -> ExportDatasetSpec:
    settings, job, params = attempt.platform.settings, inputs.job, operation.params
    index = fetch_index(attempt, inputs.dataset)
    if index is None:
        raise OperationFailed("The image index of the dataset is missing, and could not be made.")
    source = _source(attempt, inputs)
    return ExportDatasetSpec(
        out=attempt.scratch / "out",
        archive=source if job.source_key else None,
        tar=None if job.source_key else source,
        index=index,
        kind=str(job.kind),
        classes=job.classes or [],
        fingerprint=inputs.dataset.fingerprint,
        content_fingerprint=str(job.content_fingerprint),
        format=params["format"],
        arrange=params["arrange"],
        threads=settings.prepare_processes,
        memory_bytes=settings.operation_memory_bytes,
    )


def _source(attempt: Attempt[OperationRow], inputs: ExportInputs) -> Path:
    """What was uploaded, or the prepared set where retention has deleted that."""
    job, dataset = inputs.job, inputs.dataset
    reserve_bytes = attempt.platform.settings.disk_reserve_bytes // 2
    if job.source_key is None:
        require_free(attempt.scratch, (ROOM_TIMES - 1) * dataset.bytes, reserve_bytes=reserve_bytes)
        tar = attempt.scratch / "dataset.tar"
        return fetch_object(
            attempt, dataset.key, tar, sha256=dataset.sha256, called="the prepared dataset", is_lent=True
        )
    require_free(attempt.scratch, ROOM_TIMES * job.source_bytes, reserve_bytes=reserve_bytes)
    archive = attempt.scratch / "source.zip"
    return fetch_object(
        attempt, job.source_key, archive, sha256=job.source_sha256, called="the uploaded ZIP", is_lent=True
    )
