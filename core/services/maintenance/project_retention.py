"""How long each project keeps what can be deleted: its own days, else those of the installation.

The installation has settings for sources and checkpoints alone: everything else stays, unless a project says days.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, true

from core import clock
from core.db import Database
from core.db.tables import JobRow, ProjectRow, RunRow
from core.domain.retention import FreeableKind, Retention, retention_of
from core.services.projects.lookup import project_in
from core.services.storage.freeable import Scope, Where
from core.services.storage.freeing import free_some

_PROJECT_OF = {FreeableKind.SOURCES: JobRow.project_id, FreeableKind.CHECKPOINTS: RunRow.project_id}
_BY_PROJECT_ALONE = tuple(kind for kind in FreeableKind if kind not in _PROJECT_OF)


@dataclass(frozen=True, slots=True)
class Deadline:
    """What was made or has ended before `before` goes; `which`: the condition of the projects that it holds for."""

    before: datetime
    which: Where


def own_retentions(db: Database) -> Mapping[str, Retention]:
    """By the id of the project, of those that have one."""
    own = (ProjectRow.deleted_at.is_(None), ProjectRow.own_retention == true())
    with db.reading() as session:
        found = session.execute(select(ProjectRow.id, ProjectRow.settings).where(*own).order_by(ProjectRow.id))
        return {project_id: retention_of(settings) for project_id, settings in found.all()}


def deadlines(kind: FreeableKind, own: Mapping[str, Retention], *, installation_days: float) -> list[Deadline]:
    """Of sources or checkpoints: one for all projects without days of their own, one for each that has some."""
    column = _PROJECT_OF[kind]
    days = {project_id: value for project_id, each in own.items() if (value := each.days(kind)) is not None}
    others: Where = (column.not_in(sorted(days)),) if days else ()
    each = [Deadline(_ago(value), (column == project_id,)) for project_id, value in days.items()]
    return [Deadline(_ago(installation_days), others), *each]


def free_by_retention(db: Database, own: Mapping[str, Retention]) -> int:
    """Mark what projects keep no longer of what is made of datasets and versions. Returns the number of rows.

    By the rules of a purge: never what an alias points at, nor what work needs. A kind with more than a few rows goes
    on with the next round. Their objects are deleted as those of all that is marked.
    """
    count = 0
    for project_id, retention in own.items():
        for kind in _BY_PROJECT_ALONE:
            if (days := retention.days(kind)) is not None:
                count += _free(db, kind, Scope(project_id, _ago(days), retention.keep_versions))
    return count


def _free(db: Database, kind: FreeableKind, scope: Scope) -> int:
    with db.transaction() as session:
        project_in(session, scope.project_id, lock=True, allow_deleted=True)
        return free_some(session, kind, scope).count


def _ago(days: float) -> datetime:
    return clock.now() - timedelta(days=days)
