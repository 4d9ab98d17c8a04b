"""Jobs of schema 0008 each become d1 of a project, and nothing else changes; on SQLite and on PostgreSQL."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from core.db import open_database
from core.db.migrate import downgrade, drift, upgrade
from core.db.tables import METADATA
from core.domain.errors import AliasNotFound, Gone, NoEarlierVersion
from core.services.context import Platform, open_platform
from core.services.jobs.commands import get_job, list_jobs
from core.services.models import versions
from core.services.runs.commands import get_run, list_runs
from core.settings import Settings
from tests.builders import database_0008 as old
from tests.builders.database_0006 import insert, run_id
from tests.builders.migrated import all_rows, schema_of, take_projects
from tests.servers import postgres

VERSION, PARENT = (f"version_{run.removeprefix('run_')}" for run in old.TRAINED_RUNS[:2])
AT = old.START
NEW_ROWS: dict[str, dict[str, Any]] = {
    "projects": {
        **{"id": "project_new", "slug": "raccoons", "title": "raccoons", "implicit": False, "settings": {}},
        **{"last_revision": 0, "last_version": 0, "created_at": AT, "updated_at": AT},
    },
    "operations": {
        **{"id": "operation_1", "kind": "repair", "params": {}, "state": "queued", "attempt": 0, "lost_leases": 0},
        **{"enqueue_count": 0, "event_seq": 0, "created_at": AT, "updated_at": AT},
    },
}
CHANGES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("projects", f"project_{old.UNNAMED.removeprefix('job_')}", {"last_revision": 2}),
    ("projects", f"project_{old.TRAINED.removeprefix('job_')}", {"description": "Of 2025."}),
    ("jobs", old.TRAINED, {"parent_job_id": old.LONG_NAMED}),
    ("versions", VERSION, {"origin": "imported"}),
    ("versions", VERSION, {"parent_id": PARENT}),
    ("runs", old.TRAINED_RUNS[0], {"parent_id": PARENT}),
    ("uploads", "upload_2", {"project": "raccoons"}),
)
WITHOUT_PLACE = (
    "Projects: dataset-00000025, raccoons, rakor-krabbor-00000023",
    f"Datasets that extend another: {old.TRAINED}",
    f"Imported versions: {VERSION}",
    f"Fine-tuned versions: {VERSION}",
    f"Fine-tuned runs: {old.TRAINED_RUNS[0]}",
    "Operations: operation_1",
    "Uploads to a project: upload_2",
)


@pytest.fixture(scope="module")
def sqlite_0008(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "old.db"
    old.fill(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module")
def postgres_0008(postgres_url: str) -> Iterator[str]:
    """The name of a filled database, to copy."""
    with postgres.database(postgres_url) as url:
        old.fill(url)
        yield url.rpartition("/")[2].partition("?")[0]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.integration)])
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A filled database of the schema at revision 0008."""
    if request.param == "sqlite":
        yield f"sqlite:///{shutil.copy(request.getfixturevalue('sqlite_0008'), tmp_path / 'old.db')}"
        return
    server, template = map(request.getfixturevalue, ("postgres_url", "postgres_0008"))
    with postgres.database(server, template=template) as url:
        yield url


@pytest.fixture
def platform(old_url: str, tmp_path: Path) -> Iterator[Platform]:
    """The services over that database, migrated."""
    upgrade(old_url)
    opened = open_platform(Settings(home=tmp_path / "home", database_url=old_url))
    yield opened
    opened.db.close()


def test_no_value_is_lost(old_url: str) -> None:
    before = all_rows(old_url)
    assert all(before.values()), "each table has rows"
    upgrade(old_url)
    after = all_rows(old_url)
    take_projects(after)
    assert after == before


@pytest.mark.slow
def test_down_and_up_again_restores_every_row_and_the_schema(old_url: str) -> None:
    before, schema = all_rows(old_url), schema_of(old_url)
    upgrade(old_url)
    after, new_schema = all_rows(old_url), schema_of(old_url)
    downgrade(old_url, "0008")
    assert (all_rows(old_url), schema_of(old_url)) == (before, schema)
    upgrade(old_url)
    assert (all_rows(old_url), schema_of(old_url)) == (after, new_schema)


def test_a_migrated_database_has_the_tables_of_the_code(old_url: str) -> None:
    upgrade(old_url)
    assert drift(old_url) == []
    migrated = _indexes(old_url)
    database = open_database(old_url)
    with database.engine.execution_options(darkroom_writes=True).begin() as connection:
        METADATA.drop_all(connection)
        METADATA.create_all(connection)
    database.close()
    assert migrated == _indexes(old_url), "with their conditions, which Alembic does not compare"


@pytest.mark.slow
def test_a_downgrade_refuses_what_has_no_place_and_changes_nothing(old_url: str) -> None:
    upgrade(old_url)
    database = open_database(old_url)
    with database.engine.execution_options(darkroom_writes=True).begin() as connection:
        for name, row in NEW_ROWS.items():
            insert(connection, name, row)
        for name, row_id, values in CHANGES:
            table = sa.table(name, sa.column("id"), *map(sa.column, values))
            assert connection.execute(sa.update(table).where(table.c.id == row_id).values(values)).rowcount == 1
    database.close()
    before, schema = all_rows(old_url), schema_of(old_url)
    with pytest.raises(RuntimeError, match="nothing was changed") as refused:
        downgrade(old_url, "0008")
    assert [named for named in WITHOUT_PLACE if f"{named}." not in str(refused.value)] == []
    assert (all_rows(old_url), schema_of(old_url)) == (before, schema)


@pytest.mark.parametrize("direction", ["upgrade", "downgrade"])
@pytest.mark.slow
def test_a_crash_in_the_middle_leaves_the_schema_and_the_rows(old_url: str, direction: str) -> None:
    if direction == "downgrade":
        upgrade(old_url)
    before, schema = all_rows(old_url), schema_of(old_url)
    migrate = upgrade if direction == "upgrade" else partial(downgrade, revision="0008")
    # In the middle, and the last one.
    for statement in ("DROP INDEX ix_versions_to_mirror", "UPDATE alembic_version"):
        with _crash_at(statement), pytest.raises(Crash):
            migrate(old_url)
        assert (all_rows(old_url), schema_of(old_url)) == (before, schema)
    migrate(old_url)
    assert schema_of(old_url) != schema


@pytest.mark.slow
def test_jobs_with_one_name_and_one_end_of_their_ids_have_slugs_of_their_own(old_url: str) -> None:
    upgrade(old_url)
    slugs = {row["id"]: row["slug"] for row in all_rows(old_url)["projects"]}
    assert [slugs[_project_of(job_id)] for job_id in old.NAMESAKES] == [
        "harbour-2-00000026",
        "harbour-2-00000027",
        "harbour-2-00000028",
        "harbour-2-twinsame",
        "harbour-2-01k6b0000000000000twinsame",
        "harbour-2-01k6c0000000000000twinsame",
    ]


def test_jobs_runs_and_versions_answer_by_their_job_and_by_its_project(platform: Platform) -> None:
    db = platform.db
    living = {row["id"] for row in old.ROWS["jobs"] if row["state"] != "deleted"}
    assert living <= {row.id for row in list_jobs(db, cursor=None, limit=100).items}
    for job_id in (old.ERASED, old.LEFT):
        with pytest.raises(Gone):
            get_job(db, job_id)
        with pytest.raises(Gone):
            versions.find_version(db, _project_of(job_id), version="v1")
    assert run_id(21) not in {row.id for row in list_runs(db, cursor=None, limit=100).items}
    slug = "rakor-krabbor-00000023"
    for ref in (old.TRAINED, slug, _project_of(old.TRAINED)):
        page = versions.list_versions(db, ref=ref, cursor=None, limit=100)
        assert [(row.number, row.run_id) for row in page.items] == [*enumerate(old.TRAINED_RUNS, 1)][::-1]
        assert [row.alias for row in versions.aliases_of(db, ref)] == ["archiv_2025-q4", "production"]
        assert versions.find_version(db, ref, alias="archiv_2025-q4").number == 3
        assert versions.find_version(db, ref, version="v1").metrics == {"test": {"accuracy": 1.1}}
    assert versions.find_version(db, old.TRAINED).number == 3
    assert versions.find_version(db, slug).number == 2, "its production"
    assert get_run(db, old.TRAINED_RUNS[2]).project_id == _project_of(old.TRAINED)


@pytest.mark.slow
def test_the_history_of_an_alias_goes_on(platform: Platform) -> None:
    db = platform.db
    assert [move.action for move in versions.get_alias(db, old.TRAINED, "production")[1]][-1] == "set"
    assert versions.roll_back_alias(db, old.TRAINED, "production")[0].number == 1
    with pytest.raises(NoEarlierVersion):
        versions.roll_back_alias(db, old.TRAINED, "production")
    with pytest.raises(AliasNotFound):
        versions.get_alias(db, old.TRAINED, "candidate")
    assert versions.set_alias(db, old.TRAINED, "candidate", version="v3").moves == 3


class Crash(Exception):
    """In place of the end of the process."""


@contextmanager
def _crash_at(statement: str) -> Iterator[None]:
    def crash(_connection: Any, _cursor: Any, executed: str, *_: Any) -> None:
        if executed.strip().startswith(statement):
            raise Crash

    event.listen(sa.Engine, "before_cursor_execute", crash)
    try:
        yield
    finally:
        event.remove(sa.Engine, "before_cursor_execute", crash)


def _project_of(job_id: str) -> str:
    return f"project_{job_id.removeprefix('job_')}"


def _indexes(url: str) -> list[str]:
    return [index for table in schema_of(url).values() for index in table["indexes"]]
