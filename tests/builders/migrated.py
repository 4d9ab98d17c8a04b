"""What a test compares of a database before and after a migration: its rows and its schema."""

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from core.db import open_database
from core.domain.slugs import slug_with_suffix

BATCHES = ("batch_predictions", "batch_prediction_artifacts")
GROWTH_TABLES = ("corrections", "dataset_exports", "test_sets")
GROWTH_COLUMNS = {"jobs": ("imported_from", "extension", "exclusions"), "runs": ("leak",), "versions": ("leak",)}
Rows = dict[str, list[dict[str, Any]]]


def all_rows(url: str) -> Rows:
    """Every row of every table, as the database has it."""
    database = open_database(url)
    metadata = sa.MetaData()
    with database.engine.connect() as connection:
        metadata.reflect(connection)
        rows: Rows = {}
        for table in metadata.sorted_tables:
            if table.name == "alembic_version":
                continue
            ordered = sa.select(table).order_by(*table.primary_key.columns)
            rows[table.name] = [dict(row) for row in connection.execute(ordered).mappings()]
    database.close()
    return rows


def schema_of(url: str) -> dict[str, Any]:
    """Columns, keys, constraints and indexes of each table, in an order that does not depend on how it was made."""
    database = open_database(url)
    inspector = sa.inspect(database.engine)
    schema = {
        table: {
            "columns": sorted(
                (column["name"], str(column["type"]), column["nullable"], column["default"])
                for column in inspector.get_columns(table)
            ),
            "primary key": inspector.get_pk_constraint(table)["constrained_columns"],
            "foreign keys": _sorted(inspector.get_foreign_keys(table)),
            "unique": _sorted(inspector.get_unique_constraints(table)),
            "indexes": _sorted(inspector.get_indexes(table)),
        }
        for table in sorted(inspector.get_table_names())
        if table != "alembic_version"
    }
    database.close()
    return schema


def _sorted(found: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted(", ".join(f"{name}: {_text(value)}" for name, value in sorted(each.items())) for each in found)


def _text(value: Any) -> str:
    """Of the condition of an index, its SQL."""
    return str({name: str(each) for name, each in value.items()} if isinstance(value, dict) else value)


def take_devices(rows: Rows) -> None:
    """Remove what 0016 added."""
    for row in rows["workers"]:
        del row["devices"]


def take_sessions(rows: Rows) -> None:
    """Remove what 0015 added, which is empty."""
    assert rows.pop("sessions") == []


def take_storage(rows: Rows) -> None:
    """Remove what 0014 added, of which only a deleted version has a value."""
    take_devices(rows)
    take_sessions(rows)
    for row in rows["runs"]:
        assert row.pop("checkpoint_bytes") is None
    for row in rows["projects"]:
        assert not row.pop("own_retention")
    for row in rows["versions"]:
        assert row.pop("mlflow_deleted_at") == row["deleted_at"]
        assert row.pop("purged_at") is None or row["deleted_at"]


def take_growth(rows: Rows) -> None:
    """Check that what 0012 added is empty; then remove it."""
    take_storage(rows)
    for table in GROWTH_TABLES:
        assert rows.pop(table) == []
    for table, names in GROWTH_COLUMNS.items():
        for row in rows[table]:
            assert [row.pop(name) for name in names] == [None] * len(names)


def take_projects(rows: Rows) -> None:
    """Check that each job is d1 of a project of its own, with its versions and aliases; then remove what came later."""
    take_growth(rows)
    projects = {row["id"]: row for row in rows.pop("projects")}
    slugs = {row["project_id"]: row["slug"] for row in rows.pop("project_slugs")}
    assert rows.pop("operations") == []
    for table in ("exports", "evaluations", "evaluation_artifacts", "bundles", *BATCHES):
        assert rows.pop(table) == []
    jobs = {row["project_id"]: row for row in rows["jobs"]}
    assert len(jobs) == len(rows["jobs"]) == len(projects) == len(slugs)
    mirrored = {row["job_id"] for row in rows["runs"] if row["mlflow_run_id"]}
    for project_id, job in jobs.items():
        _check_project(projects[project_id], job)
        _check_copy(projects[project_id], job["id"] if job["id"] in mirrored and not job["mlflow_deleted_at"] else None)
        assert job.pop("mlflow_refused") is None
        assert slugs[project_id] == projects[project_id]["slug"]
        assert (job.pop("revision"), job.pop("parent_job_id")) == (1, None)
    _lead_to_jobs(rows, {project_id: job["id"] for project_id, job in jobs.items()})
    for row in [*rows["runs"], *rows["versions"]]:
        assert row.pop("parent_id") is None
    for row in rows["versions"]:
        assert (row.pop("operation_id"), row.pop("origin")) == (None, "run")
        assert row.pop("mlflow_run_id") is row.pop("mlflow_model_id") is None
    for row in rows["runs"]:
        assert row.pop("mlflow_experiment_id") is None
    for row in rows["uploads"]:
        assert row.pop("project") is None
    for row in rows["findings"]:
        assert row.pop("image") is None
    for row in rows["datasets"]:
        assert (row.pop("index_key"), row.pop("index_bytes")) == (None, None)


def _check_project(project: Mapping[str, Any], job: Mapping[str, Any]) -> None:
    assert project["id"] == f"project_{job['id'].removeprefix('job_')}"
    assert (project["last_revision"], bool(project["implicit"])) == (1, True)
    assert (project["title"], project["description"], project["settings"]) == (job["name"], "", {})
    assert project["kind"] == (job["kind"] if job["state"] == "ready" else None)
    copied = ("last_version", "created_at", "updated_at", "deleted_at")
    assert [project[name] for name in copied] == [job[name] for name in copied]
    short, long = slug_with_suffix(job["name"], job["id"]), slug_with_suffix(job["name"], job["id"], characters=26)
    assert project["slug"] in (short, long)


def _check_copy(project: Mapping[str, Any], name: str | None) -> None:
    """In MLflow it is called by the id of the job, and is older than the row."""
    assert (project["mlflow_name"], project["mlflow_experiment_id"], project["mlflow_refused"]) == (name, None, None)
    assert (project["mlflow_updated_at"] is None) == (name is None)
    assert project["mlflow_updated_at"] != project["updated_at"]


def _lead_to_jobs(rows: Rows, job_ids: Mapping[str, str]) -> None:
    for table in ("jobs", "runs", "versions"):
        for row in rows[table]:
            assert job_ids[row.pop("project_id")] == row.get("job_id", row["id"])
    for table in ("aliases", "alias_moves"):
        for row in rows[table]:
            row["job_id"] = job_ids[row.pop("project_id")]
