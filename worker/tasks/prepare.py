"""A prepare task: claim -> source -> supervise -> store -> complete | reject. Of an extension one child makes both."""

from functools import partial
from pathlib import Path
from typing import Any

from core import clock
from core.db.tables import JobRow, TestSetRow
from core.domain.errors import DatasetRejected, PreparationFailed, ProjectKindMismatch, Unavailable
from core.domain.keys import metadata_key
from core.services.jobs.lifecycle import ValidationResult, complete_job, live_fingerprints
from core.services.projects.lookup import raise_if_other_kind
from core.services.projects.test_sets import TestSetChanged, extends, find_test_set
from core.storage import ObjectCorrupt, ObjectMissing
from pipeline.params.import_origin import ImportOrigin
from pipeline.params.prepare import PrepareOptions
from pipeline.process.results import METADATA_FILE, Prepared
from pipeline.process.specs import PrepareSpec
from worker.context import Worker
from worker.tasks.attempt import Attempt, run_attempt
from worker.tasks.extend import extend_source, extended_file, known_images, known_samples
from worker.tasks.run_command import findings_in, in_child, prepared_in, reject
from worker.tasks.source_zip import source_of
from worker.tasks.store_prepared import add_source, put_gallery, put_set, wait_until_deleted

DELETING_SECONDS = 30.0  # a set being deleted is one object and two statements


def prepare_job(worker: Worker, job_id: str) -> None:
    """Prepare an upload, if its job still waits; the row records how that ended. Raises Unavailable (the database)."""
    run_attempt(worker, JobRow, job_id, _prepare)


def _prepare(attempt: Attempt[JobRow], job: JobRow) -> None:
    is_new_extension = bool(job.extension) and job.source_key is None
    try:
        done = _extend(attempt, job) if is_new_extension else _prepare_source(attempt, job)
    except DatasetRejected as error:  # before any image was read: an import that is missing or cannot be used
        return reject(attempt, error)
    if done is not None:
        spec, prepared = done
        outcome = _outcome_of(prepared, spec.out)
        try:
            raise_if_other_kind(attempt.db, job.project_id, prepared.kind)  # before a set is stored that nobody needs
            _complete(attempt, spec, prepared, outcome)
        except ProjectKindMismatch as error:
            reject(attempt, error, outcome)
        except TestSetChanged:  # frozen while it prepared: another attempt compares its images with that one
            attempt.give_back(later=False)


def _prepare_source(attempt: Attempt[JobRow], job: JobRow) -> tuple[PrepareSpec, Prepared] | None:
    """None: the job has been rejected or given back."""
    source = source_of(attempt, job)
    if source is None:
        return None
    job, archive = source
    spec = _spec(attempt, job, archive, source=_describe_source(job))
    prepared = in_child(attempt, spec, Prepared)
    return None if prepared is None else (spec, prepared)


def _extend(attempt: Attempt[JobRow], job: JobRow) -> tuple[PrepareSpec, Prepared] | None:
    """As `_prepare_source`, of a ZIP that is known once it is made."""
    spec = _spec(attempt, job, extended_file(attempt), source={})
    extended = extend_source(attempt, job, spec)
    prepared = None if extended is None else prepared_in(attempt, spec.out)
    if extended is None or prepared is None:
        return None
    add_source(spec.out, _describe_source(extended))
    return spec, prepared


def _describe_source(job: JobRow) -> dict[str, Any]:
    """For the metadata."""
    source: dict[str, Any] = {"name": job.source_name, "bytes": job.source_bytes, "sha256": job.source_sha256}
    if job.huggingface:
        source["huggingface"] = job.huggingface
    if job.imported_from:
        source["imported_from"] = ImportOrigin.model_validate(job.imported_from).displayed()
    return source


def _spec(attempt: Attempt[JobRow], job: JobRow, archive: Path, *, source: dict[str, Any]) -> PrepareSpec:
    frozen = find_test_set(attempt.db, job.project_id)
    return PrepareSpec(
        archive=archive,
        out=attempt.scratch / "out",
        options=PrepareOptions.model_validate(job.options),
        processes=attempt.platform.settings.prepare_processes,
        memory_bytes=attempt.platform.settings.prepare_memory_bytes,
        job_id=job.id,
        source=source,
        repaired=job.repair_of is not None,
        extended=bool(job.extension),
        known=known_images(attempt, job),
        samples=known_samples(attempt, job),
        live_sets=frozenset(live_fingerprints(attempt.db)),
        tree=False,
        exclude=None if frozen is None else _fetch_list(attempt, frozen),
        keeps_frozen=frozen is not None and extends(attempt.db, job.id, frozen.job_id),
        generation=None if frozen is None else frozen.generation,
        exclusion_sha256=None if frozen is None else frozen.sha256,
    )


def _fetch_list(attempt: Attempt[JobRow], frozen: TestSetRow) -> Path:
    """The images of the frozen test set. Raises PreparationFailed, and as the store."""
    target = attempt.scratch / f"frozen-{frozen.generation}.json"
    try:
        stored = attempt.lease.run_in_thread(partial(attempt.platform.store.fetch, frozen.key, target))
    except (ObjectMissing, ObjectCorrupt) as error:
        detail = "The list of the frozen test images is missing or damaged in the object store."
        raise PreparationFailed(detail, key=frozen.key) from error
    if stored.sha256 != frozen.sha256:
        raise PreparationFailed("The stored list of frozen test images is not the one that was frozen.", key=frozen.key)
    return target


def _outcome_of(result: Prepared, out: Path) -> ValidationResult:
    return ValidationResult(
        kind=result.kind,
        format=result.format,
        classes=result.classes,
        images=result.images,
        counts=result.findings,
        findings=findings_in(out),
    )


def _complete(attempt: Attempt[JobRow], spec: PrepareSpec, result: Prepared, outcome: ValidationResult) -> None:
    """Raises TestSetChanged, ProjectKindMismatch."""
    claim, lease, store, out = attempt.claim, attempt.lease, attempt.platform.store, spec.out
    attempt.report_surely(stage="storing", progress=None)
    key = metadata_key(claim.id, claim.attempt)
    metadata = lease.run_in_thread(lambda: store.put(key, out / METADATA_FILE, media_type="application/json"))
    put_gallery(attempt, out, result.gallery)
    commit = partial(
        complete_job,
        attempt.db,
        claim,
        outcome,
        content_fingerprint=result.content_fingerprint,
        metadata_key=metadata.key,
        metadata_sha256=metadata.sha256,
        is_stored=lambda set_key: store.head(set_key) is not None,
        exclusions=_exclusions(spec, result),
    )
    ends = clock.monotonic() + DELETING_SECONDS
    while True:
        prepared = put_set(attempt, out, result)
        if lease.retry_until_lost(partial(commit, prepared=prepared)) is not None:
            attempt.log.info("job.ready", fingerprint=prepared.fingerprint, reused=result.tar_bytes is None)
            return
        if not wait_until_deleted(attempt, prepared.fingerprint, ends=ends):
            raise Unavailable("The same prepared dataset is being deleted.")


def _exclusions(spec: PrepareSpec, result: Prepared) -> dict[str, Any] | None:
    if spec.exclude is None:
        return None
    return {"generation": spec.generation, "sha256": spec.exclusion_sha256, "images": result.excluded}
