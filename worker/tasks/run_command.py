"""A command of the pipeline in a supervised process, on behalf of a job: its reports, its exit, its result."""

import json
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from core.db.tables import JobRow
from core.domain.errors import (
    DarkroomError,
    DatasetRejected,
    NoSpace,
    OutOfMemory,
    OutOfSpace,
    PreparationFailed,
    PrepareOutOfMemory,
    PrepareTimedOut,
)
from core.domain.limits import MAX_FINDINGS_KEPT
from core.services.jobs.lifecycle import ValidationResult, reject_job
from pipeline.process.child import EXIT_OK
from pipeline.process.results import (
    FINDINGS_FILE,
    ExtendedArchive,
    ImportedArchive,
    Prepared,
    Rejection,
    RepairedArchive,
    read_result,
)
from pipeline.process.specs import ChildSpec
from worker.supervision.exit_causes import cause_of, killed_from_outside
from worker.supervision.supervisor import supervise
from worker.tasks.attempt import Attempt
from worker.tasks.stage_reporter import StageReporter

FINDING_FIELDS = ("code", "severity", "path", "line", "detail", "remedy", "image")
NOTHING_FOUND = ValidationResult(kind=None, format=None, classes=None, images=None, counts={}, findings=())

Result = TypeVar("Result", Prepared, RepairedArchive, ExtendedArchive, ImportedArchive)


def in_child(attempt: Attempt[JobRow], spec: ChildSpec, result: type[Result]) -> Result | None:
    """Run a command to its end and read its result. None: it was killed, or rejected the data; the row has moved on.

    Raises PreparationFailed, OutOfSpace, NoSpace, DatasetRejected, and what ends a lease.
    """
    spec.out.mkdir()
    log_path = spec.out.with_suffix(".log")
    reporter = StageReporter(attempt)
    limit_seconds = attempt.platform.settings.prepare_seconds
    ended = supervise(
        attempt.lease,
        attempt.worker.launcher,
        spec,
        log_path=log_path,
        report=reporter.report,
        limit_seconds=limit_seconds,
    )
    if ended.out_of_time:
        detail = f"It was ended after {limit_seconds:g} seconds; DARKROOM_PREPARE_SECONDS allows more."
        raise PrepareTimedOut(detail, limit_seconds=limit_seconds, setting="DARKROOM_PREPARE_SECONDS")
    if killed_from_outside(ended):
        attempt.lose(PreparationFailed(f"The preparation was killed by signal {-ended.status} again and again."))
        return None
    found = read_result(spec.out)
    if ended.status != EXIT_OK or not isinstance(found, result | Rejection):
        raise _as_failure_of_job(cause_of(ended, spec.out, log_path), spec)
    return _unless_rejected(attempt, found, spec.out)


def prepared_in(attempt: Attempt[JobRow], out: Path) -> Prepared | None:
    """What a command has prepared in another folder than its own. None: it was rejected, and the row has moved on.

    Raises PreparationFailed, and what ends a lease.
    """
    found = read_result(out)
    if not isinstance(found, Prepared | Rejection):
        raise PreparationFailed("The preparation has left no result.")
    return _unless_rejected(attempt, found, out)


def _unless_rejected(attempt: Attempt[JobRow], found: Result | Rejection, out: Path) -> Result | None:
    if isinstance(found, Rejection):
        reject(attempt, found.problem.as_error(), _outcome_of(found, out))
        return None
    return found


def reject(attempt: Attempt[JobRow], error: DarkroomError, outcome: ValidationResult = NOTHING_FOUND) -> None:
    """The data's fault: the job ends with its findings. Raises ClaimLost."""
    attempt.lease.retry_until_lost(lambda: reject_job(attempt.db, attempt.claim, error, outcome))
    attempt.log.info("job.rejected", slug=error.slug)


def findings_in(out: Path) -> list[dict[str, Any]]:
    """The first MAX_FINDINGS_KEPT; the result counts all of them."""
    path = out / FINDINGS_FILE
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as lines:
        findings = map(json.loads, islice(lines, MAX_FINDINGS_KEPT))
        return [{name: finding.get(name) for name in FINDING_FIELDS} for finding in findings]


def _outcome_of(rejection: Rejection, out: Path) -> ValidationResult:
    return ValidationResult(
        kind=rejection.kind,
        format=rejection.format,
        classes=None,
        images=None,
        counts=rejection.findings,
        findings=findings_in(out),
    )


def _as_failure_of_job(cause: DarkroomError, spec: ChildSpec) -> DarkroomError:
    """A child that crashed is a failure of ours, not of the data."""
    if isinstance(cause, OutOfMemory) and spec.memory_bytes:
        detail = f"{cause.detail} It may allocate {spec.memory_bytes} bytes; DARKROOM_PREPARE_MEMORY_BYTES allows more."
        limit = {"limit_bytes": spec.memory_bytes, "setting": "DARKROOM_PREPARE_MEMORY_BYTES"}
        return PrepareOutOfMemory(detail, **limit, **cause.facts)
    if isinstance(cause, PreparationFailed | OutOfSpace | NoSpace | DatasetRejected):
        return cause
    return PreparationFailed(cause.detail, **{"cause": cause.slug, **cause.facts})
