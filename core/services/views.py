"""Rows that an answer about a job or a version needs together, read in one session."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Text, bindparam, cast, null, select, union_all
from sqlalchemy.orm import Session

from core.db import Database
from core.db.tables import AliasRow, DatasetRow, JobRow, ProjectRow, RunRow, VersionRow
from core.domain.not_ready import not_ready
from core.domain.states import JobState
from core.services.jobs.commands import job_in

_SHARING_LISTED = 20


class RunCopy(NamedTuple):
    """What a run's row says of its copy in MLflow."""

    state: str
    event_seq: int
    mirror_seq: int
    mirrored_at: datetime | None
    mlflow_experiment_id: str | None
    mlflow_run_id: str | None
    mlflow_refused: str | None


class ProjectCopy(NamedTuple):
    """What a project's row says of its copy in MLflow."""

    mlflow_name: str | None
    mlflow_experiment_id: str | None


class RunBrief(NamedTuple):
    """A run in its job, with the metrics and the time of its version once it is published."""

    id: str
    state: str
    version: int | None
    metrics: dict[str, Any] | None
    published_at: datetime | None


@dataclass(frozen=True, slots=True)
class JobOverview:
    """A job and its runs, oldest first. `shared_with`: ids of other ready jobs with the same prepared set."""

    job: JobRow
    runs: list[RunBrief]
    shared_with: list[str]


@dataclass(frozen=True, slots=True)
class VersionOverview:
    """A version, and the aliases that point at it now. Its params, metrics and artifacts are JSON, as stored."""

    version: VersionRow
    params: str
    metrics: str
    artifacts: str
    model: str | None  # the param of this name
    aliases: list[str]
    copy: RunCopy | None  # of an imported version: none
    project_copy: ProjectCopy


# Built once: that takes a third of a read.
_SHARING = (
    select(JobRow.id)
    .where(
        JobRow.fingerprint == bindparam("fingerprint", type_=JobRow.fingerprint.type),
        JobRow.state == str(JobState.READY),
        JobRow.id != bindparam("job_id"),
    )
    .order_by(JobRow.id)
    .limit(_SHARING_LISTED)
)
_SHARED = _SHARING.subquery()
_BRIEF = (RunRow.id, RunRow.state, RunRow.version, VersionRow.metrics, VersionRow.created_at)
_RUNS_AND_SHARING = union_all(
    select(*_BRIEF)
    .select_from(RunRow)
    .outerjoin(VersionRow, VersionRow.run_id == RunRow.id)
    .where(RunRow.job_id == bindparam("job_id")),
    select(_SHARED.c.id, *(cast(null(), column.type) for column in _BRIEF[1:])),
)
_PARTS_OF_VERSIONS = (
    select(
        VersionRow.id,
        *(cast(column, Text) for column in (VersionRow.params, VersionRow.metrics, VersionRow.artifacts)),
        VersionRow.params["model"].as_string(),
        *(getattr(ProjectRow, name) for name in ProjectCopy._fields),
        *(getattr(RunRow, name) for name in RunCopy._fields),
    )
    .join(ProjectRow, ProjectRow.id == VersionRow.project_id)
    .outerjoin(RunRow, RunRow.id == VersionRow.run_id)
    .where(VersionRow.id.in_(bindparam("ids", expanding=True)))
)
_ALIASES_OF_PROJECTS = (
    select(AliasRow).where(AliasRow.project_id.in_(bindparam("project_ids", expanding=True))).order_by(AliasRow.alias)
)


def job_overview(db: Database, job_id: str) -> JobOverview:
    """Raises JobNotFound, Gone."""
    with db.reading() as session:
        job = job_in(session, job_id)
        found = session.execute(_RUNS_AND_SHARING, {"job_id": job_id, "fingerprint": job.fingerprint})
        rows = sorted((RunBrief(*row) for row in found), key=attrgetter("id"))
    return JobOverview(job, [row for row in rows if row.state], [row.id for row in rows if not row.state])


def sharing_jobs(db: Database, job: JobRow) -> list[str]:
    """Ids of other ready jobs with the same prepared set, at most 20."""
    with db.reading() as session:
        wanted = {"job_id": job.id, "fingerprint": job.fingerprint}
        return list(session.execute(_SHARING, wanted).scalars())


def version_overviews(db: Database, versions: Sequence[VersionRow]) -> list[VersionOverview]:
    """In the order of `versions`."""
    with db.reading() as session:
        aliases = _aliases(session, versions)
        rows = session.execute(_PARTS_OF_VERSIONS, {"ids": [version.id for version in versions]})
        found = {version_id: row for version_id, *row in rows}
    return [_overview(version, found[version.id], aliases) for version in versions]


def _overview(version: VersionRow, row: Sequence[Any], aliases: Mapping[tuple[str, int], list[str]]) -> VersionOverview:
    params, metrics, artifacts, model, name, experiment_id, *copy = row
    named = aliases.get((version.project_id, version.number), [])
    run, project = RunCopy(*copy) if version.run_id else None, ProjectCopy(name, experiment_id)
    return VersionOverview(version, params, metrics, artifacts, model, named, run, project)


def prepared_set_of(db: Database, job_id: str) -> tuple[JobRow, DatasetRow]:
    """A ready job and its prepared set. Raises JobNotFound, Gone, JobNotReady."""
    with db.reading() as session:
        job = ready_job_in(session, job_id)
        return job, session.get_one(DatasetRow, job.fingerprint)


def get_ready_job(db: Database, job_id: str) -> JobRow:
    """Raises JobNotFound, Gone, JobNotReady."""
    with db.reading() as session:
        return ready_job_in(session, job_id)


def ready_job_in(session: Session, job_id: str) -> JobRow:
    job = job_in(session, job_id)
    if job.fingerprint is None or job.metadata_key is None:
        raise not_ready(job.id, job.state)
    return job


def _aliases(session: Session, versions: Sequence[VersionRow]) -> dict[tuple[str, int], list[str]]:
    found: dict[tuple[str, int], list[str]] = {}
    project_ids = sorted({version.project_id for version in versions})
    for row in session.execute(_ALIASES_OF_PROJECTS, {"project_ids": project_ids}).scalars():
        found.setdefault((row.project_id, row.number), []).append(row.alias)
    return found
