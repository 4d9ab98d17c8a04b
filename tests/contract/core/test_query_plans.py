"""A page of a list is read from an index in its own order: no sort, no scan of a table, however many rows there are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from benchmarks.load_rows import Filled, fill
from core import clock
from core.db import Database
from core.db.tables import METADATA
from core.domain.errors import BundleWithoutOnnx
from core.services.context import Platform
from core.services.jobs.commands import get_job, list_findings, list_jobs
from core.services.jobs.images import codes_of_images, images_with_finding
from core.services.jobs.project_deletion import delete_project
from core.services.maintenance.derived_objects import derived_to_purge
from core.services.maintenance.ended_operations import operations_to_condense
from core.services.maintenance.erasure import jobs_to_erase, projects_to_erase, versions_to_purge
from core.services.maintenance.project_retention import own_retentions
from core.services.maintenance.recovery import oldest_waiting
from core.services.models import mlflow_sync
from core.services.models.alias_histories import alias_histories
from core.services.models.batch_predictions import list_batches
from core.services.models.bundles import find_bundle
from core.services.models.evaluation_matrix import evaluation_matrix
from core.services.models.evaluation_overviews import evaluation_overviews
from core.services.models.evaluations import list_evaluations
from core.services.models.exports import list_exports
from core.services.models.mlflow_sync import count_refused, jobs_to_forget, runs_to_mirror
from core.services.models.served import served_or_why, why_not_served
from core.services.models.versions import find_version, list_versions, roll_back_alias, set_alias
from core.services.operations.commands import list_operations, newest_operation
from core.services.paging import cursor_after
from core.services.projects.commands import create_project, list_projects
from core.services.projects.lineage import lineage_rows
from core.services.projects.lookup import free_slug
from core.services.projects.overviews import project_overviews
from core.services.runs.commands import list_runs
from core.services.storage.usage import project_usage
from core.services.views import job_overview, version_overviews
from core.services.work.events import events_after, standings
from tests.builders import exports, lineage

FIRST: dict[str, Any] = {"cursor": None, "limit": 10}
READS: dict[str, Callable[[Database, Filled, dict[str, Any]], Any]] = {
    "jobs": lambda db, _filled, page: list_jobs(db, **page),
    "jobs by state": lambda db, _filled, page: list_jobs(db, **page, state="ready"),
    "runs": lambda db, _filled, page: list_runs(db, **page),
    "runs by state": lambda db, _filled, page: list_runs(db, **page, state="succeeded"),
    "runs of a job": lambda db, filled, page: list_runs(db, **page, job_id=filled.ready[-1]),
    "operations": lambda db, _filled, page: list_operations(db, **page),
    "operations by state": lambda db, _filled, page: list_operations(db, **page, state="succeeded"),
    "operations by kind": lambda db, _filled, page: list_operations(db, **page, kind="scripted"),
    "operations of a job": lambda db, filled, page: list_operations(db, **page, job_id=filled.ready[-1]),
    "operations of a project": lambda db, filled, page: list_operations(db, **page, project=_project_of(filled)),
    "the newest of a target": lambda db, _filled, _page: newest_operation(db, "scripted", "one"),
    "operations to condense": lambda db, _filled, _page: operations_to_condense(db, before=clock.now()),
    "waiting operations": lambda db, _filled, _page: oldest_waiting(db, "operate"),
    "versions": lambda db, _filled, page: list_versions(db, **page),
    "versions of a job": lambda db, filled, page: list_versions(db, **page, ref=filled.ready[-1]),
    "projects": lambda db, _filled, page: list_projects(db, **page),
    "projects of single uploads": lambda db, _filled, page: list_projects(db, **page, implicit=True),
    "counts of projects": lambda db, _filled, page: project_overviews(
        db, list_projects(db, **page, implicit=True).items
    ),
    "jobs of a project": lambda db, filled, page: list_jobs(db, **page, project=_project_of(filled)),
    "jobs of a project by state": lambda db, filled, page: list_jobs(
        db, **page, project=_project_of(filled), state="ready"
    ),
    "runs of a project": lambda db, filled, page: list_runs(db, **page, project=_project_of(filled)),
    "versions of a project": lambda db, filled, page: list_versions(db, **page, ref=_project_of(filled)),
    "exports of a version": lambda db, filled, page: list_exports(db, _project_of(filled), "latest", **page),
    "derived to purge": lambda db, _filled, _page: derived_to_purge(db),
    "evaluations": lambda db, _filled, page: evaluation_overviews(db, list_evaluations(db, **page).items),
    "evaluations of a project": lambda db, filled, page: list_evaluations(db, **page, project=_project_of(filled)),
    "evaluations of a version": lambda db, filled, page: list_evaluations(
        db, **page, version=find_version(db, _project_of(filled)).project
    ),
    "evaluations on a dataset": lambda db, filled, page: list_evaluations(db, **page, job_id=filled.ready[-1]),
    "batches": lambda db, _filled, page: list_batches(db, **page),
    "batches of a project": lambda db, filled, page: list_batches(db, **page, project=_project_of(filled)),
    "batches of a version": lambda db, filled, page: list_batches(
        db, **page, model=find_version(db, _project_of(filled)).project
    ),
    "batches of a dataset": lambda db, filled, page: list_batches(db, **page, job_id=filled.ready[-1]),
    "a bundle": lambda db, filled, _page: _no_bundle(db, _project_of(filled)),
    "the matrix": lambda db, filled, _page: evaluation_matrix(db, _project_of(filled), split="test"),
    "findings by code": lambda db, filled, page: list_findings(db, filled.ready[-1], **page, code="box-tiny"),
    "findings by severity": lambda db, filled, page: list_findings(db, filled.ready[-1], **page, severity="note"),
    "images with a finding": lambda db, filled, _page: images_with_finding(db, filled.ready[-1], "box-tiny"),
    "findings of images": lambda db, filled, _page: codes_of_images(db, filled.ready[-1], ["a.jpg", "b.jpg"]),
    "a job with its runs": lambda db, filled, _page: job_overview(db, filled.ready[-1]),
    "lineage": lambda db, filled, _page: lineage_rows(db, get_job(db, filled.ready[-1]).project_id, limit=10),
    "older lineage": lambda db, filled, _page: lineage_rows(
        db, get_job(db, filled.ready[-1]).project_id, limit=10, first=filled.runs[-1]
    ),
    "events": lambda db, filled, _page: events_after(db, filled.runs[-1], seq=2),
    "new events": lambda db, filled, _page: standings(db, [*filled.jobs[:20], *filled.runs[:20]]),
    "waiting": lambda db, _filled, _page: oldest_waiting(db, "prepare"),
    "to mirror": lambda db, _filled, _page: runs_to_mirror(db, but_not=set()),
    "versions to mirror": lambda db, _filled, _page: mlflow_sync.versions_to_mirror(db, but_not=set()),
    "aliases to mirror": lambda db, _filled, _page: mlflow_sync.aliases_to_mirror(db),
    "projects to update": lambda db, _filled, _page: mlflow_sync.projects_to_update(db, but_not=set()),
    "projects to forget": lambda db, _filled, _page: mlflow_sync.projects_to_forget(db, but_not=set()),
    "runs in MLflow": lambda db, filled, _page: list(mlflow_sync.runs_in_tracker(db, _project_of(filled))),
    "versions in MLflow": lambda db, filled, _page: list(mlflow_sync.versions_in_tracker(db, _project_of(filled))),
    "refused by MLflow": lambda db, _filled, _page: (count_refused(db), mlflow_sync.count_refused_changes(db)),
    "what a project stores": lambda db, filled, _page: project_usage(db, _project_of(filled)),
    "versions to purge": lambda db, _filled, _page: versions_to_purge(db),
    "versions to forget": lambda db, _filled, _page: mlflow_sync.versions_to_forget(db, but_not=set()),
    "own retentions": lambda db, _filled, _page: own_retentions(db),
    "to erase": lambda db, _filled, _page: jobs_to_erase(db),
    "projects to erase": lambda db, _filled, _page: projects_to_erase(db),
    "to forget": lambda db, _filled, _page: jobs_to_forget(db, but_not=set()),
}
SCANS = {f"SCAN {table}" for table in METADATA.tables}  # of SQLite, without an index
# PostgreSQL reads a table of few rows as a whole, and sorts it, unless that seems expensive.
EXPENSIVE = ("enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_incremental_sort")


def _no_bundle(db: Database, project: str) -> None:
    with pytest.raises(BundleWithoutOnnx):
        find_bundle(db, project, "latest")


def test_no_read_sorts_or_scans_a_table(platform: Platform) -> None:
    db = platform.db
    filled = fill(db, jobs=400, runs=200, versions=100, projects=20)
    found: dict[str, list[str]] = {}
    for name, read in READS.items():
        pages = [FIRST] if "findings" in name else [FIRST, FIRST | {"cursor": cursor_after(_middle(name, filled))}]
        for page in pages:
            with _statements(db) as statements:
                read(db, filled, page)
            found[name] = [line for statement in statements for line in _plan(db, *statement) if _is_slow(line)]
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize("limit", [5, 50])
def test_a_page_of_versions_is_three_statements(platform: Platform, limit: int) -> None:
    fill(platform.db, jobs=400, runs=200, versions=100)
    with _statements(platform.db) as statements:
        page = list_versions(platform.db, cursor=None, limit=limit)
        assert len(version_overviews(platform.db, page.items)) == limit
    assert len(statements) == 3


@pytest.mark.parametrize("limit", [5, 50])
def test_a_page_of_projects_is_three_statements(platform: Platform, limit: int) -> None:
    for number in range(60):
        create_project(platform.db, f"project-{number}")
    with _statements(platform.db) as statements:
        page = list_projects(platform.db, cursor=None, limit=limit)
        assert len(project_overviews(platform.db, page.items)) == limit
    assert len(statements) == 3


@pytest.mark.parametrize("limit", [2, 5])
def test_a_matrix_is_seven_statements(platform: Platform, limit: int) -> None:
    job = lineage.dataset(platform, "first")
    for _ in range(5):
        lineage.version(platform, job.id, 0.9)
    with _statements(platform.db) as statements:
        matrix = evaluation_matrix(platform.db, lineage.SLUG, split="test", limit=limit)
        assert len(matrix.rows) == limit
    assert len(statements) == 7


@pytest.mark.parametrize("count", [2, 5])
def test_aliases_and_what_answers_are_as_many_statements_for_any_number_of_versions(
    platform: Platform, count: int
) -> None:
    job = lineage.dataset(platform, "first")
    for number in range(1, count + 1):
        lineage.version(platform, job.id, 0.9)
        for alias in ("production", f"alias-{number}"):
            set_alias(platform.db, lineage.SLUG, alias, version=f"v{number}")
    with _statements(platform.db) as statements:
        found = {each.history.row.alias: each for each in alias_histories(platform.db, lineage.SLUG)}
    assert len(statements) == 4 and len(found) == count + 1
    assert (len(found["production"].history.moves), found["production"].earlier) == (count, count - 1)
    assert found["alias-1"].earlier is None
    rolled_back = roll_back_alias(platform.db, lineage.SLUG, "production")
    again = next(each for each in alias_histories(platform.db, lineage.SLUG) if each.history.row.alias == "production")
    assert again.history.row.number == rolled_back.row.number == count - 1
    assert again.earlier == (count - 2 or None)

    versions = list_versions(platform.db, cursor=None, limit=50).items
    exports.claimed_export(platform, versions[0], exports.ONNX)
    with _statements(platform.db) as statements:
        reasons = served_or_why(platform.db, versions, precision="fp32")
    assert len(statements) == 2 and len(reasons) == count
    with platform.db.reading() as session:
        for version in versions:
            why = why_not_served(session, version.project, version.number, precision="fp32")
            assert reasons[version.id] == why and why


def test_a_job_with_its_runs_is_two_statements(platform: Platform) -> None:
    filled = fill(platform.db, jobs=40, runs=20, versions=10)
    with _statements(platform.db) as statements:
        overview = job_overview(platform.db, filled.ready[-1])
        assert len(overview.runs) == 2 and overview.job.project.endswith(filled.ready[-1][-8:])
    assert len(statements) == 2


def _project_of(filled: Filled) -> str:
    return list(filled.projects.values())[-1]


def _middle(name: str, filled: Filled) -> str:
    ids = {"jobs": filled.jobs, "runs": filled.runs, "versions": filled.versions}.get(name.split()[0], filled.jobs)
    return ids[len(ids) // 2]


def test_a_free_name_is_found_by_one_query(platform: Platform) -> None:
    for name in ("shapes", *(f"shapes-{number}" for number in range(2, 30))):
        create_project(platform.db, name)
        delete_project(platform, name)
    create_project(platform.db, "shapes-30")
    with _statements(platform.db) as made:
        assert free_slug(platform.db, "shapes") == "shapes-30", "one that stands may be joined"
    assert len(made) == 1
    assert free_slug(platform.db, "stars") == "stars"


@contextmanager
def _statements(db: Database) -> Iterator[list[tuple[str, Any]]]:
    """Every statement executed within the block, with its parameters."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            statements.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def _plan(db: Database, statement: str, parameters: Any) -> list[str]:
    with db.engine.connect() as connection:
        if db.engine.dialect.name == "sqlite":
            return [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
        for setting in EXPENSIVE:
            connection.exec_driver_sql(f"SET {setting} = off")
        return [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)]


def _is_slow(line: str) -> bool:
    step = line.strip().removeprefix("->").strip()
    sorts = step.startswith(("Sort", "Incremental Sort")) or "TEMP B-TREE FOR ORDER BY" in step
    return sorts or step.startswith("Seq Scan") or step in SCANS
