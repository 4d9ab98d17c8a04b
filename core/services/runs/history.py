"""What a run reported while it went, read from its events: figures of each epoch, samples of the machine, its steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from core.db import Database
from core.db.tables import EventRow

MOST_EPOCHS = 1000  # more are thinned out evenly: a chart is not wider than that
MOST_SAMPLES = 240
MOST_STEPS = 200
_STEPS, _SAMPLE = ("state", "progress"), "system"
_AT_ONCE = 500  # rows


@dataclass(frozen=True, slots=True)
class Step:
    """`name`: a state, or a stage of it; `attempt`: the one that it belongs to, 0 before the first."""

    at: datetime
    name: str
    attempt: int
    is_state: bool


@dataclass(frozen=True, slots=True)
class RunHistory:
    """`epochs`: number of the epoch -> its metrics, where a number that was not finite is None.

    `samples`: the time in seconds since 1970, and `cpu_percent`, `memory_bytes`, where there is a GPU `gpu_percent` and
    `gpu_memory_bytes`. `steps`: oldest first, the newest MOST_STEPS.
    """

    epochs: Mapping[int, Mapping[str, float | None]]
    samples: Sequence[tuple[float, Mapping[str, float]]]
    steps: Sequence[Step]


def read_history(db: Database, run_id: str) -> RunHistory:
    """An epoch that a later attempt repeated has the later figures. Empty for a run that is not there."""
    mine = EventRow.subject_id == run_id
    reported = select(EventRow.type, EventRow.at, EventRow.data).where(mine, EventRow.type.in_(_STEPS))
    epochs: dict[int, Mapping[str, float | None]] = {}
    steps: list[Step] = []
    attempt = 0
    with db.reading() as session:
        for kind, at, data in session.execute(reported.order_by(EventRow.seq).execution_options(yield_per=_AT_ONCE)):
            attempt = data.get("attempt", attempt)
            if kind == "state":
                steps.append(Step(at, str(data.get("state", "")), attempt, is_state=True))
            elif data.get("stage"):
                steps.append(Step(at, str(data["stage"]), attempt, is_state=False))
            progress = data.get("progress") or {}
            if kind == "progress" and isinstance(progress.get("epoch"), int):
                epochs[progress["epoch"]] = progress.get("metrics") or {}
        samples = _samples(session, mine)
    kept = _thinned(sorted(epochs), MOST_EPOCHS)
    return RunHistory({number: epochs[number] for number in kept}, samples, steps[-MOST_STEPS:])


def _samples(session: Session, mine: ColumnElement[bool]) -> list[tuple[float, Mapping[str, float]]]:
    """A run of three days has 17,000: those that are kept alone are read as a whole."""
    taken = (mine, EventRow.type == _SAMPLE)
    # As rows of the connection: thousands of them as rows of the session take three times as long.
    numbers = session.connection().execute(select(EventRow.seq).where(*taken).order_by(EventRow.seq)).scalars().all()
    kept = EventRow.seq.in_(_thinned(numbers, MOST_SAMPLES))
    rows = session.execute(select(EventRow.at, EventRow.data).where(mine, kept).order_by(EventRow.seq))
    return [(at.timestamp(), data["system"]) for at, data in rows if isinstance(data.get("system"), dict)]


def _thinned(items: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of them, evenly, with the last one."""
    stride = -(-len(items) // most) or 1
    return list(items[::-1][::stride])[::-1]
