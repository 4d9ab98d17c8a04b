"""Builders of what the API serves: jobs and versions whose objects are in the store."""

import hashlib
import io
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.db.tables import ExportRow, JobRow, VersionRow
from core.domain.keys import (
    PLOT_NAMES,
    artifact_key,
    dataset_key,
    export_key,
    log_key,
    metadata_key,
    plot_key,
    samples_key,
)
from core.services.context import Platform
from core.services.jobs import lifecycle as preparing
from core.services.models.exports import ExportChoice, publish_export
from core.services.runs import lifecycle as training
from core.services.work.leases import Claim
from tests.builders import exports, rows
from tests.builders.voc import image_bytes

METADATA = b'{"classes": ["raccoon"]}'
TAR = b"tar " * 1000
LOG = b"".join(b"line %d\n" % number for number in range(1, 101))


def put(platform: Platform, key: str, content: bytes) -> tuple[str, int, str]:
    """Key, bytes and sha256 of a stored object."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        stored = platform.store.put(key, Path(file.name))
    return key, stored.bytes, stored.sha256


def ready_job(
    platform: Platform,
    *,
    kind: str = "detection",
    drawn: bool = True,
    project: str | None = None,
    metadata: bytes = METADATA,
) -> JobRow:
    """`drawn`: with its images."""
    claim = rows.claimed_job(platform, project=project)
    fingerprint = hashlib.sha256(claim.id.encode()).hexdigest()
    tar = put(platform, dataset_key(1, fingerprint), TAR)
    stored = put(platform, metadata_key(claim.id, claim.attempt), metadata)
    if drawn:
        _put_images(platform, claim)
    row = preparing.complete_job(
        platform.db,
        claim,
        preparing.ValidationResult(kind, "voc", ["raccoon"], 10, {}, []),
        preparing.PreparedSet(fingerprint, 1, *tar),
        content_fingerprint="c" * 64,
        metadata_key=stored[0],
        metadata_sha256=stored[2],
        is_stored=lambda key: platform.store.head(key) is not None,
    )
    assert row is not None
    return row


def _put_images(platform: Platform, claim: Claim) -> None:
    for name in PLOT_NAMES:
        put(platform, plot_key(claim.id, claim.attempt, name), image_bytes(format="PNG"))
    samples = io.BytesIO()
    with tarfile.open(fileobj=samples, mode="w") as tar:
        member = tarfile.TarInfo("00.jpg")
        member.size = len(image_bytes())
        tar.addfile(member, io.BytesIO(image_bytes()))
    put(platform, samples_key(claim.id, claim.attempt), samples.getvalue())


def version(
    platform: Platform, job_id: str, weights: bytes, *, artifacts: Mapping[str, bytes] = MappingProxyType({})
) -> VersionRow:
    """The job's next version, with `weights` as its best.pt, a log, and other `artifacts`."""
    claim = rows.running_run(platform, job_id)
    contents = {"best.pt": weights, "metrics.json": b'{"test": {"mAP50": 0.9}}', **artifacts}
    published = [
        training.PublishedArtifact(
            name, *put(platform, artifact_key(claim.id, claim.attempt, name), content), "application/octet-stream"
        )
        for name, content in contents.items()
    ]
    return training.publish_version(
        platform.db,
        claim,
        metrics={"test": {"mAP50": 0.9}},
        weights_name="best.pt",
        artifacts=published,
        log_key=put(platform, log_key(claim.id, claim.attempt), LOG)[0],
    )


def export(
    platform: Platform, row: VersionRow, content: bytes, choice: ExportChoice = exports.ONNX, **of_certificate: Any
) -> ExportRow:
    """One of the version, whose file is `content`."""
    claim = exports.claimed_export(platform, row, choice)
    made = exports.certificate(**of_certificate)
    name = {"onnx": "model.onnx", "openvino": "model.zip"}[choice.format]
    stored = put(platform, export_key(claim.id, claim.attempt, name), content)
    file = training.PublishedArtifact(name, *stored, "application/octet-stream")
    return publish_export(platform.db, claim, file, passed=made["passed"], certificate=made)
