"""How the preparation of a job ends with a result: complete or reject.

What it shares with other leased work (claim, report, fail, give back, ...) is in core/services/work.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.inserting import insert_if_absent
from core.db.tables import DatasetRow, FindingRow, JobRow
from core.domain.errors import DarkroomError
from core.domain.states import JobState
from core.services.jobs.released_drafts import lock_drafts, release_corrections
from core.services.projects.lookup import give_kind
from core.services.projects.test_sets import raise_if_changed
from core.services.work.endings import end_attempt
from core.services.work.leases import Claim, report_progress

LIVE, DELETING = "live", "deleting"
_ROWS_AT_ONCE = 1000
_SETS_LISTED = 10_000  # 700 KB of a child's spec; an older set is written again, and its put finds the object


@dataclass(frozen=True, slots=True)
class PreparedSet:
    """The object of a prepared set, as `put` returned it, and that of its image index where the attempt made one."""

    fingerprint: str
    layout_version: int
    key: str
    bytes: int
    sha256: str
    index_key: str | None = None
    index_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """What the validation of an upload found, ready or rejected."""

    kind: str | None
    format: str | None
    classes: list[str] | None
    images: int | None
    counts: dict[str, Any]  # findings: code -> {severity, count}
    findings: Sequence[Mapping[str, Any]]  # with code, severity, path, line, detail, remedy, image


def keep_source(db: Database, claim: Claim, *, name: str, key: str, size: int, sha256: str, **known: Any) -> JobRow:
    """Name the stored ZIP that this attempt made (a repair, an import) as the job's source. `known`: what else is known
    of it, by columns. Raises ClaimLost."""
    source: dict[str, Any] = {"source_name": name, "source_key": key, "source_bytes": size, "source_sha256": sha256}
    return report_progress(db, JobRow, claim, progress=None, refusals=0, **source, **known)


def find_prepared_set(db: Database, fingerprint: str) -> DatasetRow | None:
    """The prepared set with this fingerprint, live or being deleted."""
    with db.reading() as session:
        return session.get(DatasetRow, fingerprint)


def live_fingerprints(db: Database) -> list[str]:
    """The newest live prepared sets: a child need not write them again."""
    with db.reading() as session:
        live = select(DatasetRow.fingerprint).where(DatasetRow.state == LIVE)
        return list(session.execute(live.order_by(DatasetRow.created_at.desc()).limit(_SETS_LISTED)).scalars())


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
    exclusions: Mapping[str, Any] | None = None,
) -> JobRow | None:
    """preparing -> ready, naming objects that are stored. The first of a project gives it its kind.

    `exclusions`: the {generation, sha256, images} of the frozen test set that its images were compared with.
    Raises ClaimLost, ProjectKindMismatch, TestSetChanged where another one is frozen by now, and what `is_stored`
    raises.

    None: the set is being deleted, or has been. Wait until its row is gone, put the object again, and call again.
    `is_stored(key)` is called inside the transaction, once for each set that is new.
    """
    with db.transaction() as session:
        if not _lock_prepared_set(session, prepared, is_stored):
            return None
        project_id = session.get_one(JobRow, claim.id).project_id
        if outcome.kind is not None:  # after the store was asked: no one waits for the project meanwhile
            give_kind(session, project_id, outcome.kind)
        raise_if_changed(session, project_id, exclusions["generation"] if exclusions else None)
        row = end_attempt(
            session,
            JobRow,
            claim,
            JobState.READY,
            **_columns_of(outcome),
            fingerprint=prepared.fingerprint,
            content_fingerprint=content_fingerprint,
            metadata_key=metadata_key,
            metadata_sha256=metadata_sha256,
            exclusions=None if exclusions is None else dict(exclusions),
        )
        _keep_findings(session, claim.id, outcome.findings)
    return row


def reject_job(db: Database, claim: Claim, error: DarkroomError, outcome: ValidationResult) -> JobRow:
    """preparing -> rejected: the user's data has errors. Raises ClaimLost."""
    with db.transaction() as session:
        lock_drafts(session, claim.id)
        changes = {"problem": error.as_problem(), **_columns_of(outcome)}
        row = end_attempt(session, JobRow, claim, JobState.REJECTED, **changes)
        _keep_findings(session, claim.id, outcome.findings)
        release_corrections(session, claim.id)
    return row


def _columns_of(outcome: ValidationResult) -> dict[str, Any]:
    return {
        "kind": outcome.kind,
        "format": outcome.format,
        "classes": outcome.classes,
        "images": outcome.images,
        "findings": outcome.counts,
        "extra": {"class_count": None if outcome.classes is None else len(outcome.classes)},  # of the event alone
    }


def _lock_prepared_set(session: Session, prepared: PreparedSet, is_stored: Callable[[str], bool]) -> bool:
    """Add the set's row unless it exists, and lock it. False: it is being deleted, or has been."""
    values = {
        "fingerprint": prepared.fingerprint,
        "layout_version": prepared.layout_version,
        "state": LIVE,
        "key": prepared.key,
        "bytes": prepared.bytes,
        "sha256": prepared.sha256,
        "index_key": prepared.index_key,
        "index_bytes": prepared.index_bytes,
        "created_at": clock.now(),
    }
    # Two jobs with the same images may end at the same moment: one of them inserts the row.
    inserted = insert_if_absent(session, DatasetRow, values)
    # The object may have been deleted with a row that this attempt read earlier. From here on the new row's lock keeps
    # the deletion of sets away.
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
