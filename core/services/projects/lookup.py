"""Finding a project by its slug or id inside a transaction, opening one for an upload, its counters and its kind.

Rows are locked in this order: project, job, run; several projects by their ids (`lock_projects`). So two transactions
never wait for each other. A project is locked FOR NO KEY UPDATE: a run or a job that is inserted, and names it, waits
for no one who has it locked.
"""

from collections.abc import Collection, Mapping
from itertools import chain, count, islice

from sqlalchemy import Update, bindparam, delete, or_, select, update
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.inserting import insert_if_absent
from core.db.tables import ProjectRow, ProjectSlugRow
from core.domain.errors import (
    Gone,
    ProjectIsImplicit,
    ProjectKindMismatch,
    ProjectNotFound,
    ProjectRenamed,
    SlugInvalid,
)
from core.domain.ids import new_id
from core.domain.slugs import MAX_SLUG, is_slug, slug_with_suffix
from core.services.projects.deleted import deleted_project

_BY_ID = select(ProjectRow).where(ProjectRow.id == bindparam("ref"))
_SLUGS = select(ProjectRow.id, ProjectRow.slug).where(ProjectRow.id.in_(bindparam("ids", expanding=True)))
_BY_SLUG = (
    select(ProjectRow)
    .join(ProjectSlugRow, ProjectSlugRow.project_id == ProjectRow.id)
    .where(ProjectSlugRow.slug == bindparam("ref"))
)

_UNJOINABLE = (
    select(ProjectSlugRow.slug)
    .join(ProjectRow, ProjectRow.id == ProjectSlugRow.project_id)
    .where(ProjectSlugRow.slug.in_(bindparam("slugs", expanding=True)))
    .where(or_(ProjectRow.deleted_at.is_not(None), ProjectRow.implicit))
)
_SLUGS_READ = 100  # by one query


def project_in(
    session: Session, ref: str, *, lock: bool = False, allow_deleted: bool = False, follow: bool = False
) -> ProjectRow:
    """By its slug or its id. Raises ProjectNotFound, Gone, and ProjectRenamed for a slug of before a renaming.

    `follow`: such a slug leads to its project instead.
    """
    row = _found(session, ref, lock=lock)
    if row is None:
        raise ProjectNotFound(f"There is no project {ref[:80]}.", project=ref[:80])
    if row.deleted_at is not None and not allow_deleted:
        raise deleted_project(row, ref)
    if ref not in (row.id, row.slug) and not follow:
        raise ProjectRenamed(f"The project {ref} is called {row.slug} now.", project=row.slug, old=ref)
    return row


def slugs_of(db: Database, project_ids: Collection[str]) -> Mapping[str, str]:
    """The current name of each project, by its id."""
    if not project_ids:
        return {}
    with db.reading() as session:
        return dict(session.execute(_SLUGS, {"ids": sorted(project_ids)}).all())


def join_project(session: Session, slug: str, *, kind: str | None = None) -> ProjectRow:
    """The project with this slug, now or before a renaming; made if there is none. Its row is locked.

    `kind`: of the dataset that joins it, where that is known.
    Raises SlugInvalid, ProjectIsImplicit, ProjectKindMismatch, Gone.
    """
    row = _found(session, slug, lock=True) or _added(session, slug)
    _refuse_joining(row, slug, kind)
    return row


def lock_projects(session: Session, *refs: str) -> None:
    """Of each slug or id the project, if there is one. A project that is made later comes last by its id too."""
    found = (_found(session, ref, lock=False) for ref in refs)
    for project_id in sorted({row.id for row in found if row is not None}):
        _found(session, project_id, lock=True)


def raise_if_not_joinable(db: Database, slug: str) -> None:
    """Before anything is sent: what `join_project` would raise now. A project that does not exist is not made."""
    with db.reading() as session:
        row = _found(session, slug, lock=False)
    if row is None:
        raise_if_no_slug(slug)
    else:
        _refuse_joining(row, slug, None)


def free_slug(db: Database, slug: str) -> str:
    """`slug`, or the first of `slug-2`, `slug-3`, ... that datasets may join: no deleted project had it."""
    names = chain([slug], (f"{slug}-{number}" for number in count(2)))
    with db.reading() as session:
        while True:
            wanted = list(islice(names, _SLUGS_READ))
            taken = set(session.execute(_UNJOINABLE, {"slugs": wanted}).scalars())
            if free := [name for name in wanted if name not in taken]:
                return free[0]


def open_implicit(session: Session, job_id: str, name: str) -> ProjectRow:
    """The project of an upload that names none."""
    project_id = f"project_{job_id.removeprefix('job_')}"
    row = new_project(project_id, slug_with_suffix(name, job_id), title=name, implicit=True)
    return _insert(session, row)


def add_project(
    session: Session, slug: str, *, title: str = "", description: str = "", kind: str | None = None
) -> ProjectRow | None:
    """A new project; None when the slug has been given before. Raises SlugInvalid."""
    raise_if_no_slug(slug)
    row = new_project(new_id("project", clock.now_ms()), slug, title=title or slug, description=description, kind=kind)
    session.add(row)
    session.flush()
    if insert_if_absent(session, ProjectSlugRow, {"slug": slug, "project_id": row.id}):
        return row
    session.expunge(row)
    session.execute(delete(ProjectRow).where(ProjectRow.id == row.id))
    return None


def raise_if_no_slug(slug: str) -> None:
    """Raises SlugInvalid."""
    if not is_slug(slug):
        raise SlugInvalid(
            f"{slug[:80]!r} is no name of a project: use up to {MAX_SLUG} lower-case letters, digits and single "
            "hyphens. `latest`, `new`, `v1` and `d1` are reserved.",
            project=slug[:80],
        )


def next_revision(session: Session, project_id: str) -> int:
    """Count a dataset of the project, and lock the project's row."""
    counted = _touched(project_id).values(last_revision=ProjectRow.last_revision + 1)
    return session.execute(counted.returning(ProjectRow.last_revision)).scalar_one()


def next_version(session: Session, project_id: str) -> int:
    """Count a version of the project, and lock the project's row."""
    counted = _touched(project_id).values(last_version=ProjectRow.last_version + 1)
    return session.execute(counted.returning(ProjectRow.last_version)).scalar_one()


def touch_project(session: Session, project_id: str) -> None:
    """Record that something of the project changed now, and lock the project's row."""
    session.execute(_touched(project_id))


def give_kind(session: Session, project_id: str, kind: str) -> None:
    """The first ready dataset gives its kind to the project; others must have it. Raises ProjectKindMismatch."""
    same = or_(ProjectRow.kind.is_(None), ProjectRow.kind == kind)
    given = _touched(project_id).where(same).values(kind=kind).returning(ProjectRow.id)
    if session.execute(given).first() is None:
        raise_other_kind(session.get_one(ProjectRow, project_id, populate_existing=True), kind)


def raise_if_other_kind(db: Database, project_id: str, kind: str) -> None:
    """As `raise_other_kind`, of the project as it is now."""
    with db.reading() as session:
        raise_other_kind(session.get_one(ProjectRow, project_id), kind)


def raise_other_kind(project: ProjectRow, kind: str) -> None:
    """Raises ProjectKindMismatch unless the project takes datasets of this kind."""
    if project.kind not in (None, kind):
        raise ProjectKindMismatch(
            f"The project {project.slug} holds {project.kind} datasets; this one is {kind}.",
            project=project.slug,
            project_kind=project.kind,
            kind=kind,
        )


def new_project(
    project_id: str,
    slug: str,
    *,
    title: str,
    description: str = "",
    kind: str | None = None,
    implicit: bool = False,
) -> ProjectRow:
    at = clock.now()
    return ProjectRow(
        id=project_id,
        slug=slug,
        title=title,
        description=description,
        kind=kind,
        implicit=implicit,
        settings={},
        last_revision=0,
        last_version=0,
        created_at=at,
        updated_at=at,
    )


def _refuse_joining(row: ProjectRow, slug: str, kind: str | None) -> None:
    if row.deleted_at is not None:
        raise Gone(f"The project {slug} was deleted, and its name is not given again.", project=slug)
    if row.implicit:
        detail = f"{slug} belongs to a single upload. Rename it with PATCH /projects/{slug} to add datasets to it."
        raise ProjectIsImplicit(detail, project=slug)
    if kind is not None:
        raise_other_kind(row, kind)


def _touched(project_id: str) -> Update:
    return update(ProjectRow).where(ProjectRow.id == project_id).values(active_at=clock.now())


def _found(session: Session, ref: str, *, lock: bool) -> ProjectRow | None:
    statement = _BY_ID if ref.startswith("project_") else _BY_SLUG
    if lock:
        statement = statement.with_for_update(of=ProjectRow, key_share=True)
        statement = statement.execution_options(populate_existing=True)  # as it is now, not as it was read before
    return session.execute(statement, {"ref": ref}).scalar_one_or_none()


def _added(session: Session, slug: str) -> ProjectRow:
    row = add_project(session, slug) or _found(session, slug, lock=True)  # another transaction may have made it
    assert row is not None  # noqa: S101 - for the type checker: slugs are never deleted
    return row


def _insert(session: Session, row: ProjectRow) -> ProjectRow:
    session.add(row)
    session.flush()
    session.add(ProjectSlugRow(slug=row.slug, project_id=row.id))
    session.flush()
    return row
