"""The store said no: no permission, no such bucket. Unlike silence it does not pass by itself, so it is counted.

The row goes back as for silence, to be rung for later and later, MAX_REFUSALS times; then it fails and says why.
"""

from typing import Any

from core import clock
from core.db import Database
from core.db.clock import db_now
from core.db.tables import JobRow, RunRow
from core.db.transitions import move_job, move_run
from core.domain.errors import StoreRefused
from core.domain.limits import MAX_REFUSALS
from core.domain.states import JobState, RunState
from core.services.work.leases import Claim, ClaimLost


def refuse_job(db: Database, claim: Claim, error: StoreRefused) -> JobRow:
    """preparing -> received, for the last time -> failed with `error`. Raises ClaimLost."""
    with db.transaction() as session:
        before = session.get_one(JobRow, claim.id)
        last, changes = _counted(before.refusals + 1, error)
        to = JobState.FAILED if last else JobState.RECEIVED
        source = [JobState.PREPARING]
        row = move_job(session, claim.id, to, sources=source, fence=claim.attempt, progress=None, **changes)
    if row is None:
        raise ClaimLost
    return row


def refuse_run(db: Database, claim: Claim, error: StoreRefused) -> RunRow:
    """running -> queued, for the last time -> failed with `error`. Raises ClaimLost."""
    with db.transaction() as session:
        before = session.get_one(RunRow, claim.id)
        last, changes = _counted(before.refusals + 1, error)
        to = RunState.FAILED if last else RunState.QUEUED
        row = move_run(session, claim.id, to, sources=[RunState.RUNNING], fence=claim.attempt, **changes)
    if row is None:
        raise ClaimLost
    return row


def _counted(refusals: int, error: StoreRefused) -> tuple[bool, dict[str, Any]]:
    """Whether it is the last one, and what changes. Only who holds the attempt counts: no two count at once."""
    changes: dict[str, Any] = {"stage": None, "lease_expires_at": None, "refusals": refusals}
    if refusals >= MAX_REFUSALS:
        return True, changes | {"problem": error.as_problem(), "finished_at": clock.now()}
    return False, changes | {"enqueued_at": db_now()}
