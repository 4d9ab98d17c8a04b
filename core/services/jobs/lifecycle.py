"""Use cases of a job as the worker sees it: claim -> ... -> complete | reject | fail | give back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.clock import db_now
from core.db.inserting import insert_if_absent
from core.db.tables import DatasetRow, FindingRow, JobRow
from core.db.transitions import change_job, move_job
from core.domain.errors import DarkroomError
from core.domain.states import JobState
from core.services.work.leases import Claim, ClaimLost

LIVE, DELETING = "live", "deleting"
_ROWS_AT_ONCE = 1000
_SETS_TOLD = 10_000  # 700 KB of a child's spec; an older set is written again, and found to be there


@dataclass(frozen=True, slots=True)
class PreparedSet:
    """The object of a prepared set, as `put` answered it."""

    fingerprint: str
    layout_version: int
    key: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """What a child found out about an upload, ready or rejected."""

    kind: str | None
    format: str | None
    classes: list[str] | None
    images: int | None
    counts: dict[str, Any]  # findings: code -> {severity, count}
    findings: Sequence[Mapping[str, Any]]  # with code, severity, path, line, detail, remedy


def claim_job(db: Database, job_id: str, worker: str, *, lease_seconds: float) -> tuple[Claim, JobRow] | None:
    """Begin an attempt: received -> preparing. None: it is not waiting any more."""
    with db.transaction() as session:
        row = move_job(
            session,
            job_id,
            JobState.PREPARING,
            attempt=JobRow.attempt + 1,
            stage="fetching",
            progress=None,
            worker=worker,
            started_at=clock.now(),
            lease_expires_at=db_now() + lease_seconds,
        )
    return (Claim(row.id, row.attempt), row) if row else None


def report_job(db: Database, claim: Claim, **changes: Any) -> None:
    """Tell stage or progress ({done, total}). Raises ClaimLost."""
    with db.transaction() as session:
        mine = (JobRow.attempt == claim.attempt, JobRow.state == str(JobState.PREPARING))
        if change_job(session, claim.id, "progress", where=mine, **changes) is None:
            raise ClaimLost


def keep_source(db: Database, claim: Claim, *, name: str, key: str, size: int, sha256: str) -> JobRow:
    """The ZIP that this attempt made is stored: from here on it is what the job is made of. Raises ClaimLost."""
    mine = (JobRow.attempt == claim.attempt, JobRow.state == str(JobState.PREPARING))
    source = {"source_name": name, "source_key": key, "source_bytes": size, "source_sha256": sha256}
    with db.transaction() as session:
        row = change_job(session, claim.id, "progress", where=mine, progress=None, refusals=0, **source)
        if row is None:
            raise ClaimLost
    return row


def poll_job(db: Database, claim: Claim) -> bool:
    """Is it still ours? A deleted job is not."""
    with db.reading() as session:
        row = session.get(JobRow, claim.id)
    return row is not None and row.state == JobState.PREPARING and row.attempt == claim.attempt


def find_prepared_set(db: Database, fingerprint: str) -> DatasetRow | None:
    """The prepared set with this fingerprint, live or being deleted."""
    with db.reading() as session:
        return session.get(DatasetRow, fingerprint)


def live_fingerprints(db: Database) -> list[str]:
    """The newest prepared sets that are there: what a child need not write again."""
    with db.reading() as session:
        live = select(DatasetRow.fingerprint).where(DatasetRow.state == LIVE)
        return list(session.execute(live.order_by(DatasetRow.created_at.desc()).limit(_SETS_TOLD)).scalars())


def complete_job(
    db: Database,
    claim: Claim,
    outcome: ValidationResult,
    prepared: PreparedSet,
    *,
    content_fingerprint: str,
    metadata_key: str,
    metadata_sha256: str,
    is_stored: Callable[[str], bool],
) -> JobRow | None:
    """preparing -> ready, naming objects that are stored. Raises ClaimLost, and what `is_stored` raises.

    None: the set is being deleted, or has been. Wait until its row is gone, put the object again, and call again.
    `is_stored(key)` is asked inside the transaction, once for each set that is new.
    """
    with db.transaction() as session:
        if not _hold_prepared_set(session, prepared, is_stored):
            return None
        row = move_job(
            session,
            claim.id,
            JobState.READY,
            fence=claim.attempt,
            **_seen(outcome),
            fingerprint=prepared.fingerprint,
            content_fingerprint=content_fingerprint,
            metadata_key=metadata_key,
            metadata_sha256=metadata_sha256,
        )
        if row is None:
            raise ClaimLost
        _keep_findings(session, claim.id, outcome.findings)
    return row


def reject_job(db: Database, claim: Claim, error: DarkroomError, outcome: ValidationResult) -> JobRow:
    """preparing -> rejected: the user's data. Raises ClaimLost."""
    with db.transaction() as session:
        changes = _seen(outcome)
        row = move_job(session, claim.id, JobState.REJECTED, fence=claim.attempt, problem=error.as_problem(), **changes)
        if row is None:
            raise ClaimLost
        _keep_findings(session, claim.id, outcome.findings)
    return row


def fail_job(db: Database, claim: Claim, error: DarkroomError) -> JobRow:
    """preparing -> failed: ours, can be retried. Raises ClaimLost."""
    with db.transaction() as session:
        row = move_job(
            session,
            claim.id,
            JobState.FAILED,
            fence=claim.attempt,
            problem=error.as_problem(),
            progress=None,
            finished_at=clock.now(),
            lease_expires_at=None,
        )
        if row is None:
            raise ClaimLost
    return row


def give_back_job(db: Database, claim: Claim, *, later: bool = False) -> None:
    """preparing -> received: the worker is told to end. The sweep rings, at once. Raises ClaimLost.

    `later`: it met an Unavailable; the sweep rings after a pause that doubles each time.
    """
    enqueue = {"enqueued_at": db_now()} if later else {"enqueue_count": 0, "enqueued_at": None}
    with db.transaction() as session:
        row = move_job(
            session,
            claim.id,
            JobState.RECEIVED,
            sources=[JobState.PREPARING],
            fence=claim.attempt,
            stage=None,
            progress=None,
            lease_expires_at=None,
            **enqueue,
        )
        if row is None:
            raise ClaimLost


def _seen(outcome: ValidationResult) -> dict[str, Any]:
    return {
        "stage": None,
        "progress": None,
        "finished_at": clock.now(),
        "lease_expires_at": None,
        "kind": outcome.kind,
        "format": outcome.format,
        "classes": outcome.classes,
        "images": outcome.images,
        "findings": outcome.counts,
    }


def _hold_prepared_set(session: Session, prepared: PreparedSet, is_stored: Callable[[str], bool]) -> bool:
    """Add the set's row unless it is there, and lock it. False: it is being deleted, or has been."""
    values = {
        "fingerprint": prepared.fingerprint,
        "layout_version": prepared.layout_version,
        "state": LIVE,
        "key": prepared.key,
        "bytes": prepared.bytes,
        "sha256": prepared.sha256,
        "created_at": clock.now(),
    }
    # Two jobs with the same images may end at the same moment: one of them inserts.
    inserted = insert_if_absent(session, DatasetRow, values)
    # The object may have gone with a row that was there when this attempt looked. From here on the new row's lock
    # keeps whoever deletes sets away.
    if inserted and not is_stored(prepared.key):
        session.execute(delete(DatasetRow).where(DatasetRow.fingerprint == prepared.fingerprint))
        return False
    row = session.execute(
        select(DatasetRow).where(DatasetRow.fingerprint == prepared.fingerprint).with_for_update()
    ).scalar_one_or_none()
    return row is not None and row.state == LIVE


def _keep_findings(session: Session, job_id: str, findings: Sequence[Mapping[str, Any]]) -> None:
    session.execute(delete(FindingRow).where(FindingRow.job_id == job_id))
    numbered = ({"job_id": job_id, "number": n, **finding} for n, finding in enumerate(findings, start=1))
    for rows in _batches(numbered):
        session.execute(insert(FindingRow), rows)


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(rows, _ROWS_AT_ONCE)):
        yield batch
