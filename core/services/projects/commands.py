"""What a user does with a project: create, read, list, change. It is deleted with its jobs: core/services/jobs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import false, or_, select, update
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.inserting import insert_if_absent
from core.db.tables import ProjectRow, ProjectSlugRow, VersionRow
from core.domain.errors import ProjectExists
from core.domain.retention import RETENTION
from core.services.on_commit import OnCommit, do_nothing
from core.services.paging import Page, page_of
from core.services.projects.lookup import add_project, project_in, raise_if_no_slug


def create_project(
    db: Database,
    slug: str,
    *,
    title: str = "",
    description: str = "",
    kind: str | None = None,
    on_commit: OnCommit = do_nothing,
) -> ProjectRow:
    """Raises SlugInvalid, and ProjectExists for a slug that was ever given."""
    with db.transaction() as session:
        row = add_project(session, slug, title=title, description=description, kind=kind)
        if row is None:
            raise _taken(slug)
        on_commit(session, row)
    return row


def get_project(db: Database, ref: str) -> ProjectRow:
    """By its slug or its id. Raises ProjectNotFound, ProjectRenamed, Gone."""
    with db.reading() as session:
        return project_in(session, ref)


def list_projects(
    db: Database, *, cursor: str | None, limit: int, implicit: bool = False, search: str = ""
) -> Page[ProjectRow]:
    """Newest first. With `implicit`, those of single uploads too. `search`: a part of the name or the title."""
    statement = select(ProjectRow).where(ProjectRow.deleted_at.is_(None))
    if search:
        found = (column.icontains(search, autoescape=True) for column in (ProjectRow.slug, ProjectRow.title))
        statement = statement.where(or_(*found))
    if not implicit:
        statement = statement.where(ProjectRow.implicit == false())
    with db.reading() as session:
        return page_of(session, statement, ProjectRow.id, cursor=cursor, limit=limit, newest_first=True)


def update_project(
    db: Database,
    ref: str,
    *,
    slug: str | None = None,
    title: str | None = None,
    description: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> ProjectRow:
    """Change what is not None; an empty title is the slug. Another slug renames: the old one leads to it for ever.

    Of `settings` each name takes the place of the one before; None removes it.
    A renamed project takes more datasets, also one that was of a single upload.
    Raises ProjectNotFound, ProjectRenamed, Gone, SlugInvalid, ProjectExists.
    """
    with db.transaction() as session:
        row = project_in(session, ref, lock=True)
        if title == "" or (title is None and row.title == row.slug):
            title = slug or row.slug
        changes: dict[str, Any] = {"title": title, "description": description}
        if slug is not None and slug != row.slug:
            _give_slug(session, row, slug)
            changes |= {"slug": slug, "implicit": False}
        if settings is not None:
            merged = {name: value for name, value in {**row.settings, **settings}.items() if value is not None}
            changes |= {"settings": merged, "own_retention": RETENTION in merged}
        known = {name: value for name, value in changes.items() if value is not None}
        changed = update(ProjectRow).where(ProjectRow.id == row.id).values(**known, updated_at=clock.now())
        statement = changed.returning(ProjectRow).execution_options(populate_existing=True)
        return session.execute(statement).scalar_one()


def mark_project_deleted(session: Session, project_id: str, *, at: datetime | None = None) -> ProjectRow:
    """With the versions that have no job. Call it under the lock of the project, once its jobs are deleted. `at`: by
    default now."""
    at = at or clock.now()
    living = (VersionRow.project_id == project_id, VersionRow.deleted_at.is_(None))
    session.execute(update(VersionRow).where(*living).values(deleted_at=at, mlflow_deleted_at=at))
    deleted = update(ProjectRow).where(ProjectRow.id == project_id).values(deleted_at=at, updated_at=at)
    return session.execute(deleted.returning(ProjectRow).execution_options(populate_existing=True)).scalar_one()


def _give_slug(session: Session, row: ProjectRow, slug: str) -> None:
    """One that the project had before is given back to it."""
    raise_if_no_slug(slug)
    if insert_if_absent(session, ProjectSlugRow, {"slug": slug, "project_id": row.id}):
        return
    if session.get_one(ProjectSlugRow, slug).project_id != row.id:
        raise _taken(slug)


def _taken(slug: str) -> ProjectExists:
    return ProjectExists(f"The name {slug} is taken, by a project that has it or had it.", project=slug)
