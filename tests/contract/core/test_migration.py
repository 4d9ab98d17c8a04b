"""A database of an earlier schema migrates without loss, on SQLite and on PostgreSQL, and the services answer."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory

from core.db import open_database
from core.db.migrate import alembic_config, downgrade, upgrade
from core.db.tables import JobRow, RunRow, VersionRow
from core.db.transitions import public_fields
from core.domain.errors import AliasNotFound, Gone, NoEarlierVersion
from core.domain.finding_codes import FINDING_CODES
from core.services.context import Platform, open_platform
from core.services.idempotency import IdempotencyKey, StoredAnswer, claim_key
from core.services.jobs.commands import get_job, list_findings, list_jobs
from core.services.jobs.repair import list_repairs, repair_job
from core.services.maintenance.erasure import jobs_to_erase
from core.services.maintenance.recovery import enqueue_waiting, oldest_waiting, sweep_lost_leases
from core.services.maintenance.retention import jobs_to_purge
from core.services.models import versions
from core.services.runs.commands import get_run, list_runs
from core.services.runs.logs import find_log
from core.services.uploads.sessions import get_upload, parts_of
from core.services.work.events import events_after
from core.settings import Settings
from pipeline.params.prepare import PrepareOptions
from tests.builders import database_0006 as old
from tests.builders.migrated import Rows, all_rows, take_projects
from tests.servers import postgres

RENAMED_CODES = {
    "archive-size-lies": "archive-size-mismatch",
    "box-whole-picture": "box-whole-image",
    "repair-picture-left-out": "repair-image-left-out",
    "repair-picture-renamed": "repair-image-renamed",
    "repair-size-mended": "repair-size-fixed",
}  # those among the rows of this database

OLD_COLUMNS = {
    "jobs": {"enqueued_at": "rung_at", "enqueue_count": "rings"},
    "runs": {"enqueued_at": "rung_at", "enqueue_count": "rings"},
    "alias_moves": {"position_before": "came_from", "position_after": "stands_on"},
}


ARTIFACT_FIELDS = ("name", "bytes", "sha256", "media_type")


@pytest.fixture(scope="module")
def sqlite_0006(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "old.db"
    _fill(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module")
def postgres_0006(postgres_url: str) -> Iterator[str]:
    """The name of a filled database, to copy."""
    with postgres.database(postgres_url) as url:
        _fill(url)
        yield url.rpartition("/")[2].partition("?")[0]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.integration)])
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A filled database of the schema at revision 0006."""
    if request.param == "sqlite":
        yield f"sqlite:///{shutil.copy(request.getfixturevalue('sqlite_0006'), tmp_path / 'old.db')}"
        return
    server, template = map(request.getfixturevalue, ("postgres_url", "postgres_0006"))
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
    upgrade(old_url)
    after = all_rows(old_url)
    assert after.pop("totals") == []
    take_projects(after)
    assert {table: len(rows) for table, rows in after.items()} == {table: len(rows) for table, rows in before.items()}
    assert _with_old_names(after) == before


@pytest.mark.slow
def test_a_downgrade_restores_every_row_and_the_next_upgrade_too(old_url: str) -> None:
    before = all_rows(old_url)
    upgrade(old_url)
    after = all_rows(old_url)
    downgrade(old_url, "0006")
    assert all_rows(old_url) == before
    upgrade(old_url)
    assert all_rows(old_url) == after


def test_what_a_job_that_was_deleted_left_is_deleted_with_it(old_url: str) -> None:
    run, version = old.ROWS["runs"][0], old.ROWS["versions"][0]
    left = (
        {"job_id": old.DELETED, "id": "run_left"},
        {"job_id": old.DELETED, "id": "version_left", "run_id": "run_left"},
    )
    database = open_database(old_url)
    with database.engine.execution_options(darkroom_writes=True).begin() as connection:
        old.insert(connection, "runs", run | left[0])
        old.insert(connection, "versions", version | left[1])
    upgrade(old_url)
    with database.reading() as session:
        deleted_at = session.get_one(JobRow, old.DELETED).deleted_at
        assert deleted_at is not None
        assert session.get_one(RunRow, "run_left").deleted_at == deleted_at
        assert session.get_one(VersionRow, "version_left").deleted_at == deleted_at
    assert old.DELETED in {*jobs_to_erase(database), *(job_id for job_id, _runs in jobs_to_purge(database))}
    database.close()


def test_codes_are_renamed_to_codes_of_the_catalogue() -> None:
    renamed = ScriptDirectory.from_config(alembic_config()).get_revision("0007").module.CODES
    assert RENAMED_CODES.items() <= renamed.items()
    assert set(renamed.values()) <= set(FINDING_CODES) and not set(renamed) & set(FINDING_CODES)


def test_jobs_answer_after_the_migration(platform: Platform) -> None:
    ids = {row.id for row in list_jobs(platform.db, cursor=None, limit=100).items}
    assert ids == {row["id"] for row in old.ROWS["jobs"]} - {old.DELETED}
    for job_id in ids:
        PrepareOptions.model_validate(get_job(platform.db, job_id).options)
    with pytest.raises(Gone):
        get_job(platform.db, old.DELETED)
    imported = get_job(platform.db, old.IMPORT)
    assert imported.huggingface == old.HUB_SET | {"images": 24, "left_out": 1} and imported.repair_of is None
    assert (imported.enqueue_count, imported.enqueued_at) == (1, 1790843400.25)
    assert get_job(platform.db, old.REPAIR_OF_IMPORT).huggingface == imported.huggingface


def test_a_repair_is_found_after_the_migration_and_not_made_again(platform: Platform) -> None:
    assert get_job(platform.db, old.REPAIR).repair_of == old.REJECTED
    assert repair_job(platform, old.REJECTED).id == old.REPAIR
    assert repair_job(platform, old.IMPORT).id == old.REPAIR_OF_IMPORT
    codes = [row.code for row in list_repairs(platform.db, old.REPAIR, cursor=None, limit=100).items]
    assert codes == [
        *["repair-box-clipped"] * 4,
        *["repair-image-left-out"] * 2,
        "repair-image-renamed",
        "repair-size-fixed",
    ]
    whole = list_findings(platform.db, old.READY, cursor=None, limit=100, code="box-whole-image").items
    assert [row.number for row in whole] == [1]
    assert (get_job(platform.db, old.REJECTED).problem or {})["reasons"] == {
        "archive-checksum": 1,
        "archive-size-mismatch": 2,
    }


def test_events_still_fold_into_what_polling_returns(platform: Platform) -> None:
    for row in (get_job(platform.db, old.REPAIR), get_job(platform.db, old.REJECTED), get_run(platform.db, old.FIRST)):
        folded: dict[str, Any] = {}
        for event in events_after(platform.db, row.id, seq=0):
            folded |= event.data
        assert _known(folded) == _known(public_fields(row))


def test_models_and_aliases_answer_after_the_migration(platform: Platform) -> None:
    db = platform.db
    found = versions.list_versions(db, ref=old.READY, cursor=None, limit=100).items
    assert [(row.number, row.run_id) for row in found] == [(2, old.SECOND), (1, old.FIRST)]
    assert [row.name for row in versions.artifacts_of(db, [found[0].id])[found[0].id]] == [
        "best.pt",
        "metrics.json",
        "model.json",
    ]
    assert versions.find_version(db, old.READY, alias="production").number == 2
    with pytest.raises(AliasNotFound):
        versions.find_version(db, old.READY, alias="staging")
    assert versions.roll_back_alias(db, old.READY, "production")[0].number == 1
    with pytest.raises(NoEarlierVersion):
        versions.roll_back_alias(db, old.READY, "production")
    assert len(versions.get_alias(db, old.READY, "production")[1]) == 5


def test_work_goes_on_after_the_migration(platform: Platform) -> None:
    assert {row.id for row in list_runs(platform.db, cursor=None, limit=100).items} == {
        row["id"] for row in old.ROWS["runs"]
    }
    running = find_log(platform.db, old.RUNNING)
    assert running is not None and (running.tail, running.total_bytes) == (b"epoch 2\n\xff", 90)
    assert get_run(platform.db, old.RUNNING).checkpoint_epoch == 2
    assert sweep_lost_leases(platform.db) == []
    assert enqueue_waiting(platform) == 3, "two jobs and a run wait"
    assert oldest_waiting(platform.db, "train") == old.QUEUED
    assert get_upload(platform.db, "upload_1").length_bytes == 9_000_000_000
    assert [part.key for part in parts_of(platform.db, "upload_1")] == ["uploads/upload_1/parts/0"]
    answer = claim_key(platform.db, IdempotencyKey("POST", "/upload-dataset", "k1"))
    assert isinstance(answer, StoredAnswer) and answer.body == {"job_id": old.RECEIVED}


def _fill(url: str) -> None:
    upgrade(url, "0006")
    database = open_database(url)
    with database.engine.execution_options(darkroom_writes=True).begin() as connection:
        old.fill(connection)
    database.close()


def _with_old_names(rows: Rows) -> Rows:
    for table, names in OLD_COLUMNS.items():
        rows[table] = [{names.get(name, name): value for name, value in row.items()} for row in rows[table]]
    codes = {new: before for before, new in RENAMED_CODES.items()}
    for row in rows["findings"]:
        row["code"] = codes.get(row["code"], row["code"])
    for fields in [*rows["jobs"], *(row["data"] for row in rows["events"])]:
        _rename_keys(fields.get("findings"), codes)
        _rename_keys((fields.get("problem") or {}).get("reasons"), codes)
    for row in [*rows["runs"], *rows["versions"]]:
        assert row.pop("mlflow_refused") is None
        assert row.pop("deleted_at") is None
    for row in rows["versions"]:
        artifacts = [each for each in rows["artifacts"] if each["version_id"] == row["id"]]
        shown = row.pop("artifacts")
        assert [{name: each[name] for name in ARTIFACT_FIELDS} for each in shown] == [
            {name: each[name] for name in ARTIFACT_FIELDS} for each in artifacts
        ]
        path = f"/models/{row['job_id']}/v{row['number']}/artifacts"
        assert [each["links"] for each in shown] == [{"self": f"{path}/{each['name']}"} for each in artifacts]
    for row in rows["uploads"]:
        assert row.pop("client_metadata") is None
    for row in rows["jobs"]:
        assert row.pop("erased_at") is row.pop("mlflow_deleted_at") is None
        hub_set = row.pop("huggingface")
        _rename_keys(hub_set, {"images": "pictures"})
        origins = {"repair_of": row.pop("repair_of"), "huggingface": hub_set}
        row["options"] |= {name: value for name, value in origins.items() if value is not None}
    return rows


def _rename_keys(fields: dict[str, Any] | None, names: Mapping[str, str]) -> None:
    for name in [name for name in fields or {} if name in names]:
        fields[names[name]] = fields.pop(name)


def _known(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
