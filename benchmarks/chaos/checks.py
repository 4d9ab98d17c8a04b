"""What must hold at the end, read from rows and objects. Each check returns what violates it; an empty list is good."""

from collections import Counter
from collections.abc import Callable, Mapping

from sqlalchemy import func, select

from benchmarks.chaos.load import SHARED, Ledger
from benchmarks.chaos.service import Service
from benchmarks.chaos.settle import unfinished
from core.db.tables import (
    ArtifactRow,
    DatasetRow,
    EventRow,
    JobRow,
    OperationRow,
    ProjectRow,
    RunLogRow,
    RunRow,
    UploadPartRow,
    VersionRow,
)
from core.domain.keys import ROOTS
from core.services.context import Platform, open_platform
from core.services.jobs.lifecycle import DELETING
from core.services.maintenance.retention import named_keys
from core.services.work.leases import TABLES
from worker.context import Worker
from worker.tasks.retention import clean, delete_orphans

_AT_ONCE = 500

Check = Callable[[Service, Ledger], list[str]]


def clean_up(service: Service) -> int:
    """The sweep of everything that retention would delete, at once. Returns the number of orphaned objects deleted."""
    settings = service.settings.model_copy(update={"orphan_hours": 0.0})
    platform = open_platform(settings)
    try:
        for _ in range(3):  # each round deletes a hundred of a kind
            clean(Worker(platform, "housekeeping", "chaos"))
        return len(delete_orphans(platform))
    finally:
        platform.db.close()


def lost_uploads(service: Service, ledger: Ledger) -> list[str]:
    """Answered with 202, and not there with the bytes that were sent, or not ready."""
    with service.platform.db.reading() as session:
        rows = {row.id: row for row in session.execute(select(JobRow)).scalars()}
    lost = []
    for job_id, sha256 in ledger.uploads.items():
        row = rows.get(job_id)
        wanted = "deleted" if job_id in ledger.deleted else "ready"
        if row is None or row.source_sha256 != sha256 or row.state != wanted:
            lost.append(f"{job_id}: {'no row' if row is None else f'{row.state} {row.problem}'}, expected {wanted}")
    return lost


def lost_runs(service: Service, ledger: Ledger) -> list[str]:
    """Answered with 202, and neither succeeded, nor cancelled by request, nor deleted with its job."""
    with service.platform.db.reading() as session:
        rows = {row.id: row for row in session.execute(select(RunRow)).scalars()}
    lost = []
    for run_id, job_id in ledger.runs.items():
        row = rows.get(run_id)
        wanted = "cancelled" if run_id in ledger.cancelled else "succeeded"
        if job_id not in ledger.deleted and (row is None or row.state != wanted):
            lost.append(f"{run_id}: {'no row' if row is None else f'{row.state} {row.problem}'}, expected {wanted}")
    return lost


def lost_operations(service: Service, ledger: Ledger) -> list[str]:
    """Committed, and neither succeeded nor cancelled by request."""
    with service.platform.db.reading() as session:
        states = dict(session.execute(select(OperationRow.id, OperationRow.state)).all())
    lost = []
    for operation_id in sorted(ledger.operations):
        state, wanted = states.get(operation_id), "cancelled" if operation_id in ledger.cancelled else "succeeded"
        if state != wanted:
            lost.append(f"{operation_id}: {state}, expected {wanted}")
    return lost


def doubled_rows(service: Service, ledger: Ledger) -> list[str]:
    """Jobs and runs that no user had as an answer: a request that was repeated with its key was done twice."""
    with service.platform.db.reading() as session:
        rows = {*session.execute(select(JobRow.id)).scalars(), *session.execute(select(RunRow.id)).scalars()}
    unknown = sorted(rows - set(ledger.uploads) - set(ledger.runs))
    return unknown if len(unknown) > ledger.unanswered else []  # one without an answer may have been done


def stuck_rows(service: Service, _ledger: Ledger) -> list[str]:
    """In a state that never ends, or with a lease that nobody holds."""
    stuck = unfinished(service)
    with service.platform.db.reading() as session:
        stuck += session.execute(select(DatasetRow.fingerprint).where(DatasetRow.state == DELETING)).scalars()
        for table in TABLES.values():
            stuck += session.execute(select(table.id).where(table.lease_expires_at.is_not(None))).scalars()
    return stuck


def faulty_versions(service: Service, _ledger: Ledger) -> list[str]:
    """Numbers that are not 1, 2, ... of their project, and succeeded runs without exactly one version."""
    with service.platform.db.reading() as session:
        versions = session.execute(select(VersionRow.project_id, VersionRow.number, VersionRow.run_id)).all()
        living = ProjectRow.deleted_at.is_(None)
        projects = session.execute(select(ProjectRow.id, ProjectRow.last_version).where(living)).all()
        columns = (RunRow.id, RunRow.project_id, RunRow.version)
        succeeded = session.execute(select(*columns).where(RunRow.state == "succeeded"))
        runs = {run_id: (project_id, number) for run_id, project_id, number in succeeded}
    numbers: dict[str, list[int]] = {}
    for project_id, number, _ in versions:
        numbers.setdefault(project_id, []).append(number)
    faulty = [
        f"{project_id}: {sorted(numbers.get(project_id, []))}, the last is {last}"
        for project_id, last in projects
        if sorted(numbers.get(project_id, [])) != list(range(1, last + 1))
    ]
    alive = {project_id for project_id, _ in projects}
    published = Counter(run_id for _, _, run_id in versions)
    of_run = {run_id: (project_id, number) for project_id, number, run_id in versions if run_id}
    faulty += [run for run, (project, _) in runs.items() if project in alive and published[run] != 1]
    return faulty + [run for run, at in of_run.items() if runs.get(run) != at and at[0] in alive]


def faulty_projects(service: Service, ledger: Ledger) -> list[str]:
    """Projects whose datasets are not numbered 1, 2, ..., or are of other kinds; jobs in another than was asked for."""
    with service.platform.db.reading() as session:
        projects = {row.id: row for row in session.execute(select(ProjectRow)).scalars()}
        jobs = session.execute(select(JobRow)).scalars().all()
    numbers: dict[str, list[int]] = {project_id: [] for project_id in projects}
    faulty = []
    for job in jobs:
        project = projects[job.project_id]
        numbers[project.id].append(job.revision)
        shared = project.slug == SHARED
        if project.implicit == shared or (job.id in ledger.uploads and (job.id in ledger.joined) != shared):
            faulty.append(f"{job.id} is in {project.slug}")
        if job.state == "ready" and job.kind != project.kind:
            faulty.append(f"{job.id} is {job.kind}, its project {project.kind}")
    return faulty + [
        f"{project_id}: {sorted(found)}, the last is {projects[project_id].last_revision}"
        for project_id, found in numbers.items()
        if sorted(found) != list(range(1, projects[project_id].last_revision + 1))
    ]


def faulty_events(service: Service, _ledger: Ledger) -> list[str]:
    """Jobs, runs and operations whose events are not numbered 1, 2, ... without gaps."""
    faulty = []
    with service.platform.db.reading() as session:
        counted = session.execute(
            select(EventRow.subject_id, func.count(), func.max(EventRow.seq)).group_by(EventRow.subject_id)
        ).all()
        numbers = {subject: (count, last) for subject, count, last in counted}
        for table in (JobRow, RunRow, OperationRow):
            rows = session.execute(select(table.id, table.event_seq).where(table.deleted_at.is_(None)))
            faulty += [row_id for row_id, seq in rows if numbers.get(row_id) != (seq, seq)]
    return faulty


def rows_without_objects(service: Service, _ledger: Ledger) -> list[str]:
    """Keys in rows that name no object, or one with other bytes."""
    faulty = []
    for key, sha256 in _named(service.platform).items():
        stored = service.platform.store.head(key)
        if stored is None or sha256 not in (None, stored.sha256):
            faulty.append(key)
    return faulty


def objects_without_rows(service: Service, _ledger: Ledger) -> list[str]:
    """Objects that no row names, after the sweep."""
    store, db = service.platform.store, service.platform.db
    keys = [key for prefix in ROOTS for key, _ in store.list_prefix(prefix)]
    batches = [keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE)]
    named = {key for batch in batches for key in named_keys(db, batch)}
    return sorted(set(keys) - named)


def children_left(service: Service, _ledger: Ledger) -> list[str]:
    """Processes that compute for nobody. The service has been killed before."""
    return [f"pid {pid}" for pid in service.children_left()]


def unexpected_answers(_service: Service, ledger: Ledger) -> list[str]:
    return ledger.unexpected


CHECKS: Mapping[str, Check] = {
    "lost uploads": lost_uploads,
    "lost runs": lost_runs,
    "lost operations": lost_operations,
    "requests done twice": doubled_rows,
    "rows stuck": stuck_rows,
    "duplicate or missing versions": faulty_versions,
    "faulty projects": faulty_projects,
    "gaps in events": faulty_events,
    "rows without objects": rows_without_objects,
    "objects without rows": objects_without_rows,
    "processes left": children_left,
    "answers 500 or not understood": unexpected_answers,
}


def _named(platform: Platform) -> dict[str, str | None]:
    """Every key in a row, with the digest that the row expects."""
    columns = (
        (JobRow.source_key, JobRow.source_sha256),
        (JobRow.metadata_key, JobRow.metadata_sha256),
        (DatasetRow.key, DatasetRow.sha256),
        (RunRow.checkpoint_key, RunRow.checkpoint_sha256),
        (ArtifactRow.key, ArtifactRow.sha256),
        (UploadPartRow.key, UploadPartRow.sha256),
    )
    named: dict[str | None, str | None] = {}
    with platform.db.reading() as session:
        for key, sha256 in columns:
            named |= dict(session.execute(select(key, sha256).where(key.is_not(None))).tuples().all())
        named |= dict.fromkeys(session.execute(select(RunLogRow.key).where(RunLogRow.key.is_not(None))).scalars())
    return {key: sha256 for key, sha256 in named.items() if key}
