"""Builders of rows, through the use cases that write them."""

from collections.abc import Sequence

from core.db.tables import JobRow, OperationRow, RunRow, VersionRow
from core.services.context import Platform
from core.services.jobs import lifecycle as preparing
from core.services.jobs.commands import new_job_id, receive_job
from core.services.models.versions import list_versions
from core.services.operations.commands import queue_operation
from core.services.runs import lifecycle as training
from core.services.runs.commands import queue_run
from core.services.work.leases import Claim, claim_row

LEASE = 60.0


def received_job(platform: Platform, name: str = "raccoons", *, project: str | None = None) -> JobRow:
    return receive_job(
        platform,
        new_job_id(),
        name=name,
        options={"seed": 0},
        source_name="data.zip",
        source_bytes=10,
        source_sha256="0" * 64,
        project=project,
    )


def claimed_job(platform: Platform, *, lease: float = LEASE, project: str | None = None) -> Claim:
    received = received_job(platform, project=project)
    claimed = claim_row(platform.db, JobRow, received.id, "w", lease_seconds=lease)
    assert claimed is not None
    return claimed[0]


def outcome(findings: int = 0, classes: Sequence[str] = ("raccoon",)) -> preparing.ValidationResult:
    one = {"code": "box-outside", "severity": "warning", "path": "a.xml", "line": 3, "detail": "d", "remedy": "r"}
    return preparing.ValidationResult(
        kind="detection",
        format="voc",
        classes=list(classes),
        images=10,
        counts={"box-outside": {"severity": "warning", "count": findings}} if findings else {},
        findings=[one] * findings,
    )


def prepared_set(fingerprint: str = "f" * 64) -> preparing.PreparedSet:
    key = f"datasets/1/{fingerprint}.tar"
    return preparing.PreparedSet(fingerprint, layout_version=1, key=key, bytes=3, sha256="1" * 64)


def complete(
    platform: Platform,
    claim: Claim,
    *,
    fingerprint: str = "f" * 64,
    findings: int = 0,
    is_stored: bool = True,
    classes: Sequence[str] = ("raccoon",),
) -> JobRow | None:
    return preparing.complete_job(
        platform.db,
        claim,
        outcome(findings, classes),
        prepared_set(fingerprint),
        content_fingerprint="c" * 64,
        metadata_key=f"jobs/{claim.id}/{claim.attempt}/dataset_metadata.json",
        metadata_sha256="2" * 64,
        is_stored=lambda _key: is_stored,
    )


def ready_job(platform: Platform, *, project: str | None = None) -> JobRow:
    row = complete(platform, claimed_job(platform, project=project))
    assert row is not None
    return row


def queued_run(platform: Platform, job_id: str | None = None) -> RunRow:
    return queue_run(platform, job_id or ready_job(platform).id, trainer="yolo", params={"epochs": 3})


def running_run(platform: Platform, job_id: str | None = None, *, lease: float = LEASE) -> Claim:
    claimed = claim_row(platform.db, RunRow, queued_run(platform, job_id).id, "w", lease_seconds=lease)
    assert claimed is not None
    return claimed[0]


def running_operation(
    platform: Platform, *, lease: float = LEASE, job_id: str | None = None, project_id: str | None = None
) -> Claim:
    row = queue_operation(platform, "scripted", {"steps": 3}, job_id=job_id, project_id=project_id)
    claimed = claim_row(platform.db, OperationRow, row.id, "w", lease_seconds=lease)
    assert claimed is not None
    return claimed[0]


def publish(platform: Platform, claim: Claim, *, checked: training.CheckedLeak | None = None) -> VersionRow:
    key = f"runs/{claim.id}/{claim.attempt}/artifacts/best.pt"
    weights = training.PublishedArtifact("best.pt", key, 5, "3" * 64, "application/octet-stream")
    return training.publish_version(
        platform.db,
        claim,
        metrics={"test": {"mAP50": 0.9}},
        weights_name="best.pt",
        artifacts=[weights],
        log_key=None,
        checked=checked,
    )


def versions_of(platform: Platform, job_id: str) -> list[VersionRow]:
    """All versions of a job, v1 first."""
    return list_versions(platform.db, ref=job_id, cursor=None, limit=500).items[::-1]
