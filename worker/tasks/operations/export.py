"""Exporting a version: fetch -> child: write the file, compare it with the model -> store -> publish."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from core.db.tables import OperationRow
from core.domain.errors import OperationFailed
from core.domain.keys import export_key
from core.services.models.export_inputs import ExportInputs, export_inputs
from core.services.models.exports import publish_export, result_of_made
from pipeline.process.results import Exported
from pipeline.process.specs import ExportSpec
from worker.tasks.attempt import Attempt
from worker.tasks.operations.child import in_child
from worker.tasks.operations.inputs import fetch_artifacts, fetch_dataset
from worker.tasks.store_artifacts import STORING, put_artifact

ROOM_TIMES = 8  # of the weights: in double width, as one or two files of another format, packed, and a copy while tried
CERTIFICATE_FILE, FOLDER = "certificate.json", "export"  # in the child's folder


def work(attempt: Attempt[OperationRow], operation: OperationRow) -> dict[str, Any] | None:
    """Publishes the export, also one that did not pass. Raises OperationFailed, OutOfSpace, what the child reports.

    Returns the result where another operation has made the same since: then this one was retried.
    """
    if made := result_of_made(attempt.db, operation):
        return made
    inputs = export_inputs(attempt.db, operation.params["version_id"])
    spec = _spec(attempt, operation, inputs)
    exported = in_child(attempt, spec, Exported)
    attempt.report_surely(stage=STORING, progress=None)
    claim = attempt.claim
    path = spec.out / FOLDER / Path(exported.file_name).name
    file = put_artifact(attempt, path, export_key(claim.id, claim.attempt, path.name), media_type=exported.media_type)
    certificate = {**_certificate(spec.out), "compared_on": inputs.compared_on}
    attempt.lease.raise_if_stopped()
    export = attempt.lease.retry_until_lost(
        partial(publish_export, attempt.db, claim, file, passed=exported.passed, certificate=certificate)
    )
    attempt.log.info("export.published", export_id=export.id, format=export.format, passed=export.passed)
    return None


def _spec(attempt: Attempt[OperationRow], operation: OperationRow, inputs: ExportInputs) -> ExportSpec:
    params, settings = operation.params, attempt.platform.settings
    return ExportSpec(
        model=fetch_artifacts(attempt, inputs.artifacts, attempt.scratch / "version", room_times=ROOM_TIMES),
        out=attempt.scratch / "out",
        trainer=inputs.trainer,
        name=inputs.name,
        version_id=inputs.version_id,
        fingerprint=inputs.trained_on,
        format=params["format"],
        precision=params["precision"],
        nms=params["nms"],
        max_drop=params["max_drop"],
        dataset=fetch_dataset(attempt, inputs.compared_on) if inputs.compared_on else None,
        memory_bytes=settings.operation_memory_bytes,
    )


def _certificate(out: Path) -> dict[str, Any]:
    try:
        content = json.loads((out / CERTIFICATE_FILE).read_bytes(), parse_constant=lambda _: None)
    except (OSError, ValueError) as error:
        raise OperationFailed(f"The process of the export left no readable {CERTIFICATE_FILE}.") from error
    if not isinstance(content, dict):
        raise OperationFailed(f"The process of the export left no object in {CERTIFICATE_FILE}.")
    return content
