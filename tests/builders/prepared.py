"""Jobs whose ZIP was really prepared, in this process, and stored as a worker stores it."""

import tempfile
from pathlib import Path

from core.db.tables import JobRow
from core.domain.keys import dataset_key, image_index_key, metadata_key, plot_key, samples_key, upload_key
from core.services.context import Platform
from core.services.jobs import lifecycle as preparing
from core.services.jobs.commands import new_job_id, receive_job
from core.services.work.leases import Claim, claim_row
from pipeline.index.schema import INDEX_FILE
from pipeline.params.prepare import PrepareOptions
from pipeline.prepare.run import prepare
from pipeline.process.progress import StageReporter
from pipeline.process.results import METADATA_FILE, Prepared
from pipeline.process.specs import PrepareSpec
from tests.builders.rows import LEASE
from worker.tasks.run_command import findings_in


def prepared_job(platform: Platform, archive: Path, *, project: str) -> JobRow:
    """Ready or rejected."""
    claim = _received(platform, archive, project)
    with tempfile.TemporaryDirectory() as folder:
        source = {"name": archive.name, "bytes": archive.stat().st_size, "sha256": "0" * 64}
        options = PrepareOptions(val_fraction=0.2, test_fraction=0.2)
        spec = PrepareSpec(
            archive=archive, out=Path(folder), options=options, processes=1, job_id=claim.id, source=source, tree=False
        )
        result = prepare(spec, StageReporter())
        found = findings_in(spec.out)
        if not isinstance(result, Prepared):
            nothing = preparing.ValidationResult(result.kind, result.format, None, None, result.findings, found)
            return preparing.reject_job(platform.db, claim, result.problem.as_error(), nothing)
        return _stored(platform, claim, spec.out, result, found)


def _received(platform: Platform, archive: Path, project: str) -> Claim:
    job_id = new_job_id()
    stored = platform.store.put(upload_key(job_id), archive)
    receive_job(
        platform,
        job_id,
        name=archive.stem,
        options=PrepareOptions(val_fraction=0.2, test_fraction=0.2).model_dump(mode="json"),
        source_name=archive.name,
        source_bytes=stored.bytes,
        source_sha256=stored.sha256,
        project=project,
    )
    claimed = claim_row(platform.db, JobRow, job_id, "w", lease_seconds=LEASE)
    assert claimed is not None
    return claimed[0]


def _stored(platform: Platform, claim: Claim, out: Path, result: Prepared, found: list[dict[str, object]]) -> JobRow:
    put = platform.store.put
    fingerprint, layout = result.fingerprint, result.layout_version
    tar = put(dataset_key(layout, fingerprint), out / "dataset.tar")
    index = put(image_index_key(layout, fingerprint, f"{claim.id}-{claim.attempt}"), out / INDEX_FILE)
    metadata = put(metadata_key(claim.id, claim.attempt), out / METADATA_FILE)
    for name in result.gallery.plots:
        put(plot_key(claim.id, claim.attempt, name), out / "plots" / f"{name}.png")
    if result.gallery.samples:
        put(samples_key(claim.id, claim.attempt), out / "samples.tar")
    row = preparing.complete_job(
        platform.db,
        claim,
        preparing.ValidationResult(result.kind, result.format, result.classes, result.images, result.findings, found),
        preparing.PreparedSet(fingerprint, layout, tar.key, tar.bytes, tar.sha256, index.key, index.bytes),
        content_fingerprint=result.content_fingerprint,
        metadata_key=metadata.key,
        metadata_sha256=metadata.sha256,
        is_stored=lambda key: platform.store.head(key) is not None,
    )
    assert row is not None
    return row
