"""Use cases of a run as the worker sees it: claim -> report, checkpoint -> publish | fail | cancelled | give back."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement

from core import clock
from core.db import Database
from core.db.clock import db_now
from core.db.tables import ArtifactRow, JobRow, RunRow, VersionRow
from core.db.transitions import change_job, change_run, move_run
from core.domain.errors import DarkroomError
from core.domain.ids import new_id
from core.domain.states import JobState, RunState
from core.services.runs.logs import keep_log
from core.services.work.leases import Claim, ClaimLost


@dataclass(frozen=True, slots=True)
class PublishedArtifact:
    """A stored object that a version will name."""

    name: str
    key: str
    bytes: int
    sha256: str
    media_type: str


@dataclass(frozen=True, slots=True)
class ClaimStatus:
    """What a supervisor must know several times a second."""

    mine: bool  # running or cancelling, and the attempt is still ours
    cancel: bool
    stop: bool


def claim_run(db: Database, run_id: str, worker: str, *, lease_seconds: float) -> tuple[Claim, RunRow] | None:
    """Begin an attempt: queued -> running. None: it is not waiting any more."""
    with db.transaction() as session:
        row = move_run(
            session,
            run_id,
            RunState.RUNNING,
            attempt=RunRow.attempt + 1,
            stage="fetching",
            worker=worker,
            started_at=clock.now(),
            lease_expires_at=db_now() + lease_seconds,
        )
    return (Claim(row.id, row.attempt), row) if row else None


def poll_run(db: Database, claim: Claim) -> ClaimStatus:
    """Is it still ours, and was it asked to cancel or to stop?"""
    with db.reading() as session:
        row = session.get(RunRow, claim.id)
    active = row is not None and row.state in (RunState.RUNNING, RunState.CANCELLING)
    mine = active and row is not None and row.attempt == claim.attempt
    return ClaimStatus(
        mine=mine,
        cancel=mine and row is not None and row.state == RunState.CANCELLING,
        stop=mine and row is not None and row.stop_requested,
    )


def report_run(db: Database, claim: Claim, event: str, **changes: Any) -> None:
    """Tell a stage, a progress {epoch, epochs, metrics, seconds_left} or notes. Raises ClaimLost."""
    with db.transaction() as session:
        if change_run(session, claim.id, event, where=_mine(claim), **changes) is None:
            raise ClaimLost


def note_system(db: Database, claim: Claim, sample: dict[str, float]) -> None:
    """Tell a sample of the child's processor, memory and GPU; nothing that polling shows. Raises ClaimLost."""
    with db.transaction() as session:
        if change_run(session, claim.id, "system", where=_mine(claim), extra={"system": sample}) is None:
            raise ClaimLost


def record_checkpoint(db: Database, claim: Claim, *, key: str, epoch: int, sha256: str) -> None:
    """Name a stored checkpoint as the one to go on from. Raises ClaimLost."""
    report_run(
        db,
        claim,
        "checkpoint",
        checkpoint_key=key,
        checkpoint_epoch=epoch,
        checkpoint_sha256=sha256,
        checkpoint_at=clock.now(),
        refusals=0,  # the store takes again, and hours may lie behind it
    )


def publish_version(
    db: Database,
    claim: Claim,
    *,
    metrics: dict[str, Any],
    weights_name: str,
    artifacts: Sequence[PublishedArtifact],
    log_key: str | None,
) -> VersionRow:
    """One transaction: the next number of the job, the version with its artifacts, the run succeeded.

    Numbers have no gaps and are given once: the job's counter and the guarded move commit together or not at all.
    Raises ClaimLost.
    """
    with db.transaction() as session:
        before = session.get(RunRow, claim.id)
        if before is None:
            raise ClaimLost
        ready = (JobRow.state == str(JobState.READY),)
        job = change_job(session, before.job_id, "version", where=ready, last_version=JobRow.last_version + 1)
        if job is None:
            raise ClaimLost
        run = move_run(
            session,
            claim.id,
            RunState.SUCCEEDED,
            fence=claim.attempt,
            stage=None,
            version=job.last_version,
            log_key=log_key,
            **_ended(),
        )
        if run is None:
            raise ClaimLost
        keep_log(session, claim, log_key)
        version = VersionRow(
            id=new_id("version", clock.now_ms()),
            job_id=job.id,
            number=job.last_version,
            run_id=run.id,
            attempt=claim.attempt,
            trainer=run.trainer,
            params=run.params,
            metrics=metrics,
            fingerprint=run.fingerprint,
            weights_name=weights_name,
            created_at=clock.now(),
        )
        session.add(version)
        session.flush()
        session.add_all(ArtifactRow(version_id=version.id, **asdict(artifact)) for artifact in artifacts)
    return version


def fail_run(db: Database, claim: Claim, error: DarkroomError, *, log_key: str | None) -> None:
    """running -> failed with a typed cause. Raises ClaimLost."""
    changes = {"stage": None, "problem": error.as_problem(), **_ended()}
    _move_mine(db, claim, RunState.FAILED, log_key=log_key, **changes)


def finish_cancel(db: Database, claim: Claim, *, log_key: str | None) -> None:
    """cancelling -> cancelled. Raises ClaimLost."""
    changes = {"stage": None, **_ended()}
    _move_mine(db, claim, RunState.CANCELLED, sources=[RunState.CANCELLING], log_key=log_key, **changes)


def give_back_run(db: Database, claim: Claim, *, later: bool = False, log_key: str | None = None) -> None:
    """running -> queued: the worker is told to end. The sweep rings, at once. Raises ClaimLost.

    `later`: it met an Unavailable; the sweep rings after a pause that doubles each time.
    """
    enqueue: dict[str, Any] = {"enqueued_at": db_now()} if later else {"enqueue_count": 0, "enqueued_at": None}
    changes = {"stage": None, "lease_expires_at": None, **enqueue}
    _move_mine(db, claim, RunState.QUEUED, sources=[RunState.RUNNING], log_key=log_key, **changes)


def _move_mine(
    db: Database,
    claim: Claim,
    to: RunState,
    *,
    sources: Collection[RunState] | None = None,
    log_key: str | None,
    **changes: Any,
) -> None:
    if log_key is not None:  # else the row keeps naming an earlier attempt's
        changes["log_key"] = log_key
    with db.transaction() as session:
        if move_run(session, claim.id, to, sources=sources, fence=claim.attempt, **changes) is None:
            raise ClaimLost
        keep_log(session, claim, log_key)


def _mine(claim: Claim) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    active = [str(RunState.RUNNING), str(RunState.CANCELLING)]
    return (RunRow.attempt == claim.attempt, RunRow.state.in_(active))


def _ended() -> dict[str, Any]:
    return {"finished_at": clock.now(), "lease_expires_at": None}
