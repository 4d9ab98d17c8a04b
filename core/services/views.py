"""Rows that an answer about a job or a version needs together, read in one session."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db import Database
from core.db.tables import AliasRow, DatasetRow, JobRow, RunRow, VersionRow
from core.domain.errors import JobNotReady
from core.domain.states import JobState
from core.services.jobs.commands import job_in

_SHARING_LISTED = 20


@dataclass(frozen=True, slots=True)
class JobOverview:
    """A job, its runs and versions, oldest first. `shared_with`: ids of other ready jobs with the same prepared set."""

    job: JobRow
    runs: list[RunRow]
    versions: list[VersionRow]
    shared_with: list[str]


@dataclass(frozen=True, slots=True)
class VersionOverview:
    """A version, and the aliases that point at it now."""

    version: VersionRow
    aliases: list[str]
    run: RunRow


def job_overview(db: Database, job_id: str) -> JobOverview:
    """Raises JobNotFound, Gone."""
    with db.reading() as session:
        job = job_in(session, job_id)
        runs = session.execute(select(RunRow).where(RunRow.job_id == job_id).order_by(RunRow.id)).scalars()
        versions = session.execute(
            select(VersionRow).where(VersionRow.job_id == job_id).order_by(VersionRow.number)
        ).scalars()
        return JobOverview(job, list(runs), list(versions), _sharing(session, job))


def version_overviews(db: Database, versions: Sequence[VersionRow]) -> list[VersionOverview]:
    """In the order of `versions`."""
    with db.reading() as session:
        aliases = _aliases(session, versions)
        run_ids = [version.run_id for version in versions]
        runs = {run.id: run for run in session.execute(select(RunRow).where(RunRow.id.in_(run_ids))).scalars()}
    return [
        VersionOverview(
            version,
            aliases.get((version.job_id, version.number), []),
            runs[version.run_id],
        )
        for version in versions
    ]


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
        raise JobNotReady(f"The job is {job.state}.", job_id=job_id, state=job.state)
    return job


def _sharing(session: Session, job: JobRow) -> list[str]:
    if job.fingerprint is None:
        return []
    same = (JobRow.fingerprint == job.fingerprint, JobRow.id != job.id, JobRow.state == str(JobState.READY))
    return list(session.execute(select(JobRow.id).where(*same).order_by(JobRow.id).limit(_SHARING_LISTED)).scalars())


def _aliases(session: Session, versions: Sequence[VersionRow]) -> dict[tuple[str, int], list[str]]:
    found: dict[tuple[str, int], list[str]] = {}
    job_ids = sorted({version.job_id for version in versions})
    statement = select(AliasRow).where(AliasRow.job_id.in_(job_ids)).order_by(AliasRow.alias)
    for row in session.execute(statement).scalars():
        found.setdefault((row.job_id, row.number), []).append(row.alias)
    return found
