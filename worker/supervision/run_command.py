"""A verb of the pipeline in a child process, on behalf of a job: what it tells, how it ends, what it found out."""

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import structlog

from core import clock
from core.db.tables import JobRow
from core.domain.errors import DarkroomError, DatasetRejected, NoSpace, OutOfSpace, PreparationFailed, error_from_slug
from core.domain.limits import MAX_FINDINGS_KEPT
from core.services.jobs.lifecycle import ValidationResult, reject_job
from core.services.work.endings import lose_attempt
from core.services.work.leases import Claim, report_progress
from pipeline.process.child import EXIT_OK
from worker.context import Worker
from worker.supervision.child import child_command
from worker.supervision.exit_causes import cause_of, killed_from_outside
from worker.supervision.lease_keeper import LeaseKeeper
from worker.supervision.supervisor import supervise

PROGRESS_SECONDS = 1.0  # an event for each is kept: people look once a second at most
FINDING_FIELDS = ("code", "severity", "path", "line", "detail", "remedy")

log = structlog.get_logger(__name__)


def in_child(
    worker: Worker, lease: LeaseKeeper, claim: Claim, verb: str, out: Path, content: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Run a verb to its end and read what it found out. None: it was killed, and the attempt is given up."""
    out.mkdir()
    child_log, spec = out.with_suffix(".log"), out.with_suffix(".json")
    spec.write_text(json.dumps(content), encoding="utf-8")
    teller = Teller(worker, claim)
    ending = supervise(lease, child_command(verb, spec), out=out, log_path=child_log, tell=teller.tell)
    if killed_from_outside(ending):
        lost = PreparationFailed(f"The preparation was killed by signal {-ending.status} again and again.")
        lease.retry_until_lost(lambda: lose_attempt(worker.platform.db, JobRow, claim, lost))
        return None
    result = _read_json(out / "result.json")
    if ending.status != EXIT_OK or result is None:
        raise _ours(cause_of(ending, out, child_log))
    return result


def reject(worker: Worker, lease: LeaseKeeper, claim: Claim, error: DarkroomError, outcome: ValidationResult) -> None:
    """The data's fault, told with what was found out."""
    lease.retry_until_lost(lambda: reject_job(worker.platform.db, claim, error, outcome))
    log.info("job.rejected", job_id=claim.id, slug=error.slug)


def rejection_in(result: Mapping[str, Any]) -> DarkroomError:
    problem = result.get("problem") or {}
    return error_from_slug(
        problem.get("slug", DatasetRejected.slug), problem.get("detail", ""), **problem.get("facts", {})
    )


def outcome_of(out: Path, result: Mapping[str, Any]) -> ValidationResult:
    return ValidationResult(
        kind=result.get("kind"),
        format=result.get("format"),
        classes=result.get("classes"),
        images=result.get("images"),
        counts=result.get("findings") or {},
        findings=_findings(out / "findings.jsonl"),
    )


def nothing_seen() -> ValidationResult:
    return ValidationResult(kind=None, format=None, classes=None, images=None, counts={}, findings=())


def _findings(path: Path) -> list[dict[str, Any]]:
    """The first MAX_FINDINGS_KEPT; all of them are counted."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as lines:
        told = (json.loads(line) for line in islice(lines, MAX_FINDINGS_KEPT))
        return [{name: finding.get(name) for name in FINDING_FIELDS} for finding in told]


def _ours(cause: DarkroomError) -> DarkroomError:
    """What a child that crashed means for a job: ours, not the data's."""
    if isinstance(cause, PreparationFailed | OutOfSpace | NoSpace | DatasetRejected):
        return cause
    return PreparationFailed(cause.detail, **{"cause": cause.slug, **cause.facts})


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


class Teller:
    """Stages at once, progress within a stage at most once a second."""

    def __init__(self, worker: Worker, claim: Claim) -> None:
        self._db = worker.platform.db
        self._claim = claim
        self._told_at = float("-inf")

    def tell(self, line: Mapping[str, Any]) -> None:
        now = clock.monotonic()
        if line.get("type") == "stage":
            report_progress(self._db, JobRow, self._claim, stage=line["stage"], progress=None)
        elif line.get("type") == "progress" and now - self._told_at >= PROGRESS_SECONDS:
            self._told_at = now
            report_progress(self._db, JobRow, self._claim, progress={"done": line["done"], "total": line["total"]})
