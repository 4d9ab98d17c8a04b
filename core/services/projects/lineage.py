"""The rows of a project's lineage: its datasets, runs and versions, newest first, with what their parents are.

A page is the newest rows of all three tables together, whatever their state, so that pages neither overlap nor have
gaps. A parent that is not among them, because it is older or of another project, is read too: each arrow has two ends.
No read depends on another row's content, so a page takes the same number of statements at any size.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from core.db import Database
from core.db.tables import AliasRow, JobRow, ProjectRow, RunRow, VersionRow
from core.domain.errors import CursorInvalid
from core.services.projects.lookup import project_in
from core.services.projects.main_figures import MAIN_FIGURES, metrics_of

MAX_ALIASES = 100  # of a project, on its first page; a page of older rows lists those of its versions
_PLACE = re.compile(r"(?:job|run|version)_([0-9a-hjkmnp-tv-z]{26})")


class Dataset(NamedTuple):
    id: str
    project_id: str
    slug: str
    revision: int
    name: str
    state: str
    images: int | None
    classes: int | None
    parent_id: str | None
    repair_of: str | None
    created_at: datetime
    deleted_at: datetime | None


class Training(NamedTuple):
    id: str
    project_id: str
    slug: str
    job_id: str
    parent_id: str | None
    trainer: str
    params: dict[str, Any]
    state: str
    version: int | None
    created_at: datetime
    deleted_at: datetime | None


class Version(NamedTuple):
    """`metrics`: the main ones alone."""

    id: str
    project_id: str
    slug: str
    number: int
    origin: str
    parent_id: str | None
    job_id: str | None
    run_id: str | None
    operation_id: str | None
    created_at: datetime
    deleted_at: datetime | None
    metrics: dict[str, dict[str, float]]


class Alias(NamedTuple):
    alias: str
    version_id: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class LineageRows:
    """`outside`: ids of rows that are not of this page. `next_from`: where the next, older page begins."""

    project_id: str
    slug: str
    datasets: list[Dataset]
    trainings: list[Training]
    versions: list[Version]
    aliases: list[Alias]
    outside: frozenset[str] = field(default_factory=frozenset)
    next_from: str | None = None


_DATASET = select(
    JobRow.id,
    JobRow.project_id,
    ProjectRow.slug,
    JobRow.revision,
    JobRow.name,
    JobRow.state,
    JobRow.images,
    func.json_array_length(JobRow.classes),
    JobRow.parent_job_id,
    JobRow.repair_of,
    JobRow.created_at,
    JobRow.deleted_at,
).join(ProjectRow, ProjectRow.id == JobRow.project_id)
_TRAINING = select(
    RunRow.id,
    RunRow.project_id,
    ProjectRow.slug,
    RunRow.job_id,
    RunRow.parent_id,
    RunRow.trainer,
    RunRow.params,
    RunRow.state,
    RunRow.version,
    RunRow.created_at,
    RunRow.deleted_at,
).join(ProjectRow, ProjectRow.id == RunRow.project_id)
_VERSION = select(
    VersionRow.id,
    VersionRow.project_id,
    ProjectRow.slug,
    VersionRow.number,
    VersionRow.origin,
    VersionRow.parent_id,
    VersionRow.job_id,
    VersionRow.run_id,
    VersionRow.operation_id,
    VersionRow.created_at,
    VersionRow.deleted_at,
    *MAIN_FIGURES,
).join(ProjectRow, ProjectRow.id == VersionRow.project_id)
_ALIAS = (
    select(AliasRow.alias, VersionRow.id, AliasRow.updated_at)
    .join(VersionRow, and_(VersionRow.project_id == AliasRow.project_id, VersionRow.number == AliasRow.number))
    .order_by(AliasRow.alias)
    .limit(MAX_ALIASES)
)


def lineage_rows(db: Database, ref: str, *, limit: int, first: str | None = None) -> LineageRows:
    """The newest `limit` datasets, runs and versions of a project, or those from the id `first` on.

    `ref`: the slug or the id of a project. Raises ProjectNotFound, ProjectRenamed, Gone, CursorInvalid.
    """
    place = _place(first)
    with db.reading() as session:
        project = project_in(session, ref)
        newest = _newest(session, project.id, place, limit + 1)
        page, next_from = newest[:limit], (newest[limit].id if len(newest) > limit else None)
        datasets = [row for row in page if isinstance(row, Dataset)]
        trainings = [row for row in page if isinstance(row, Training)]
        versions = [row for row in page if isinstance(row, Version)]
        aliases = _aliases(session, project.id, versions, every=first is None)
        jobs_meant = [each.job_id for each in trainings] + [each.job_id for each in versions]
        jobs_meant += [job_id for each in datasets for job_id in (each.parent_id, each.repair_of)]
        versions_meant = [each.parent_id for each in trainings] + [each.parent_id for each in versions]
        versions_meant += [each.version_id for each in aliases]
        parents = _by_id(session, _VERSION, VersionRow.id, _version, _missing(versions, versions_meant))
        runs_meant = _missing(trainings, (each.run_id for each in versions))
        runs = _by_id(session, _TRAINING, RunRow.id, Training, runs_meant)
        jobs = _by_id(session, _DATASET, JobRow.id, Dataset, _missing(datasets, jobs_meant))
    return LineageRows(
        project.id,
        project.slug,
        _oldest_first([*datasets, *jobs]),
        _oldest_first([*trainings, *runs]),
        _oldest_first([*versions, *parents]),
        aliases,
        frozenset(row.id for row in (*jobs, *runs, *parents)),
        next_from,
    )


def _place(first: str | None) -> str | None:
    """The time and random part of an id, by which ids of all kinds sort."""
    if first is None:
        return None
    match = _PLACE.fullmatch(first)
    if match is None:
        raise CursorInvalid("Use the `next_from` of the previous page as `from`.", **{"from": first[:200]})
    return match.group(1)


def _newest(session: Session, project_id: str, place: str | None, count: int) -> list[Dataset | Training | Version]:
    """First the ids alone: of a version, figures are read from some hundred kilobytes, and most are not of the page."""
    kinds: dict[str, tuple[Any, Any, Any, Callable[..., Any]]] = {
        "job": (_DATASET, JobRow.id, JobRow.project_id, Dataset),
        "run": (_TRAINING, RunRow.id, RunRow.project_id, Training),
        "version": (_VERSION, VersionRow.id, VersionRow.project_id, _version),
    }
    ids: list[str] = []
    for prefix, (_, key, owner, _) in kinds.items():
        of_page = select(key).where(owner == project_id).order_by(key.desc()).limit(count)
        if place is not None:
            of_page = of_page.where(key <= f"{prefix}_{place}")
        ids += session.execute(of_page).scalars()
    newest = sorted(ids, key=_age_of, reverse=True)[:count]
    found: list[Dataset | Training | Version] = []
    for prefix, (statement, key, _, part) in kinds.items():
        found += _by_id(session, statement, key, part, [each for each in newest if each.startswith(f"{prefix}_")])
    return sorted(found, key=_age, reverse=True)


def _version(*row: Any) -> Version:
    plain, figures = row[: -len(MAIN_FIGURES)], row[-len(MAIN_FIGURES) :]
    return Version._make((*plain, metrics_of(figures)))


def _age(row: Dataset | Training | Version) -> tuple[str, str]:
    return _age_of(row.id)


def _age_of(row_id: str) -> tuple[str, str]:
    return row_id.partition("_")[2], row_id


def _oldest_first(rows: list[Any]) -> list[Any]:
    return sorted(rows, key=_age)


def _aliases(session: Session, project_id: str, versions: Sequence[Version], *, every: bool) -> list[Alias]:
    statement = _ALIAS.where(AliasRow.project_id == project_id)
    if not every:
        statement = statement.where(VersionRow.id.in_([version.id for version in versions]))
    return [Alias(*row) for row in session.execute(statement)]


def _missing(rows: Iterable[Any], ids: Iterable[str | None]) -> list[str]:
    return sorted({each for each in ids if each is not None} - {row.id for row in rows})


def _by_id(session: Session, statement: Any, key: Any, part: Callable[..., Any], ids: list[str]) -> list[Any]:
    return [part(*row) for row in session.execute(statement.where(key.in_(ids)))] if ids else []
