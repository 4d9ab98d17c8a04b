"""The bundle of a version: fetch -> child: write the ZIP -> store -> publish."""

from functools import partial
from pathlib import Path

from core.db.tables import OperationRow
from core.domain.keys import bundle_key
from core.services.models.bundle_inputs import BundleInputs, bundle_inputs
from core.services.models.bundles import BundledContent, publish_bundle
from core.storage.free_space import require_free
from pipeline.process.results import METADATA_FILE, Bundled
from pipeline.process.specs import BundleSpec
from worker.tasks.attempt import Attempt
from worker.tasks.operations.child import in_child
from worker.tasks.operations.inputs import fetch_artifacts, fetch_object
from worker.tasks.store_artifacts import STORING, put_artifact

BUNDLE_FILE, EXPORT_FILE = "bundle.zip", "export.onnx"  # in the child's folder, in the attempt's
MEDIA_TYPE = "application/zip"
ROOM_TIMES = 2  # of what is in it: fetched, and packed


def work(attempt: Attempt[OperationRow], operation: OperationRow) -> None:
    """Publishes the bundle. Raises OperationFailed, OutOfSpace, what the child reports."""
    params = operation.params
    inputs = bundle_inputs(attempt.db, params["version_id"], params["export_id"])
    spec = _spec(attempt, inputs)
    bundled = in_child(attempt, spec, Bundled)
    attempt.report_surely(stage=STORING, progress=None)
    claim = attempt.claim
    key = bundle_key(claim.id, claim.attempt)
    file = put_artifact(attempt, spec.out / BUNDLE_FILE, key, media_type=MEDIA_TYPE)
    attempt.lease.raise_if_stopped()
    contents = [BundledContent(**each.model_dump()) for each in bundled.contents]
    bundle = attempt.lease.retry_until_lost(partial(publish_bundle, attempt.db, claim, file, contents))
    attempt.log.info("bundle.published", version_id=bundle.version_id, bytes=bundle.bytes)


def _spec(attempt: Attempt[OperationRow], inputs: BundleInputs) -> BundleSpec:
    settings, export = attempt.platform.settings, inputs.export
    reserve_bytes = settings.disk_reserve_bytes // 2
    require_free(attempt.scratch, ROOM_TIMES * export.bytes, reserve_bytes=reserve_bytes)
    onnx = attempt.scratch / EXPORT_FILE
    fetch_object(attempt, export.key, onnx, sha256=export.sha256, called="the ONNX of the version")
    return BundleSpec(
        out=attempt.scratch / "out",
        artifacts=fetch_artifacts(attempt, inputs.artifacts, attempt.scratch / "version", room_times=ROOM_TIMES),
        export=onnx,
        certificate=export.certificate,
        metadata=_metadata(attempt, inputs),
        version=inputs.version,
        memory_bytes=settings.operation_memory_bytes,
    )


def _metadata(attempt: Attempt[OperationRow], inputs: BundleInputs) -> Path | None:
    if inputs.metadata_key is None or inputs.metadata_sha256 is None:
        return None
    target = attempt.scratch / METADATA_FILE
    return fetch_object(
        attempt, inputs.metadata_key, target, sha256=inputs.metadata_sha256, called="the metadata of the dataset"
    )
