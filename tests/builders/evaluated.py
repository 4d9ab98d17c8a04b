"""Builders of evaluations, through the use cases that write them; their files are in the store."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core import clock
from core.db.tables import EvaluationRow, ExportRow, OperationRow, VersionRow
from core.domain.ids import new_id
from core.domain.keys import evaluation_key
from core.services.context import Platform
from core.services.models.evaluations import EvaluationRequest, publish_evaluation, request_evaluation
from core.services.runs.lifecycle import PublishedArtifact
from core.services.work.leases import Claim, claim_row
from pipeline.evaluation.image_results import ImageResults, write_results
from pipeline.evaluation.read_paired import RESULTS_FILE
from tests.builders.published import put
from tests.builders.rows import LEASE, running_operation

REPORT = b"<!doctype html><title>Report</title>"


def claimed(platform: Platform, operation_id: str) -> Claim:
    found = claim_row(platform.db, OperationRow, operation_id, "w", lease_seconds=LEASE)
    assert found is not None
    return found[0]


def published(
    platform: Platform,
    claim: Claim,
    metrics: dict[str, Any],
    *,
    results: ImageResults | None = None,
    contents: Mapping[str, bytes] = MappingProxyType({}),
) -> EvaluationRow:
    """With `metrics`, and a report in the store; with `results`, unless it is an old one. `contents`: further files."""
    files = {"report.html": (REPORT, "text/html; charset=utf-8")}
    files |= {name: (content, "application/json") for name, content in contents.items()}
    if results is not None:
        with tempfile.TemporaryDirectory() as folder:
            write_results(results, Path(folder) / RESULTS_FILE)
            files[RESULTS_FILE] = ((Path(folder) / RESULTS_FILE).read_bytes(), "application/octet-stream")
    artifacts = [
        PublishedArtifact(name, *put(platform, evaluation_key(claim.id, claim.attempt, name), content), media_type)
        for name, (content, media_type) in files.items()
    ]
    return publish_evaluation(platform.db, claim, metrics=metrics, artifacts=artifacts)


def evaluation(platform: Platform, dataset: str, metrics: dict[str, Any], **request: Any) -> EvaluationRow:
    """Of a `version` or an `export`, on `raccoons/d1`."""
    requested = request_evaluation(platform, EvaluationRequest(dataset, **request))
    return published(platform, claimed(platform, requested.operation.id), metrics)


def export(platform: Platform, version: VersionRow, *, passed: bool = True, precision: str = "int8") -> ExportRow:
    """The row of an ONNX file, which is not in the store."""
    row = ExportRow(
        id=new_id("export", clock.now_ms()),
        version_id=version.id,
        project_id=version.project_id,
        operation_id=running_operation(platform).id,
        format="onnx",
        precision=precision,
        options={},
        file_name="model.onnx",
        key=f"exports/{new_id('file', clock.now_ms())}",
        bytes=1,
        sha256="a" * 64,
        media_type="application/octet-stream",
        passed=passed,
        certificate={},
        created_at=clock.now(),
    )
    with platform.db.transaction() as session:
        session.add(row)
    return row
