"""Totals since the database was made, for /metrics: how rows ended, leases lost, seconds spent in stages.

They are rows, because workers have no port to be asked at, and counting the rows of runs would take longer with each.
An addition is written as the last statement of its transaction, in a fixed order: no deadlock, and both or neither.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from core.db.tables import TotalRow

_PENDING = "totals"


@dataclass(frozen=True, slots=True)
class Total:
    name: str
    labels: Mapping[str, str]
    value: float


def add_total(session: Session, name: str, labels: Mapping[str, str], value: float = 1.0) -> None:
    """Add to a total when the transaction ends. `labels` take few values: each combination is a row for good."""
    pending: dict[tuple[str, str], float] = session.info.setdefault(_PENDING, {})
    key = name, json.dumps(dict(labels), sort_keys=True)
    pending[key] = pending.get(key, 0.0) + value


def write_totals(session: Session) -> None:
    """Called at the end of every transaction."""
    pending: dict[tuple[str, str], float] = session.info.pop(_PENDING, {})
    insert = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    for (name, labels), value in sorted(pending.items()):
        statement = insert(TotalRow).values(name=name, labels=labels, value=value)
        added = {"value": TotalRow.value + statement.excluded.value}
        session.execute(statement.on_conflict_do_update(index_elements=["name", "labels"], set_=added))


def read_totals(session: Session) -> list[Total]:
    rows = session.execute(select(TotalRow).order_by(TotalRow.name, TotalRow.labels)).scalars()
    return [Total(row.name, json.loads(row.labels), row.value) for row in rows]
