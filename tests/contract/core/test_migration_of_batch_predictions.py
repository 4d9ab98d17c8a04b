"""Schema 0011 adds the tables of batch predictions, and changes no row; on SQLite and on PostgreSQL."""

import pytest

from core import clock
from core.db.migrate import downgrade, drift, upgrade
from core.db.tables import BatchPredictionRow
from core.services.context import Platform
from tests.builders import lineage
from tests.builders.exports import export
from tests.builders.migrated import all_rows, schema_of
from tests.builders.rows import running_operation

pytestmark = pytest.mark.slow  # of a released schema; `make test` covers the newest ones
NEW = ("batch_prediction_artifacts", "batch_predictions")


def test_rows_of_schema_0010_stay_as_they_are_in_both_directions(platform: Platform, database_url: str) -> None:
    lineage.history(platform)
    platform.db.close()
    rows, schema = all_rows(database_url), schema_of(database_url)
    assert len(rows["versions"]) > 10
    downgrade(database_url, "0011")
    rows_0011, schema_0011 = all_rows(database_url), schema_of(database_url)
    downgrade(database_url, "0010")
    assert all_rows(database_url) == {table: each for table, each in rows_0011.items() if table not in NEW}
    assert schema_of(database_url) == {table: each for table, each in schema_0011.items() if table not in NEW}
    upgrade(database_url)
    assert (all_rows(database_url), schema_of(database_url)) == (rows, schema)
    assert drift(database_url) == []


def test_a_downgrade_refuses_while_there_are_batches_and_changes_nothing(platform: Platform, database_url: str) -> None:
    row = export(platform, lineage.version(platform, lineage.dataset(platform, "first").id, 0.9))
    batch = BatchPredictionRow(
        operation_id=running_operation(platform).id,
        version_id=row.version_id,
        export_id=row.id,
        project_id=row.project_id,
        created_at=clock.now(),
    )
    with platform.db.transaction() as session:
        session.add(batch)
    platform.db.close()
    before, schema = all_rows(database_url), schema_of(database_url)
    with pytest.raises(RuntimeError, match=r"rows of batch_predictions; nothing was changed"):
        downgrade(database_url, "0010")
    assert (all_rows(database_url), schema_of(database_url)) == (before, schema)
