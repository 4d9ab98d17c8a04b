"""Builders of exports, through the use cases that write them."""

from pathlib import Path
from typing import Any

from core.db.tables import ExportRow, OperationRow, VersionRow
from core.domain.keys import export_key
from core.services.context import Platform
from core.services.models.exports import ExportChoice, publish_export, request_export
from core.services.runs.lifecycle import PublishedArtifact
from core.services.work.leases import Claim, claim_row

ONNX = ExportChoice("onnx", "fp32")


def certificate(**changes: Any) -> dict[str, Any]:
    """As `pipeline.export.certificate.certify` makes it."""
    return {
        "passed": True,
        "reasons": [],
        "schema": 1,
        "export": "model.onnx",
        "precision": "fp32",
        "images": 40,
        "failed": 0,
        "outputs": {"largest": 1.1e-7, "mean": 2.3e-8},
        "predictions": {"compared": 160, "equal": 160, "share": 1.0},
        "figures": {"name": "mAP50-95", "model": 0.812, "export": 0.812, "change": 0.0, "low": -0.0004, "high": 0.0003},
        "milliseconds": {
            "model": {"p50": 19.0, "p95": 23.1, "images_per_second": 51.2},
            "export": {"p50": 11.2, "p95": 13.9, "images_per_second": 87.5},
        },
        "bounds": {"equal": 0.995, "iou": 0.98, "score": 0.01, "drop": 0.002, "output": 0.001},
        "engine": "onnxruntime 1.32.0",
        "computed_in": "float32",
        "threads": 1,
        "device": "x86_64",
    } | changes


def claimed_export(platform: Platform, version: VersionRow, choice: ExportChoice = ONNX) -> Claim:
    requested = request_export(platform, version.project_id, f"v{version.number}", choice)
    claimed = claim_row(platform.db, OperationRow, requested.operation.id, "w", lease_seconds=60)
    assert claimed is not None
    return claimed[0]


def publish_claimed(
    platform: Platform, claim: Claim, *, stored: Path | None = None, **of_certificate: Any
) -> ExportRow:
    """`stored`: its file, which is put into the store."""
    made = certificate(**of_certificate)
    key, size, sha256 = export_key(claim.id, claim.attempt, "model.onnx"), 5, "4" * 64
    if stored is not None:
        found = platform.store.put(key, stored)
        size, sha256 = found.bytes, found.sha256
    file = PublishedArtifact("model.onnx", key, size, sha256, "application/octet-stream")
    return publish_export(platform.db, claim, file, passed=made["passed"], certificate=made)


def export(platform: Platform, version: VersionRow, choice: ExportChoice = ONNX, **of_certificate: Any) -> ExportRow:
    """A published one."""
    return publish_claimed(platform, claimed_export(platform, version, choice), **of_certificate)
