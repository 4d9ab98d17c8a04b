"""Every change of a job or a run, in one guarded statement with its event.

`UPDATE ... SET state=:to, event_seq=event_seq+1 WHERE id=:id AND state IN (:from) AND attempt=:fence RETURNING ...`
No row comes back: it is not yours any more. The event in the same transaction is a merge patch of what polling
shows, so that every polled state equals the fold of some prefix of the events.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import Session

from core import clock
from core.db.tables import EventRow, JobRow, RunRow
from core.domain.states import JobState, RunState, job_sources, run_sources

# What polling shows and events carry: the fields of the JSON, by the same names.
JOB_FIELDS = (
    "name", "state", "stage", "progress", "problem", "attempt", "kind", "format", "classes", "images", "findings",
    "fingerprint", "content_fingerprint", "last_version", "started_at", "finished_at", "deleted_at",
)  # fmt: skip
RUN_FIELDS = (
    "state", "stage", "progress", "notes", "problem", "attempt", "version", "stop_requested", "checkpoint_epoch",
    "started_at", "finished_at",
)  # fmt: skip


def public_fields(row: JobRow | RunRow) -> dict[str, Any]:
    """The fields of a row that polling shows, as JSON values; `fold(events)` ends in the same."""
    names = JOB_FIELDS if isinstance(row, JobRow) else RUN_FIELDS
    return {name: _plain(getattr(row, name)) for name in names}


def move_job(
    session: Session,
    job_id: str,
    to: JobState,
    *,
    sources: Collection[JobState] | None = None,
    fence: int | None = None,
    where: Collection[ColumnElement[bool]] = (),
    **changes: Any,
) -> JobRow | None:
    """Move a job; None when it was not in a state that allows it, or `fence` is not its current attempt."""
    guards = [JobRow.state.in_([str(state) for state in sources or job_sources(to)]), *where]
    if fence is not None:
        guards.append(JobRow.attempt == fence)
    return change_job(session, job_id, "state", where=guards, state=str(to), **changes)


def move_run(
    session: Session,
    run_id: str,
    to: RunState,
    *,
    sources: Collection[RunState] | None = None,
    fence: int | None = None,
    where: Collection[ColumnElement[bool]] = (),
    **changes: Any,
) -> RunRow | None:
    """Move a run; None when it was not in a state that allows it, or `fence` is not its current attempt."""
    guards = [RunRow.state.in_([str(state) for state in sources or run_sources(to)]), *where]
    if fence is not None:
        guards.append(RunRow.attempt == fence)
    return change_run(session, run_id, "state", where=guards, state=str(to), **changes)


def change_job(
    session: Session, job_id: str, event: str, *, where: Collection[ColumnElement[bool]] = (), **changes: Any
) -> JobRow | None:
    """Change a job under guards and tell it as an event of type `event`."""
    statement = (
        update(JobRow)
        .where(JobRow.id == job_id, *where)
        .values(event_seq=JobRow.event_seq + 1, updated_at=clock.now(), **changes)
        .returning(JobRow)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    row = session.execute(statement).scalar_one_or_none()
    if row is not None:
        tell(session, row, event, changes)
    return row


def change_run(
    session: Session,
    run_id: str,
    event: str,
    *,
    where: Collection[ColumnElement[bool]] = (),
    extra: Mapping[str, Any] | None = None,
    **changes: Any,
) -> RunRow | None:
    """Change a run under guards and tell it as an event of type `event`. `extra` goes into the event alone."""
    statement = (
        update(RunRow)
        .where(RunRow.id == run_id, *where)
        .values(event_seq=RunRow.event_seq + 1, updated_at=clock.now(), **changes)
        .returning(RunRow)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    row = session.execute(statement).scalar_one_or_none()
    if row is not None:
        tell(session, row, event, changes, extra)
    return row


def tell(
    session: Session,
    row: JobRow | RunRow,
    event: str,
    changed: Collection[str],
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Add the event of a change just made, with the new value of each public field that changed."""
    shown = public_fields(row)
    data = {name: shown[name] for name in changed if name in shown}
    event_row = EventRow(
        subject_id=row.id, seq=row.event_seq, type=event, data=data | dict(extra or {}), at=row.updated_at
    )
    session.add(event_row)


def _plain(value: Any) -> Any:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
