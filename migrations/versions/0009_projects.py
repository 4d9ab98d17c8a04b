"""A project above jobs: numbers of versions and aliases are the project's; operations"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from core.domain.slugs import slug_with_suffix

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

LIVING = "deleted_at IS NULL"
TIME = sa.DateTime(timezone=True)
# Of tables whose rows lead to a job today.
ALIAS_TABLES: Mapping[str, tuple[str, ...]] = {"aliases": ("alias",), "alias_moves": ("alias", "position")}
PROJECT_INDEXES: Mapping[str, str] = {
    "ix_projects_living_id": LIVING,
    "ix_projects_living_named_id": f"{LIVING} AND implicit = false",
    "ix_projects_to_update_in_mlflow": f"{LIVING} AND mlflow_updated_at != updated_at",
    "ix_projects_to_delete_in_mlflow": "deleted_at IS NOT NULL AND mlflow_name IS NOT NULL",
    "ix_projects_to_erase": "deleted_at IS NOT NULL AND erased_at IS NULL",
    "ix_projects_refused_by_mlflow": "mlflow_refused IS NOT NULL",
}
ALIASES_TO_MIRROR = "mirrored_number IS NULL OR mirrored_number != number"
MLFLOW_COLUMNS: Mapping[str, Mapping[str, sa.types.TypeEngine[Any]]] = {
    "jobs": {"mlflow_refused": sa.Text()},
    "runs": {"mlflow_experiment_id": sa.String(64)},
    "versions": {"mlflow_run_id": sa.String(64), "mlflow_model_id": sa.String(64)},
}
BEFORE_PROJECTS = datetime(1970, 1, 1, tzinfo=UTC)
_AT_ONCE = 500
_ID_CHARACTERS = 26  # after the prefix

# What a downgrade would lose.
WITHOUT_PLACE: Mapping[str, str] = {
    "Projects": "SELECT slug FROM projects WHERE implicit = false OR last_revision > 1 OR description <> ''",
    "Datasets that extend another": "SELECT id FROM jobs WHERE parent_job_id IS NOT NULL",
    "Imported versions": "SELECT id FROM versions WHERE origin <> 'run' OR job_id IS NULL",
    "Fine-tuned versions": "SELECT id FROM versions WHERE parent_id IS NOT NULL",
    "Fine-tuned runs": "SELECT id FROM runs WHERE parent_id IS NOT NULL",
    "Operations": "SELECT id FROM operations",
    "Uploads to a project": "SELECT id FROM uploads WHERE project IS NOT NULL",
}

JOBS = sa.table(
    "jobs",
    *map(sa.column, ("id", "name", "state", "kind", "last_version", "project_id", "revision")),
    *(sa.column(name, TIME) for name in ("created_at", "updated_at", "deleted_at", "erased_at", "mlflow_deleted_at")),
)
PROJECTS = sa.table(
    "projects",
    *map(sa.column, ("id", "slug", "title", "description", "kind", "implicit", "last_revision", "last_version")),
    sa.column("settings", sa.JSON),
    sa.column("mlflow_name"),
    *(sa.column(name, TIME) for name in ("created_at", "updated_at", "deleted_at", "erased_at", "mlflow_updated_at")),
)
SLUGS = sa.table("project_slugs", *map(sa.column, ("slug", "project_id")))


def upgrade() -> None:
    _create_projects()
    _create_operations()
    op.add_column("uploads", sa.Column("project", sa.String(64), nullable=True))
    _add_image_index()
    for table in ("jobs", "runs", "versions", *ALIAS_TABLES):
        op.add_column(table, sa.Column("project_id", sa.String(40), nullable=True))
    op.add_column("jobs", sa.Column("revision", sa.Integer(), nullable=True))
    for table, columns in MLFLOW_COLUMNS.items():
        for name, kind in columns.items():
            op.add_column(table, sa.Column(name, kind, nullable=True))
    _open_a_project_for_each_job()
    for table in ("runs", "versions", *ALIAS_TABLES):
        _copy_from_jobs(table, JOBS.c.project_id, to="project_id", where=(JOBS.c.id, "job_id"))
    _name_copies_in_mlflow()
    _with_projects()
    _create_index_of(ALIASES_TO_MIRROR, "ix_aliases_to_mirror", "aliases", "project_id", "alias")


def downgrade() -> None:
    _refuse_what_has_no_place()
    op.drop_index("ix_aliases_to_mirror", table_name="aliases")
    for table in ALIAS_TABLES:
        op.add_column(table, sa.Column("job_id", sa.String(40), nullable=True))
        _copy_from_jobs(table, JOBS.c.id, to="job_id", where=(JOBS.c.project_id, "project_id"))
    _without_projects()
    op.drop_column("uploads", "project")
    _drop_image_index()
    for table in ("operations", "project_slugs", "projects"):
        op.drop_table(table)


def _create_projects() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("slug", sa.String(64), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False, server_default=""),
        sa.Column("kind", sa.String(40), nullable=True),
        sa.Column("implicit", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("last_revision", sa.Integer(), nullable=False),
        sa.Column("last_version", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("active_at", TIME, nullable=True),
        sa.Column("deleted_at", TIME, nullable=True),
        sa.Column("erased_at", TIME, nullable=True),
        sa.Column("mlflow_experiment_id", sa.String(64), nullable=True),
        sa.Column("mlflow_name", sa.String(100), nullable=True),
        sa.Column("mlflow_updated_at", TIME, nullable=True),
        sa.Column("mlflow_refused", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
    )
    for name, rows in PROJECT_INDEXES.items():
        _create_index_of(rows, name, "projects", "id")
    op.create_table(
        "project_slugs",
        sa.Column("slug", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("slug", name="pk_project_slugs"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_project_slugs_project_id"),
    )
    op.create_index("ix_project_slugs_project_id", "project_slugs", ["project_id"])


def _create_operations() -> None:
    op.create_table(
        "operations",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("project_id", sa.String(40), nullable=True),
        sa.Column("job_id", sa.String(40), nullable=True),
        sa.Column("target", sa.String(200), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("stage", sa.String(40), nullable=True),
        sa.Column("progress", sa.JSON(), nullable=True),
        sa.Column("problem", sa.JSON(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("lease_expires_at", sa.Float(53), nullable=True),
        sa.Column("lost_leases", sa.Integer(), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("enqueued_at", sa.Float(53), nullable=True),
        sa.Column("enqueue_count", sa.Integer(), nullable=False),
        sa.Column("event_seq", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("purged_at", TIME, nullable=True),
        sa.Column("condensed_at", TIME, nullable=True),
        sa.Column("deleted_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_operations"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_operations_project_id"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_operations_job_id"),
    )
    for name in ("state", "project_id", "job_id"):
        op.create_index(f"ix_operations_{name}_id", "operations", [name, "id"])
    op.create_index("ix_operations_lease_expires_at", "operations", ["lease_expires_at"])
    op.create_index("ix_operations_kind_target_id", "operations", ["kind", "target", "id"])
    for rows, name, columns in (
        (LIVING, "living_id", ["id"]),
        (LIVING, "living_kind_id", ["kind", "id"]),
        (LIVING, "living_state_id", ["state", "id"]),
        ("purged_at IS NULL", "unpurged_id", ["id"]),
        ("condensed_at IS NULL", "uncondensed_finished_at", ["finished_at"]),
        ("condensed_at IS NULL AND deleted_at IS NOT NULL", "to_erase_id", ["id"]),
    ):
        where = sa.text(rows)
        op.create_index(f"ix_operations_{name}", "operations", columns, sqlite_where=where, postgresql_where=where)
    wanted = sa.text("target IS NOT NULL AND state IN ('queued', 'running')")
    name, columns = "uq_operations_kind_target", ["kind", "target"]
    op.create_index(name, "operations", columns, unique=True, sqlite_where=wanted, postgresql_where=wanted)


def _add_image_index() -> None:
    op.add_column("datasets", sa.Column("index_key", sa.String(), nullable=True))
    op.add_column("datasets", sa.Column("index_bytes", sa.BigInteger(), nullable=True))
    op.add_column("findings", sa.Column("image", sa.Text(), nullable=True))
    where = sa.text("image IS NOT NULL")
    columns = ["job_id", "image"]
    op.create_index("ix_findings_job_id_image", "findings", columns, sqlite_where=where, postgresql_where=where)


def _drop_image_index() -> None:
    op.drop_index("ix_findings_job_id_image", table_name="findings")
    op.drop_column("findings", "image")
    for name in ("index_key", "index_bytes"):
        op.drop_column("datasets", name)


def _open_a_project_for_each_job() -> None:
    """An implicit one, of which the job is d1: its versions keep their numbers."""
    bind = op.get_bind()
    after = ""
    while jobs := bind.execute(sa.select(JOBS).where(JOBS.c.id > after).order_by(JOBS.c.id).limit(_AT_ONCE)).all():
        slugs = _new_slugs({job.id: job.name for job in jobs})
        bind.execute(sa.insert(PROJECTS), [_project_of(job._mapping, slugs[job.id]) for job in jobs])
        bind.execute(sa.insert(SLUGS), [{"slug": slugs[job.id], "project_id": _project_id(job.id)} for job in jobs])
        after = jobs[-1].id
    prefix = sa.literal("project_").concat(sa.func.substr(JOBS.c.id, len("job_") + 1))
    bind.execute(sa.update(JOBS).values(project_id=prefix, revision=1))


def _new_slugs(names: Mapping[str, str]) -> dict[str, str]:
    """By the ids of jobs. Of many jobs with one name, two may have the same end of their ids: then all of the id."""
    slugs = {job_id: slug_with_suffix(name, job_id) for job_id, name in names.items()}
    given = {row.slug for row in op.get_bind().execute(sa.select(SLUGS).where(SLUGS.c.slug.in_(slugs.values())))}
    for job_id, slug in slugs.items():
        if slug in given:
            slugs[job_id] = slug_with_suffix(names[job_id], job_id, characters=_ID_CHARACTERS)
        given.add(slug)
    return slugs


def _project_of(job: Mapping[Any, Any], slug: str) -> dict[str, Any]:
    copied = {name: job[name] for name in ("last_version", "created_at", "updated_at", "deleted_at", "erased_at")}
    return copied | {
        "id": _project_id(job["id"]),
        "slug": slug,
        "title": job["name"],
        "description": "",
        "kind": job["kind"] if job["state"] == "ready" else None,
        "implicit": True,
        "settings": {},
        "last_revision": 1,
    }


def _name_copies_in_mlflow() -> None:
    """Experiments and registered models are called by the id of the job; the MLflow sync finds and renames them."""
    runs = sa.table("runs", *map(sa.column, ("project_id", "job_id", "mlflow_run_id")))
    known = sa.select(runs.c.project_id).join(JOBS, JOBS.c.id == runs.c.job_id)
    known = known.where(runs.c.mlflow_run_id.is_not(None), JOBS.c.mlflow_deleted_at.is_(None))
    named = {
        "mlflow_name": sa.literal("job_").concat(sa.func.substr(PROJECTS.c.id, len("project_") + 1)),
        "mlflow_updated_at": BEFORE_PROJECTS,
    }
    op.execute(sa.update(PROJECTS).where(PROJECTS.c.id.in_(known)).values(named))


def _project_id(job_id: str) -> str:
    return f"project_{job_id.removeprefix('job_')}"


def _with_projects() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("parent_job_id", sa.String(40), nullable=True))
        jobs.alter_column("project_id", existing_type=sa.String(40), nullable=False)
        jobs.alter_column("revision", existing_type=sa.Integer(), nullable=False)
        jobs.create_foreign_key("fk_jobs_project_id", "projects", ["project_id"], ["id"])
        jobs.create_foreign_key("fk_jobs_parent_job_id", "jobs", ["parent_job_id"], ["id"])
        jobs.create_unique_constraint("uq_jobs_project_id_revision", ["project_id", "revision"])
    op.create_index("ix_jobs_project_id_id", "jobs", ["project_id", "id", "deleted_at"])
    op.create_index("ix_jobs_parent_job_id", "jobs", ["parent_job_id"])
    with op.batch_alter_table("versions") as versions:
        versions.add_column(sa.Column("origin", sa.String(16), nullable=False, server_default="run"))
        versions.add_column(sa.Column("parent_id", sa.String(40), nullable=True))
        versions.add_column(sa.Column("operation_id", sa.String(40), nullable=True))
        versions.alter_column("project_id", existing_type=sa.String(40), nullable=False)
        for name, length in (("job_id", 40), ("run_id", 40), ("fingerprint", 64)):
            versions.alter_column(name, existing_type=sa.String(length), nullable=True)
        versions.drop_constraint("uq_versions_job_id_number", type_="unique")
        versions.create_unique_constraint("uq_versions_project_id_number", ["project_id", "number"])
        versions.create_unique_constraint("uq_versions_operation_id", ["operation_id"])
        versions.create_foreign_key("fk_versions_project_id", "projects", ["project_id"], ["id"])
        versions.create_foreign_key("fk_versions_parent_id", "versions", ["parent_id"], ["id"])
        versions.create_foreign_key("fk_versions_operation_id", "operations", ["operation_id"], ["id"])
    op.create_index("ix_versions_project_id_id", "versions", ["project_id", "id", "deleted_at"])
    op.create_index("ix_versions_parent_id", "versions", ["parent_id"])
    _index_of_versions_to_mirror("project_id")
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("parent_id", sa.String(40), nullable=True))
        runs.alter_column("project_id", existing_type=sa.String(40), nullable=False)
        runs.create_foreign_key("fk_runs_project_id", "projects", ["project_id"], ["id"])
    op.create_index("ix_runs_project_id_id", "runs", ["project_id", "id", "deleted_at"])
    op.create_index("ix_runs_parent_id", "runs", ["parent_id"])
    for table, key in ALIAS_TABLES.items():
        _key_by(table, key, old="job_id", new="project_id", owner="projects")


def _without_projects() -> None:
    for table, key in ALIAS_TABLES.items():
        _key_by(table, key, old="project_id", new="job_id", owner="jobs")
    _index_of_versions_to_mirror("job_id")
    for table, names in {"runs": ("project_id", "parent_id"), "versions": ("project_id", "parent_id")}.items():
        for name in names:
            op.drop_index(f"ix_{table}_{name}_id".replace("parent_id_id", "parent_id"), table_name=table)
    with op.batch_alter_table("runs") as runs:
        runs.drop_constraint("fk_runs_project_id", type_="foreignkey")
        for name in ("project_id", "parent_id", *MLFLOW_COLUMNS["runs"]):
            runs.drop_column(name)
    with op.batch_alter_table("versions") as versions:
        for name in ("project_id", "parent_id", "operation_id"):
            versions.drop_constraint(f"fk_versions_{name}", type_="foreignkey")
        versions.drop_constraint("uq_versions_project_id_number", type_="unique")
        versions.drop_constraint("uq_versions_operation_id", type_="unique")
        for name in ("project_id", "parent_id", "operation_id", "origin", *MLFLOW_COLUMNS["versions"]):
            versions.drop_column(name)
        for name, length in (("job_id", 40), ("run_id", 40), ("fingerprint", 64)):
            versions.alter_column(name, existing_type=sa.String(length), nullable=False)
        versions.create_unique_constraint("uq_versions_job_id_number", ["job_id", "number"])
    op.drop_index("ix_jobs_project_id_id", table_name="jobs")
    op.drop_index("ix_jobs_parent_job_id", table_name="jobs")
    with op.batch_alter_table("jobs") as jobs:
        for name in ("project_id", "parent_job_id"):
            jobs.drop_constraint(f"fk_jobs_{name}", type_="foreignkey")
        jobs.drop_constraint("uq_jobs_project_id_revision", type_="unique")
        for name in ("project_id", "revision", "parent_job_id", *MLFLOW_COLUMNS["jobs"]):
            jobs.drop_column(name)
    if op.get_bind().dialect.name == "sqlite":
        _restore_inline_reference()


def _restore_inline_reference() -> None:
    """The copy of `jobs` names the reference after its columns, where the downgrade of 0007 cannot drop it."""
    op.execute("CREATE TEMPORARY TABLE repairs AS SELECT id, repair_of FROM jobs WHERE repair_of IS NOT NULL")
    op.drop_index("ix_jobs_repair_of", table_name="jobs")
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_column("repair_of")
    op.execute("ALTER TABLE jobs ADD COLUMN repair_of VARCHAR(40) CONSTRAINT fk_jobs_repair_of REFERENCES jobs (id)")
    op.execute("UPDATE jobs SET repair_of = (SELECT repair_of FROM repairs WHERE repairs.id = jobs.id)")
    op.execute("DROP TABLE repairs")
    op.create_index("ix_jobs_repair_of", "jobs", ["repair_of"])


def _index_of_versions_to_mirror(first: str) -> None:
    op.drop_index("ix_versions_to_mirror", table_name="versions")
    _create_index_of(f"{LIVING} AND mlflow_version IS NULL", "ix_versions_to_mirror", "versions", first, "number")


def _create_index_of(rows: str, name: str, table: str, *columns: str) -> None:
    where = sa.text(rows)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def _key_by(table: str, rest: tuple[str, ...], *, old: str, new: str, owner: str) -> None:
    with op.batch_alter_table(table) as batch:
        batch.alter_column(new, existing_type=sa.String(40), nullable=False)
        batch.drop_constraint(f"fk_{table}_{old}", type_="foreignkey")
        batch.drop_constraint(f"pk_{table}", type_="primary")
        batch.create_primary_key(f"pk_{table}", [new, *rest])
        batch.create_foreign_key(f"fk_{table}_{new}", owner, [new], ["id"])
        batch.drop_column(old)


def _copy_from_jobs(
    table: str, value: sa.ColumnElement[Any], *, to: str, where: tuple[sa.ColumnElement[Any], str]
) -> None:
    """Set the column `to` from the job whose column equals that of the table: `where`."""
    of_job, name = where
    target = sa.table(table, sa.column(to), sa.column(name))
    copied = sa.select(value).where(of_job == target.c[name]).scalar_subquery()
    op.execute(sa.update(target).values({to: copied}))


def _refuse_what_has_no_place() -> None:
    """Schema 0008 knows no project of several jobs, no version without a run, no parent and no operation."""
    found = [f"{what}: {', '.join(names)}" for what, query in WITHOUT_PLACE.items() if (names := _some(query))]
    if found:
        raise RuntimeError(f"Schema 0008 has no place for these; nothing was changed. {'. '.join(found)}.")


def _some(query: str) -> Sequence[str]:
    return op.get_bind().execute(sa.text(f"{query} ORDER BY 1 LIMIT 3")).scalars().all()
