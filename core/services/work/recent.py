"""Which projects, jobs, runs and operations changed lately, for those who look at lists."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import or_, select

from core.db import Database
from core.db.tables import JobRow, OperationRow, ProjectRow, RunRow

_MOST = 500  # of each kind; more changes at once are as good as all
_WORK: Mapping[str, type[JobRow | RunRow | OperationRow]] = {"jobs": JobRow, "runs": RunRow, "operations": OperationRow}
KINDS = ("projects", *_WORK)


class Change(NamedTuple):
    """`stamp` differs after each change of a row; `project` is the current name of its project."""

    kind: str
    name: str  # an id, or the name of a project
    project: str | None
    stamp: str


def changed_since(db: Database, since: datetime) -> list[Change]:
    """What has a time of change of `since` or later, by the clocks of the processes that changed it."""
    found: list[Change] = []
    touched = or_(ProjectRow.updated_at >= since, ProjectRow.active_at >= since)
    projects = select(ProjectRow.slug, ProjectRow.updated_at, ProjectRow.active_at, ProjectRow.deleted_at)
    with db.reading() as session:
        rows = session.execute(projects.where(touched).limit(_MOST))
        found += [Change("projects", slug, slug, str(times)) for slug, *times in rows]
        for kind, table in _WORK.items():
            changed = (
                select(table.id, table.event_seq, ProjectRow.slug)
                .outerjoin(ProjectRow, ProjectRow.id == table.project_id)
                .where(table.updated_at >= since)
                .limit(_MOST)
            )
            found += [Change(kind, row_id, slug, str(seq)) for row_id, seq, slug in session.execute(changed)]
    return found


def by_kind(changes: list[Change]) -> Mapping[str, list[str]]:
    """The names of each kind, sorted; a project is named with each change of what belongs to it."""
    names: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for change in changes:
        names[change.kind].add(change.name)
        if change.project:
            names["projects"].add(change.project)
    return {kind: sorted(found) for kind, found in names.items()}
