"""Every change of a row with a lease, in one guarded statement with its event.

`UPDATE ... SET state=:to, event_seq=event_seq+1 WHERE id=:id AND state IN (:from) AND attempt=:fence RETURNING ...`
No row comes back when the claim is lost or the move is not allowed. The event in the same transaction is a merge patch
of what polling returns, so that every polled state equals the fold of some prefix of the events.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import Session

from core import clock
from core.db.base import Leased
from core.db.tables import EventRow
from core.db.totals import add_total

Row = TypeVar("Row", bound=Leased)

ENDED = "ended"  # the total of rows by the state and the cause they ended with


def move(
    session: Session,
    table: type[Row],
    row_id: str,
    to: StrEnum,
    *,
    sources: Collection[StrEnum] | None = None,
    fence: int | None = None,
    where: Collection[ColumnElement[bool]] = (),
    **changes: Any,
) -> Row | None:
    """Move a row to another state; None when its state does not allow it or `fence` is not its current attempt.

    `sources` are the states it may be in; without them, all from which its lifecycle has a move to `to`.
    """
    allowed = table.lifecycle.sources(to) if sources is None else sources
    guards = [table.state.in_(sorted(allowed)), *where]
    if fence is not None:
        guards.append(table.attempt == fence)
    row = change(session, table, row_id, "state", where=guards, state=str(to), **changes)
    if row is not None and to in table.lifecycle.ended:
        cause = str((row.problem or {}).get("slug", ""))
        add_total(session, ENDED, {"of": table.noun(), "state": str(to), "cause": cause})
    return row


def change(
    session: Session,
    table: type[Row],
    row_id: str,
    event: str,
    *,
    where: Collection[ColumnElement[bool]] = (),
    extra: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Row | None:
    """Change a row under guards, with an event of type `event`. `extra` goes into the event alone."""
    statement = (
        update(table)
        .where(table.id == row_id, *where)
        .values(event_seq=table.event_seq + 1, updated_at=clock.now(), **changes)
        .returning(*table.whole())
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    row = session.execute(statement).scalar_one_or_none()
    if row is not None:
        record_event(session, row, event, changes, extra)
    return row


def record_event(
    session: Session, row: Leased, event: str, changed: Collection[str], extra: Mapping[str, Any] | None = None
) -> None:
    """Add the event of a change just made, with the new value of each public field that changed."""
    fields = public_fields(row)
    data = {name: fields[name] for name in changed if name in fields}
    event_row = EventRow(
        subject_id=row.id, seq=row.event_seq, type=event, data=data | dict(extra or {}), at=row.updated_at
    )
    session.add(event_row)


def public_fields(row: Leased) -> dict[str, Any]:
    """The fields of a row that polling returns, as JSON values; the fold of its events ends in the same."""
    return {
        name: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for name, value in row.public_values().items()
    }
